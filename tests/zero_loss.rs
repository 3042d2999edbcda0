//! No request is lost while instances come and go and the configuration changes.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::oneshot,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use crate::support::{
    load::{Clients, Load},
    signpost::Signpost,
};

/// How long it lasts; `bench/zero_loss.py` does the same for six times as long.
const LASTS: Duration = Duration::from_secs(10);

/// How often the membership changes: 1,000 times a minute.
const CHANGE_EVERY: Duration = Duration::from_millis(60);

/// How often the configuration changes: 100 times a minute.
const RELOAD_EVERY: Duration = Duration::from_millis(600);

/// How many instances there are at the least.
const INSTANCES: usize = 6;

/// How long after the answer to its removal an instance may get requests. These were on their way: to
/// choose an instance and to send it the request is one step, which nothing but other threads holds up.
const REMOVED_WITHIN: Duration = Duration::from_millis(500);

/// How long an instance that was removed is watched.
const WATCHED: Duration = Duration::from_secs(1);

/// How often a tunnel carries a byte there and back.
const PING_EVERY: Duration = Duration::from_millis(20);

const CLIENTS: Clients = Clients {
    kept: 64,
    new: 4,
    udp: 1,
    tcp: 1,
    tcp_kept: 1,
};

/// An instance that really ends: when told to, it finishes its requests and closes its connections.
struct Instance {
    id: String,
    stop: oneshot::Sender<()>,
    last_request: Arc<Mutex<Option<Instant>>>,
}

impl Instance {
    async fn start(signpost: &Signpost, number: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel();
        let last_request = Arc::<Mutex<Option<Instant>>>::default();
        tokio::spawn(serve(listener, stopped, Arc::clone(&last_request)));
        let id = format!("i{number}");
        let body = format!(r#"{{"address": "127.0.0.1", "port": {port}}}"#);
        let (status, answer) = tokio::task::block_in_place(|| signpost.put("web", &id, &body));
        assert_eq!(status, 201, "{answer}");
        Self {
            id,
            stop,
            last_request,
        }
    }

    /// Removes it; returns what tells how late its last request came, if it isn't to end at once.
    async fn end(
        self,
        signpost: &Signpost,
        at_once: bool,
    ) -> Option<impl Future<Output = Duration> + use<>> {
        let (status, answer) = tokio::task::block_in_place(|| signpost.delete("web", &self.id));
        assert_eq!(status, 200, "{answer}");
        let removed = Instant::now();
        let watched = async move {
            sleep(WATCHED).await;
            let last = self.last_request.lock().unwrap().take();
            // It is out of the proxy's hands now; its task may be gone only if it has panicked.
            self.stop.send(()).unwrap();
            last.map_or(Duration::ZERO, |last| {
                last.saturating_duration_since(removed)
            })
        };
        if at_once {
            // Dropped, it stops.
            drop(watched);
            return None;
        }
        Some(watched)
    }
}

async fn serve(
    listener: TcpListener,
    mut stopped: oneshot::Receiver<()>,
    last_request: Arc<Mutex<Option<Instant>>>,
) {
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => break,
        };
        let (stream, _) = accepted.unwrap();
        let last_request = Arc::clone(&last_request);
        let answer = service_fn(move |_| {
            *last_request.lock().unwrap() = Some(Instant::now());
            async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello")))) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), answer);
        tokio::spawn(connections.watch(connection));
    }
    drop(listener);
    connections.shutdown().await;
}

#[test]
fn changes_and_reloads_under_load_lose_nothing() {
    let runtime = Runtime::new().unwrap();
    let signpost = Signpost::start("");
    let reloads = runtime.block_on(async {
        let mut instances = Vec::new();
        for number in 0..INSTANCES {
            instances.push(Instance::start(&signpost, number).await);
        }
        let tunnels = Tunnels::start(&signpost, 4).await;
        let load = Load::start(CLIENTS, signpost.proxy(), signpost.dns());
        let (mut changes, mut reloads, mut number) = (0, 0, INSTANCES);
        let mut change = interval(CHANGE_EVERY);
        let mut reload = interval(RELOAD_EVERY);
        change.set_missed_tick_behavior(MissedTickBehavior::Burst);
        reload.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watched = JoinSet::new();
        let end = Instant::now() + LASTS;
        while Instant::now() < end {
            tokio::select! {
                _ = change.tick() => {
                    changes += 1;
                    // One comes before the oldest goes, so that there are always enough.
                    if instances.len() <= INSTANCES {
                        instances.push(Instance::start(&signpost, number).await);
                        number += 1;
                    } else {
                        let oldest = instances.remove(0);
                        if let Some(late) = oldest.end(&signpost, changes % 4 == 0).await {
                            watched.spawn(late);
                        }
                    }
                }
                _ = reload.tick() => {
                    signpost.write_config(&config(reloads));
                    reloads += 1;
                }
            }
        }
        let planned = LASTS.as_millis() / CHANGE_EVERY.as_millis();
        assert!(
            changes >= planned * 3 / 4,
            "only {changes} of {planned} changes"
        );
        let seen = load.stop().await;
        assert!(
            seen.requests.load(Ordering::Relaxed) > 1000,
            "{}",
            seen.summary()
        );
        let late = watched.join_all().await.into_iter().max().unwrap();
        assert!(
            late <= REMOVED_WITHIN,
            "a request came {late:?} after the removal"
        );
        tunnels.stop().await;
        reloads
    });
    let reloaded = signpost.logged("configuration reloaded").len();
    // The first may be the configuration that was there, and the last is still on its way.
    assert!(
        reloaded + 2 >= reloads,
        "{reloaded} of {reloads} reloads\n{}",
        signpost.log()
    );
}

/// Tunnels through the proxy that carry a byte there and back, all the time.
struct Tunnels {
    over: Arc<AtomicBool>,
    pings: Arc<AtomicUsize>,
    tunnels: JoinSet<()>,
}

impl Tunnels {
    async fn start(signpost: &Signpost, count: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(echo(listener));
        let body = format!(r#"{{"address": "127.0.0.1", "port": {port}}}"#);
        let put = || signpost.put("tunnels", "one", &body);
        assert_eq!(tokio::task::block_in_place(put).0, 201);
        let mut all = Self {
            over: Arc::default(),
            pings: Arc::default(),
            tunnels: JoinSet::new(),
        };
        for _ in 0..count {
            let stream = tunnel(signpost.proxy()).await;
            let (over, pings) = (Arc::clone(&all.over), Arc::clone(&all.pings));
            all.tunnels.spawn(ping(stream, over, pings));
        }
        all
    }

    async fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        self.tunnels.join_all().await;
        assert!(self.pings.load(Ordering::Relaxed) > 100);
    }
}

/// Opens a tunnel.
async fn tunnel(proxy: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    let request =
        b"GET / HTTP/1.1\r\nHost: tunnels\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let head = read_head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Agrees to any change of the protocol, and sends back what comes.
async fn echo(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            read_head(&mut stream).await;
            let agreed =
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
            stream.write_all(agreed.as_bytes()).await.unwrap();
            let (mut from, mut to) = stream.split();
            // It ends with the test.
            tokio::io::copy(&mut from, &mut to).await.ok();
        });
    }
}

async fn ping(mut stream: TcpStream, over: Arc<AtomicBool>, pings: Arc<AtomicUsize>) {
    while !over.load(Ordering::Relaxed) {
        stream.write_u8(7).await.unwrap();
        let back = timeout(Duration::from_secs(5), stream.read_u8()).await;
        assert_eq!(back.expect("a byte comes back in time").unwrap(), 7);
        pings.fetch_add(1, Ordering::Relaxed);
        sleep(PING_EVERY).await;
    }
}

/// A configuration in which a route and a zone come and go; what the load uses stays.
fn config(number: usize) -> String {
    match number % 2 {
        0 => "[[proxy.routes]]\nhost = 'other.example'\nservice = 'web'\n[[dns.zones]]\ndomain = 'svc.internal'\n[[dns.zones]]\ndomain = 'a.test'\n[dns]\nlisten = ['127.0.0.1:0', '127.0.0.2:0']\n[[proxy.listeners]]\nlisten = '127.0.0.1:0'\n[[proxy.listeners]]\nlisten = '127.0.0.2:0'\n".to_owned(),
        _ => format!("[proxy.timeouts]\nidle = '{}s'\n", 60 + number),
    }
}
