//! Instances that fail, each in a way that a test says.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use socket2::SockRef;

/// An instance in this process whose connections are served by a function.
pub(crate) struct Faulty {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

/// One connection of it.
pub(crate) struct Peer {
    stream: TcpStream,
    requests: Arc<AtomicUsize>,
}

impl Faulty {
    /// Serves each connection by `serve`, on a thread of its own.
    pub(crate) fn start(serve: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<AtomicUsize>::default();
        let (serve, counter) = (Arc::new(serve), Arc::clone(&requests));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (serve, requests) = (Arc::clone(&serve), Arc::clone(&counter));
                thread::spawn(move || serve(&mut Peer { stream, requests }));
            }
        });
        Self { address, requests }
    }

    /// Returns how many requests have come.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Returns what registers it.
    pub(crate) fn registration(&self) -> String {
        registration(self.address.port())
    }
}

impl Peer {
    /// Reads a head, byte by byte; `None` at the end.
    pub(crate) fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match self.stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return None,
            }
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        Some(String::from_utf8(head).unwrap())
    }

    /// Reads so many bytes of a body.
    pub(crate) fn body(&mut self, bytes: usize) {
        self.stream.read_exact(&mut vec![0; bytes]).unwrap();
    }

    /// Reads until the other side ends.
    pub(crate) fn rest(&mut self) {
        // Reset or ended, it is over.
        std::io::copy(&mut self.stream, &mut std::io::sink()).ok();
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Has the connection end with a reset; what was sent before can be read still.
    pub(crate) fn reset(&self) {
        let socket = SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// A server in a process of its own, to be killed.
pub(crate) struct Killable {
    process: Child,
    port: u16,
    lines: BufReader<std::process::ChildStdout>,
}

/// Answers at once, after a long time below `/slow`, and half of what it promises below `/half`; says
/// its port first, and then each path that it is asked for.
const SERVER: &str = "
import http.server, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        self.rfile.read(int(self.headers.get('Content-Length', 0)))
        if self.path == '/slow':
            print(self.path, flush=True)
            time.sleep(60)
        self.send_response(200)
        self.send_header('Content-Length', '4')
        self.end_headers()
        if self.path == '/half':
            self.wfile.write(b'pr')
            self.wfile.flush()
            print(self.path, flush=True)
            time.sleep(60)
        self.wfile.write(b'proc')
    do_POST = do_PUT = do_GET
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
";

impl Killable {
    pub(crate) fn start() -> Self {
        let mut process = Command::new("/usr/bin/python3")
            .args(["-c", SERVER])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        let mut killable = Self {
            process,
            port: 0,
            lines,
        };
        killable.port = killable.next_line().parse().unwrap();
        killable
    }

    /// Waits for the next path that it says.
    pub(crate) fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Returns what registers it.
    pub(crate) fn registration(&self) -> String {
        registration(self.port)
    }

    /// Kills it (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        // It may be dead already.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn registration(port: u16) -> String {
    format!(r#"{{"address": "127.0.0.1", "port": {port}}}"#)
}
