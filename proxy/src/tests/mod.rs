//! The proxy over real sockets, between raw clients and raw recording origins.

mod bodies;
mod circuits;
mod drain;
mod headers;
mod leaving;
mod limits;
mod logging;
mod malformed;
mod passwords;
mod peer;
mod proxied;
mod requests;
mod responses;
mod retries;
mod routes;
mod timeouts;
mod upgrade;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread,
};

use registry::{Service, Snapshot, testing};
use tokio::{runtime, sync::watch, task::LocalSet};

use self::peer::{Origin, Peer};
use crate::{AccessLog, Config, Phase, RouteTable, Shared, Worker, bind, serve};

/// A proxy with one worker, whose service `web` has the given instances, `i1` first.
struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    snapshot: Mutex<Snapshot>,
    thread: thread::JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy; `config` is TOML as it stands in `[proxy]`.
    fn start(config: &str, instances: &[SocketAddr]) -> Self {
        Self::with_snapshot(config, testing::snapshot(1, [web(instances)]))
    }

    fn with_snapshot(config: &str, snapshot: Snapshot) -> Self {
        let config: Config = toml::from_str(config).unwrap();
        assert!(config.problems().is_empty(), "{:?}", config.problems());
        let domains = ["svc.internal".to_owned()];
        let table = RouteTable::build(&config, &domains, &snapshot, None);
        let log = AccessLog::open(&config.access_log).unwrap();
        let shared = Arc::new(Shared::new(&config, table, log));
        let listen = config.listeners[0].listen;
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (phase, phases) = watch::channel(Phase::Serve);
        let for_worker = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let mut builder = runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async {
                let worker = Worker::new(for_worker, 7);
                serve(worker, listen, listener, phases).await.unwrap();
            });
        });
        Self {
            address,
            shared,
            phase,
            snapshot: Mutex::new(snapshot),
            thread,
        }
    }

    fn client(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// Publishes that `web` has these instances now.
    fn change(&self, instances: &[SocketAddr]) {
        let mut old = self.snapshot.lock().unwrap();
        let new = testing::snapshot(old.version() + 1, [web(instances)]);
        self.shared
            .publish(Arc::new(self.shared.table().update(&old, &new)));
        *old = new;
    }

    /// Sends one request for `web` on a connection of its own; returns the whole answer.
    fn ask(&self, text: &str) -> String {
        let mut client = self.client();
        client.send(text);
        client.rest()
    }

    /// Ends what the only instance of `web` has to do, as when it has been draining for too long.
    fn close_only(&self) {
        let table = self.shared.table();
        let pool = table.pool(&"web".parse().unwrap()).unwrap();
        let only = Arc::clone(pool.endpoints().next().unwrap());
        drop(table);
        self.change(&[]);
        self.shared.close(&only);
    }

    fn drain(self) {
        self.phase.send(Phase::Drain).unwrap();
        self.thread.join().unwrap();
    }
}

fn web(instances: &[SocketAddr]) -> Service {
    let instances = (1..).zip(instances).map(|(n, address)| {
        testing::instance(&format!("i{n}"), &address.ip().to_string(), address.port())
    });
    testing::service_of("web", instances)
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: web\r\n\r\n";
const GET_LAST: &str = "GET /a HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Waits until something is so.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = tokio::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed().as_secs() < 10, "not yet: {what}");
        thread::yield_now();
    }
}

/// Reads all metrics.
fn text_of(metrics: &Arc<crate::Metrics>) -> String {
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register_collector(Box::new(Arc::clone(metrics)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}

/// Waits until a metric has this line.
fn wait_for(proxy: &Proxy, line: &str) {
    let metrics = proxy.shared.metrics();
    eventually(line, || text_of(metrics).lines().any(|one| one == line));
}
