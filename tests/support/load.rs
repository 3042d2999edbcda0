//! Clients that ask all the time and note every failure: by HTTP and by DNS, on connections that are
//! kept and on new ones.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many failures are kept for the message; all are counted.
const FAILURES_KEPT: usize = 10;

/// How long the clients that connect anew rest between two connections, so that no port is used again.
const REST: Duration = Duration::from_millis(5);

/// How many clients of each kind there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clients {
    /// HTTP on connections that are kept.
    pub(crate) kept: usize,
    /// HTTP on a new connection for each request.
    pub(crate) new: usize,
    /// DNS over UDP.
    pub(crate) udp: usize,
    /// DNS over TCP, on a new connection for each query.
    pub(crate) tcp: usize,
    /// DNS over TCP, on connections that are kept.
    pub(crate) tcp_kept: usize,
}

/// What has been seen so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: AtomicUsize,
    pub(crate) connections: AtomicUsize,
    pub(crate) udp: AtomicUsize,
    pub(crate) tcp: AtomicUsize,
    failures: AtomicUsize,
    texts: Mutex<Vec<String>>,
}

/// Clients at work.
pub(crate) struct Load {
    pub(crate) seen: Arc<Seen>,
    over: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Load {
    /// Starts clients of the service `web`, of which there must be an instance all the time.
    ///
    /// Must be called on a runtime.
    pub(crate) fn start(clients: Clients, proxy: SocketAddr, dns: SocketAddr) -> Self {
        let (seen, over) = (Arc::<Seen>::default(), Arc::<AtomicBool>::default());
        let mut all = JoinSet::new();
        for _ in 0..clients.kept {
            all.spawn(keep(proxy, Arc::clone(&seen), Arc::clone(&over)));
        }
        for _ in 0..clients.new {
            all.spawn(connect(proxy, Arc::clone(&seen), Arc::clone(&over)));
        }
        for _ in 0..clients.udp {
            all.spawn(ask(dns, Arc::clone(&seen), Arc::clone(&over)));
        }
        for _ in 0..clients.tcp {
            all.spawn(ask_by_tcp(dns, false, Arc::clone(&seen), Arc::clone(&over)));
        }
        for _ in 0..clients.tcp_kept {
            all.spawn(ask_by_tcp(dns, true, Arc::clone(&seen), Arc::clone(&over)));
        }
        Self {
            seen,
            over,
            clients: all,
        }
    }

    /// Has the clients stop.
    ///
    /// # Panics
    ///
    /// Panics when one of them has seen a failure.
    pub(crate) async fn stop(self) -> Arc<Seen> {
        self.over.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
        let texts = self.seen.texts.lock().unwrap();
        let failures = self.seen.failures.load(Ordering::Relaxed);
        assert_eq!(failures, 0, "{} {texts:#?}", self.seen.summary());
        drop(texts);
        self.seen
    }
}

impl Seen {
    pub(crate) fn summary(&self) -> String {
        let count = |number: &AtomicUsize| number.load(Ordering::Relaxed);
        format!(
            "{} requests on kept connections, {} on new ones, {} queries over UDP, {} over TCP",
            count(&self.requests),
            count(&self.connections),
            count(&self.udp),
            count(&self.tcp)
        )
    }

    fn fail(&self, text: String) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut texts = self.texts.lock().unwrap();
        if texts.len() < FAILURES_KEPT {
            texts.push(text);
        }
    }

    /// Counts what went well, and keeps what didn't.
    fn count<T>(&self, counter: &AtomicUsize, what: &str, done: Result<T, String>) -> Option<T> {
        match done {
            Ok(value) => {
                counter.fetch_add(1, Ordering::Relaxed);
                Some(value)
            }
            Err(error) => {
                self.fail(format!("{what}: {error}"));
                None
            }
        }
    }
}

/// Sends request after request on a connection, and takes another when the proxy says that it closes it.
async fn keep(proxy: SocketAddr, seen: Arc<Seen>, over: Arc<AtomicBool>) {
    let mut stream = None;
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        let exchanged = async {
            let stream = match &mut stream {
                Some(stream) => stream,
                none => {
                    sent = 0;
                    none.insert(connected(proxy).await?)
                }
            };
            sent += 1;
            request(stream, "").await
        };
        let done = timeout(PATIENCE, exchanged).await;
        let done = done.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        let what = format!("request {sent} on a kept connection");
        if seen.count(&seen.requests, &what, done) != Some(true) {
            stream = None;
        }
    }
}

/// Sends each request on a connection of its own.
async fn connect(proxy: SocketAddr, seen: Arc<Seen>, over: Arc<AtomicBool>) {
    while !over.load(Ordering::Relaxed) {
        let exchanged = async {
            let mut stream = connected(proxy).await?;
            request(&mut stream, "Connection: close\r\n").await
        };
        let done = timeout(PATIENCE, exchanged).await;
        let done = done.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        seen.count(&seen.connections, "a new connection", done);
        sleep(REST).await;
    }
}

async fn connected(address: SocketAddr) -> Result<TcpStream, String> {
    let connected = TcpStream::connect(address).await;
    connected.map_err(|error| format!("can't connect: {error}"))
}

/// Sends a request and reads the response; returns whether the connection is kept.
async fn request(stream: &mut TcpStream, lines: &str) -> Result<bool, String> {
    let request = format!("GET / HTTP/1.1\r\nHost: web\r\n{lines}\r\n");
    let sent = stream.write_all(request.as_bytes()).await;
    sent.map_err(|error| format!("can't send: {error}"))?;
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            if !head.starts_with("http/1.1 200 ") {
                return Err(format!("{head} {body}"));
            }
            let length = head.split("content-length: ").nth(1).unwrap_or("0");
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            if body.len() >= length {
                return Ok(!head.contains("connection: close"));
            }
        }
        let read = stream.read_buf(&mut bytes).await;
        match read.map_err(|error| format!("can't read: {error}, after {} bytes", bytes.len()))? {
            0 => return Err(format!("the end after {} bytes", bytes.len())),
            _ => continue,
        }
    }
}

/// Makes a query for the addresses of `web`.
fn query(id: u16) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend(b"\x01\0\0\x01\0\0\0\0\0\0\x03web\x03svc\x08internal\0\0\x01\0\x01");
    query
}

/// Tells what is wrong with an answer: its id, its code, or that it is empty.
fn check(answer: &[u8], id: u16) -> Result<(), String> {
    let right = answer.len() > 12 && answer[..2] == id.to_be_bytes();
    let (code, count) = (answer.get(3).map_or(0, |byte| byte & 15), answer.get(7));
    match right && code == 0 && count.is_some_and(|count| *count > 0) {
        true => Ok(()),
        false => Err(format!("not the answer: code {code}, {answer:?}")),
    }
}

/// Sends query after query over UDP, from a new port now and then; nothing is sent twice.
async fn ask(dns: SocketAddr, seen: Arc<Seen>, over: Arc<AtomicBool>) {
    const QUERIES_PER_PORT: usize = 20;
    while !over.load(Ordering::Relaxed) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(dns).await.unwrap();
        for _ in 0..QUERIES_PER_PORT {
            let id = fastrand::u16(..);
            let asked = async {
                let failed = |error: std::io::Error| error.to_string();
                socket.send(&query(id)).await.map_err(failed)?;
                let mut answer = [0; 4096];
                let bytes = socket.recv(&mut answer).await.map_err(failed)?;
                check(&answer[..bytes], id)
            };
            let done = timeout(PATIENCE, asked).await;
            let done = done.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            seen.count(&seen.udp, "a query over UDP", done);
        }
    }
}

/// Sends query after query over TCP. Where a connection is kept, the server may close it between two
/// answers, and then the query is sent again, once (RFC 7766, section 6.2.4).
async fn ask_by_tcp(dns: SocketAddr, keep: bool, seen: Arc<Seen>, over: Arc<AtomicBool>) {
    let mut kept: Option<TcpStream> = None;
    while !over.load(Ordering::Relaxed) {
        let id = fastrand::u16(..);
        let asked = async {
            let was_kept = kept.is_some();
            let mut stream = match kept.take() {
                Some(stream) => stream,
                None => connected(dns).await?,
            };
            let mut answered = exchange(&mut stream, id).await;
            if was_kept && answered.is_err() {
                stream = connected(dns).await?;
                answered = exchange(&mut stream, id).await;
            }
            check(&answered?, id)?;
            kept = keep.then_some(stream);
            Ok(())
        };
        let done = timeout(PATIENCE, asked).await;
        let done = done.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        let what = [
            "a query on a new connection",
            "a query on a kept connection",
        ];
        seen.count(&seen.tcp, what[usize::from(keep)], done);
        sleep(REST).await;
    }
}

async fn exchange(stream: &mut TcpStream, id: u16) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| error.to_string();
    let query = query(id);
    let mut message = (query.len() as u16).to_be_bytes().to_vec();
    message.extend(query);
    stream.write_all(&message).await.map_err(failed)?;
    let length = stream.read_u16().await.map_err(failed)?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await.map_err(failed)?;
    Ok(answer)
}
