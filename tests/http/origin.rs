//! A server that writes down every byte it gets, and knows just enough of HTTP to see where a request
//! ends.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use socket2::{Domain, Socket, Type};

/// Holds what one connection has brought.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) bytes: Vec<u8>,
    /// How many requests were found in it.
    pub(super) requests: usize,
}

pub(super) struct Origin {
    pub(super) address: SocketAddr,
    /// Who connects to tell that nobody else will.
    last: Arc<Mutex<Option<SocketAddr>>>,
    accepting: JoinHandle<Vec<JoinHandle<Record>>>,
}

impl Origin {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let last = Arc::<Mutex<Option<SocketAddr>>>::default();
        let until = Arc::clone(&last);
        let accepting = thread::spawn(move || {
            let mut connections = Vec::new();
            loop {
                let (stream, peer) = listener.accept().unwrap();
                if *until.lock().unwrap() == Some(peer) {
                    return connections;
                }
                connections.push(thread::spawn(move || serve(stream)));
            }
        });
        Self {
            address,
            last,
            accepting,
        }
    }

    /// Returns what all connections have brought, once all have ended.
    pub(super) fn finish(self) -> Vec<Record> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        *self.last.lock().unwrap() = socket.local_addr().unwrap().as_socket();
        // Whoever was before in the queue is accepted before.
        socket.connect(&self.address.into()).unwrap();
        let connections = self.accepting.join().unwrap().into_iter();
        connections.map(|one| one.join().unwrap()).collect()
    }
}

fn serve(mut stream: TcpStream) -> Record {
    let mut record = Record {
        bytes: Vec::new(),
        requests: 0,
    };
    let (mut at, mut continued, mut switched) = (0, false, false);
    let mut room = [0; 64 << 10];
    loop {
        match stream.read(&mut room) {
            // A reset is an end too.
            Ok(0) | Err(_) => return record,
            Ok(read) => record.bytes.extend_from_slice(&room[..read]),
        }
        while !switched {
            let rest = &record.bytes[at..];
            let Some(head) = head(rest) else {
                break;
            };
            if has(&head, "expect", "100-continue") && !continued {
                continued = true;
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok();
            }
            let Some(length) = request_bytes(rest) else {
                break;
            };
            switched = head.contains(" /switch ");
            let answer = match (switched, head.starts_with("HEAD ")) {
                (true, _) => {
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                     Upgrade: websocket\r\n\r\n"
                }
                (false, true) => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
                (false, false) => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            };
            (at, continued) = (at + length, false);
            record.requests += 1;
            // Whoever has gone doesn't need it.
            stream.write_all(answer.as_bytes()).ok();
        }
    }
}

/// Returns the head at the front, with its empty line.
fn head(bytes: &[u8]) -> Option<String> {
    let end = find(bytes, b"\r\n\r\n")? + 4;
    Some(bytes[..end].iter().copied().map(char::from).collect())
}

/// Returns the length of the request at the front, when it is whole.
fn request_bytes(bytes: &[u8]) -> Option<usize> {
    let mut at = find(bytes, b"\r\n\r\n")? + 4;
    let head = head(bytes)?;
    let length = value(&head, "content-length").map_or(0, |value| value.parse().unwrap());
    if !has(&head, "transfer-encoding", "chunked") {
        return Some(at + length).filter(|end| *end <= bytes.len());
    }
    loop {
        let line = find(&bytes[at..], b"\r\n")?;
        let digits = std::str::from_utf8(&bytes[at..at + line]).unwrap();
        let size = usize::from_str_radix(digits, 16).unwrap();
        at += line + 2;
        if size == 0 {
            break;
        }
        at += size + 2;
        if at > bytes.len() {
            return None;
        }
    }
    loop {
        let line = find(&bytes[at..], b"\r\n")?;
        at += line + 2;
        if line == 0 {
            return Some(at);
        }
    }
}

fn value<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(one, _)| one.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .next()
}

fn has(head: &str, name: &str, expected: &str) -> bool {
    value(head, name).is_some_and(|value| value.eq_ignore_ascii_case(expected))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|piece| piece == what)
}
