//! A small HTTP server that says who it is, to stand behind the proxy.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Answers every request with its name; threads are few, for tests have few connections.
pub(crate) struct Upstream {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    /// The one of the first request and of every other, and that of those between.
    statuses: Arc<[AtomicU16; 2]>,
}

impl Upstream {
    /// Starts to answer at a free port.
    pub(crate) fn start(name: &str) -> Self {
        Self::slow(name, Duration::ZERO)
    }

    /// Starts one that takes its time for each answer.
    pub(crate) fn slow(name: &str, delay: Duration) -> Self {
        Self::listen("127.0.0.1:0", name, delay)
    }

    /// Starts one at another address of this machine, such as `127.0.0.2`.
    pub(crate) fn at(host: &str, name: &str) -> Self {
        Self::listen(&format!("{host}:0"), name, Duration::ZERO)
    }

    fn listen(listen: &str, name: &str, delay: Duration) -> Self {
        let listener = TcpListener::bind(listen).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<AtomicUsize>::default();
        let statuses = Arc::new([AtomicU16::new(200), AtomicU16::new(200)]);
        let name = name.to_owned();
        let (counter, current) = (Arc::clone(&requests), Arc::clone(&statuses));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let name = name.clone();
                let (counter, current) = (Arc::clone(&counter), Arc::clone(&current));
                thread::spawn(move || serve(stream, &name, delay, &counter, &current));
            }
        });
        Self {
            address,
            requests,
            statuses,
        }
    }

    /// Answers with this status from now on.
    pub(crate) fn answer_with(&self, status: u16) {
        self.answer_by_turns([status, status]);
    }

    /// Answers with these statuses in turn.
    pub(crate) fn answer_by_turns(&self, statuses: [u16; 2]) {
        for (cell, status) in self.statuses.iter().zip(statuses) {
            cell.store(status, Ordering::SeqCst);
        }
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
        let (address, port) = (self.address.ip(), self.port());
        format!(r#"{{"address": "{address}", "port": {port}}}"#)
    }
}

fn serve(
    stream: TcpStream,
    name: &str,
    delay: Duration,
    counter: &AtomicUsize,
    statuses: &[AtomicU16; 2],
) {
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
        let before = counter.fetch_add(1, Ordering::SeqCst);
        thread::sleep(delay);
        let length = name.len();
        let status = statuses[before % 2].load(Ordering::SeqCst);
        let answer = format!("HTTP/1.1 {status} -\r\nContent-Length: {length}\r\n\r\n{name}");
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
