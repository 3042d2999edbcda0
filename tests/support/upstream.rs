//! A small HTTP server that says who it is, to stand behind the proxy.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Answers every request with its name; threads are few, for tests have few connections.
pub(crate) struct Upstream {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Upstream {
    /// Starts to answer at a free port.
    pub(crate) fn start(name: &str) -> Self {
        Self::slow(name, Duration::ZERO)
    }

    /// Starts one that takes its time for each answer.
    pub(crate) fn slow(name: &str, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<AtomicUsize>::default();
        let (name, counter) = (name.to_owned(), Arc::clone(&requests));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (name, counter) = (name.clone(), Arc::clone(&counter));
                thread::spawn(move || serve(stream, &name, delay, &counter));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns how many requests have come.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Returns what registers it.
    pub(crate) fn registration(&self) -> String {
        format!(r#"{{"address": "127.0.0.1", "port": {}}}"#, self.port())
    }
}

fn serve(stream: TcpStream, name: &str, delay: Duration, counter: &AtomicUsize) {
    let mut writer = stream.try_clone().unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    // Requests have no body here: an empty line ends one.
    while let Some(first) = lines.next() {
        if lines
            .by_ref()
            .take_while(|line| !line.is_empty())
            .last()
            .is_none()
            && first.is_empty()
        {
            return;
        }
        counter.fetch_add(1, Ordering::SeqCst);
        thread::sleep(delay);
        let length = name.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}");
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
