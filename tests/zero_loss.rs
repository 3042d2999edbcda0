//! No request is lost while instances come and go and the configuration changes.

use std::{
    convert::Infallible,
    net::SocketAddr,
    process::{Command, Stdio},
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
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};

use crate::support::signpost::Signpost;

/// How long the load lasts.
const LOAD: Duration = Duration::from_secs(30);

/// How many instances there are at the least.
const INSTANCES: usize = 6;

/// How often an instance comes or goes: 20 times a second.
const CHURN_EVERY: Duration = Duration::from_millis(50);

/// How often the configuration changes: 30 times in all.
const RELOAD_EVERY: Duration = Duration::from_secs(1);

/// An instance that really ends: when told to, it finishes its requests and closes its connections.
struct Instance {
    id: String,
    stop: oneshot::Sender<()>,
}

impl Instance {
    async fn start(signpost: &Signpost, number: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(serve(listener, stopped));
        let id = format!("i{number}");
        let body = format!(r#"{{"address": "127.0.0.1", "port": {port}}}"#);
        let (status, answer) = tokio::task::block_in_place(|| signpost.put("web", &id, &body));
        assert_eq!(status, 201, "{answer}");
        Self { id, stop }
    }

    async fn end(self, signpost: &Signpost) {
        let (status, answer) = tokio::task::block_in_place(|| signpost.delete("web", &self.id));
        assert_eq!(status, 200, "{answer}");
        // It is out of the proxy's hands now; its task may be gone only if it has panicked.
        self.stop.send(()).unwrap();
    }
}

async fn serve(listener: TcpListener, mut stopped: oneshot::Receiver<()>) {
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => break,
        };
        let (stream, _) = accepted.unwrap();
        let answer = service_fn(|_| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), answer);
        tokio::spawn(connections.watch(connection));
    }
    drop(listener);
    connections.shutdown().await;
}

#[test]
fn churn_and_reloads_under_load_fail_no_request() {
    let runtime = Runtime::new().unwrap();
    let signpost = Signpost::start("");
    let report = runtime.block_on(async {
        let mut instances = Vec::new();
        for number in 0..INSTANCES {
            instances.push(Instance::start(&signpost, number).await);
        }
        let url = format!("http://{}/", signpost.proxy());
        let seconds = format!("-d{}s", LOAD.as_secs());
        let load = Command::new("wrk")
            .args([
                "-t1",
                "-c64",
                &seconds,
                "--timeout",
                "5s",
                "-H",
                "Host: web",
                &url,
            ])
            .stdout(Stdio::piped())
            .spawn()
            .expect("wrk is installed");
        let load = tokio::task::spawn_blocking(|| load.wait_with_output());
        let newcomers = tokio::spawn(connect_anew(signpost.proxy()));
        tokio::pin!(load);

        let (mut number, mut reloads) = (INSTANCES, 0);
        let mut churn = interval(CHURN_EVERY);
        let mut reload = interval(RELOAD_EVERY);
        churn.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let limit = Instant::now() + LOAD * 2;
        let output = loop {
            tokio::select! {
                _ = churn.tick() => {
                    // One comes before the oldest goes, so that there are always enough.
                    if instances.len() <= INSTANCES {
                        instances.push(Instance::start(&signpost, number).await);
                        number += 1;
                    } else {
                        instances.remove(0).end(&signpost).await;
                    }
                }
                _ = reload.tick() => {
                    signpost.write_config(&config(reloads));
                    reloads += 1;
                }
                output = &mut load => break output.unwrap().unwrap(),
                () = sleep_until(limit) => panic!("wrk doesn't end"),
            }
        };
        assert!(number > INSTANCES + 200, "only {number} instances came");
        let connected = newcomers.await.unwrap();
        assert!(connected > 100, "only {connected} connections");
        String::from_utf8(output.stdout).unwrap()
    });
    let reloaded = signpost.logged("configuration reloaded").len();
    assert!(reloaded >= 28, "{reloaded} reloads\n{}", signpost.log());
    assert!(
        report.contains("requests in") && !report.contains("Socket errors"),
        "{report}"
    );
    assert!(!report.contains("Non-2xx"), "{report}\n{}", signpost.log());
}

/// Sends requests on connections of their own for as long as the load lasts; returns how many.
async fn connect_anew(proxy: SocketAddr) -> usize {
    let end = Instant::now() + LOAD;
    let mut count = 0;
    while Instant::now() < end {
        let mut stream = TcpStream::connect(proxy).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        count += 1;
        // Few enough that no port is used a second time.
        sleep(Duration::from_millis(10)).await;
    }
    count
}

/// A configuration in which a route and a zone come and go; what the load uses stays.
fn config(number: usize) -> String {
    match number % 2 {
        0 => "[[proxy.routes]]\nhost = 'other.example'\nservice = 'web'\n[[dns.zones]]\ndomain = 'a.test'\n[dns]\nlisten = ['127.0.0.1:0', '127.0.0.2:0']\n[[proxy.listeners]]\nlisten = '127.0.0.1:0'\n[[proxy.listeners]]\nlisten = '127.0.0.2:0'\n".to_owned(),
        _ => format!("[proxy.timeouts]\nidle = '{}s'\n", 60 + number),
    }
}
