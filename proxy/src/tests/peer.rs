//! Both ends of the proxy: blocking sockets that send and expect bytes.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

/// How long a test waits for bytes before it fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// One end of a connection.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    pending: Vec<u8>,
    /// Takes the heads that this end has read.
    heads: Option<Sender<String>>,
}

impl Peer {
    pub(super) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            pending: Vec::new(),
            heads: None,
        }
    }

    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what may not be taken any more.
    pub(super) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Ends the sending, while reading may go on.
    pub(super) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads more; returns false at the end.
    fn fill(&mut self) -> bool {
        let mut bytes = [0; 64 << 10];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(read) => {
                self.pending.extend_from_slice(&bytes[..read]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!(
                "{error}, after {:?}",
                String::from_utf8_lossy(&self.pending)
            ),
        }
    }

    /// Reads a head with its empty line; `None` when the connection ends first.
    pub(super) fn next_head(&mut self) -> Option<String> {
        loop {
            let end = self.pending.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.pending.drain(..end + 4).collect();
                let head = String::from_utf8(head).unwrap();
                if let Some(heads) = &self.heads {
                    // The test may be over.
                    heads.send(head.clone()).ok();
                }
                return Some(head);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    pub(super) fn head(&mut self) -> String {
        self.next_head().expect("a head was sent")
    }

    /// Reads so many bytes.
    pub(super) fn exact(&mut self, bytes: usize) -> Vec<u8> {
        while self.pending.len() < bytes {
            assert!(self.fill(), "ended after {} of {bytes}", self.pending.len());
        }
        self.pending.drain(..bytes).collect()
    }

    pub(super) fn text(&mut self, bytes: usize) -> String {
        String::from_utf8(self.exact(bytes)).unwrap()
    }

    /// Reads to the end.
    pub(super) fn rest(&mut self) -> String {
        while self.fill() {}
        String::from_utf8(std::mem::take(&mut self.pending)).unwrap()
    }

    /// Tells whether the connection ends without another byte.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.rest().is_empty()
    }

    /// Reads an answer whose length its head says; returns head and body.
    pub(super) fn answer(&mut self) -> (String, String) {
        let head = self.head();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let body = self.text(length.map_or(0, |length| length.parse().unwrap()));
        (head, body)
    }
}

/// A server that does with every connection what the test says.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    /// The heads of all requests, in the order in which they came.
    pub(super) heads: Receiver<String>,
    connections: Arc<AtomicUsize>,
}

impl Origin {
    /// Starts a server; `serve` gets each connection with its number, 1 first.
    pub(super) fn start(serve: impl Fn(&mut Peer, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, heads) = channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let (serve, count) = (Arc::new(serve), Arc::clone(&connections));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut peer = Peer::new(stream.unwrap());
                peer.heads = Some(sender.clone());
                let number = count.fetch_add(1, SeqCst) + 1;
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(&mut peer, number));
            }
        });
        Self {
            address,
            heads,
            connections,
        }
    }

    /// Starts a server that gives every request without a body the same answer.
    pub(super) fn answering(answer: &'static str) -> Self {
        Self::start(move |peer, _| {
            while peer.next_head().is_some() {
                if !peer.try_send(answer) {
                    return;
                }
            }
        })
    }

    /// Returns how many connections were made so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// Returns the next head that was received.
    pub(super) fn received(&self) -> String {
        self.heads.recv_timeout(PATIENCE).unwrap()
    }
}
