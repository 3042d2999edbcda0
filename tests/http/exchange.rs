//! One case from end to end: a client, the proxy, and a server that writes everything down.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use proxy::{AccessLog, Config, Phase, RouteTable, Shared, Worker, bind, serve};
use registry::testing;
use tokio::{runtime, sync::watch, task::LocalSet};

use super::{
    case::{Case, text},
    origin::{Origin, Record},
};

/// How long a client waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// What follows on a connection that isn't closed.
const ONE_MORE: &[u8] = b"GET /one-more HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n";

/// Says in what pieces a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pieces {
    Whole,
    Bytes,
}

/// Holds what has become of a case.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Status and body, that of one more request included.
    pub(super) answers: Vec<(u16, String)>,
    /// What came after the answers.
    pub(super) rest: String,
    /// What the server has got, by connection.
    pub(super) records: Vec<Record>,
}

/// Sends what a case says through a proxy of its own.
pub(super) fn run(case: &Case, pieces: Pieces) -> Outcome {
    let origin = Origin::start();
    let (address, phase, proxy) = start_proxy(&case.config, origin.address);
    let mut client = Client {
        stream: TcpStream::connect(address).unwrap(),
        received: Vec::new(),
        methods: case
            .arrives
            .iter()
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect(),
    };
    client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    client.stream.set_nodelay(true).unwrap();
    let bytes = case.bytes();
    match pieces {
        Pieces::Whole => client.send(&bytes),
        Pieces::Bytes => bytes.chunks(1).for_each(|byte| client.send(byte)),
    }
    if case.ends {
        client.stream.shutdown(Shutdown::Write).ok();
    }
    while client.answers().0.len() < case.answers.len() && client.read() {}
    if case.answers.last() == Some(&101) {
        client.stream.shutdown(Shutdown::Write).ok();
    } else if !case.closes && !case.ends {
        client.send(ONE_MORE);
    }
    while client.read() {}
    let (answers, rest) = client.answers();
    drop(client);
    phase.send(Phase::Drain).unwrap();
    proxy.join().unwrap();
    Outcome {
        answers,
        rest,
        records: origin.finish(),
    }
}

/// Starts a proxy whose service `web` has one instance.
fn start_proxy(
    config: &str,
    instance: SocketAddr,
) -> (SocketAddr, watch::Sender<Phase>, thread::JoinHandle<()>) {
    let config: Config = toml::from_str(config).unwrap();
    assert!(config.problems().is_empty(), "{:?}", config.problems());
    let instance = testing::instance("i1", "127.0.0.1", instance.port());
    let snapshot = testing::snapshot(1, [testing::service_of("web", [instance])]);
    let table = RouteTable::build(&config, &["svc.internal".to_owned()], &snapshot, None);
    let log = AccessLog::open(&config.access_log).unwrap();
    let shared = Arc::new(Shared::new(&config, table, log));
    let listen = config.listeners[0].listen;
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (phase, phases) = watch::channel(Phase::Serve);
    let thread = thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        LocalSet::new().block_on(&runtime.unwrap(), async {
            let worker = Worker::new(shared, 7);
            serve(worker, listen, listener, phases).await.unwrap();
        });
    });
    (address, phase, thread)
}

struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    /// Of the requests that are answered by the server.
    methods: Vec<String>,
}

impl Client {
    /// Sends what may not be taken any more.
    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).ok();
    }

    /// Reads more; returns false at the end.
    fn read(&mut self) -> bool {
        let mut room = [0; 16 << 10];
        match self.stream.read(&mut room) {
            Ok(read) => {
                self.received.extend_from_slice(&room[..read]);
                read > 0
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => {
                self.received
                    .extend_from_slice(error.to_string().as_bytes());
                false
            }
        }
    }

    /// Returns the whole answers so far, and what follows them.
    fn answers(&self) -> (Vec<(u16, String)>, String) {
        let all = text(&self.received);
        let (mut rest, mut found, mut methods) = (all.as_str(), Vec::new(), self.methods.iter());
        while let Some((head, after)) = rest.split_once("\r\n\r\n") {
            let Some(status) = head.split(' ').nth(1).and_then(|text| text.parse().ok()) else {
                break;
            };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "))
                .map_or(0, |digits| digits.parse().unwrap());
            let length = match status {
                100..200 => 0,
                _ if methods.next().is_some_and(|method| method == "HEAD") => 0,
                _ => length,
            };
            let Some((body, after)) = after.split_at_checked(length) else {
                break;
            };
            found.push((status, body.to_owned()));
            rest = after;
        }
        (found, rest.to_owned())
    }
}
