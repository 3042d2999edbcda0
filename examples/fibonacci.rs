//! Computes Fibonacci numbers with a service whose instances ask each other.
//!
//! One command starts signpost on the embedded store and three instances of the service:
//!
//! ```text
//! cargo run --example fibonacci
//! curl http://127.0.0.1:8080/fibonacci/15        # 610
//! ```
//!
//! To answer for `n`, an instance asks for `n - 1` and `n - 2`. It finds somebody to ask by DNS (an SRV
//! query, and a choice by priority and weight as RFC 2782 has it), or with `--through-proxy` it asks
//! signpost's proxy, which chooses. The access log has a line for each request the proxy has forwarded:
//! which instance served it and how long it took. With `--through-proxy` these are all of them.
//!
//! It can't deadlock: an instance takes any number of requests at a time, waits for one answer after the
//! other, and refuses numbers above [`N_MAX`]. So a request never waits for a place that is held by a
//! request waiting for it, and one from outside means at most `N_MAX` under way at a time.

use std::{error::Error, net::SocketAddr, path::Path, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    time::MissedTickBehavior,
};

#[path = "fibonacci/resolver.rs"]
mod resolver;

use resolver::Resolver;

/// How many instances there are.
const INSTANCES: usize = 3;

/// The largest number that is computed: it takes some 3,200 requests, each on a connection of its own.
const N_MAX: u64 = 16;

/// How long an instance that can't take a connection waits before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long an instance stays registered without saying that it is there.
const TTL: Duration = Duration::from_secs(10);

type Failure = Box<dyn Error + Send + Sync>;

/// Where an instance finds others.
#[derive(Clone)]
enum Others {
    Dns(Resolver),
    Proxy(SocketAddr),
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let through_proxy = std::env::args().any(|argument| argument == "--through-proxy");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/fibonacci.toml");
    let environment = signpost::environment();
    let mut config = signpost::Config::load(Some(&file), &environment)?;
    // A store of its own, gone when the example ends.
    let directory = tempfile::tempdir()?;
    config.registry.state_dir = directory.path().to_owned();
    let store = registry::sources::store::Config {
        path: directory.path().to_owned(),
        ..Default::default()
    };
    let store = registry::sources::Config::Store(store);
    config.sources = [("embedded".to_owned(), store)].into();

    let server = signpost::Server::start(config).await;
    let mut server = server.map_err(|problem| problem.to_string())?;
    let addresses = server.addresses();
    let others = match through_proxy {
        true => Others::Proxy(addresses.proxy[0]),
        false => Others::Dns(Resolver::new(addresses.dns[0])),
    };
    for number in 1..=INSTANCES {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(serve(listener, others.clone()));
        let id = format!("fibonacci-{number}");
        register(addresses.admin, &id, port).await?;
        tokio::spawn(stay_registered(addresses.admin, id, port));
    }
    announce(&format!(
        "ready: curl http://{}/fibonacci/15",
        addresses.proxy[0]
    ));
    server
        .serve(None, environment, tokio::signal::ctrl_c())
        .await?;
    server.drain().await;
    Ok(())
}

/// Serves one instance.
async fn serve(listener: TcpListener, others: Others) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // The files have run out, or the client has gone; the instance goes on.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let others = others.clone();
        let service = service_fn(move |request| answer(request, others.clone()));
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        // A client that hangs up is no news.
        tokio::spawn(async { connection.await.ok() });
    }
}

/// Answers `GET /fibonacci/N`.
async fn answer(
    request: Request<Incoming>,
    others: Others,
) -> Result<Response<Full<Bytes>>, Failure> {
    let number = request.uri().path().strip_prefix("/fibonacci/");
    let (status, text) = match number.map(str::parse::<u64>) {
        Some(Ok(n @ 0..=1)) => (StatusCode::OK, n.to_string()),
        Some(Ok(n)) if n <= N_MAX => match sum(n, &others).await {
            Ok(sum) => (StatusCode::OK, sum.to_string()),
            Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()),
        },
        Some(_) => (
            StatusCode::BAD_REQUEST,
            format!("give a number from 0 to {N_MAX}"),
        ),
        None => (StatusCode::NOT_FOUND, "try /fibonacci/15".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text + "\n")));
    *response.status_mut() = status;
    Ok(response)
}

/// Asks for the two numbers before `n`, one after the other.
async fn sum(n: u64, others: &Others) -> Result<u64, Failure> {
    Ok(ask(n - 1, others).await? + ask(n - 2, others).await?)
}

async fn ask(n: u64, others: &Others) -> Result<u64, Failure> {
    let address = match others {
        Others::Proxy(address) => *address,
        Others::Dns(resolver) => resolver.choose("_fibonacci._tcp.svc.internal.").await?,
    };
    let path = format!("/fibonacci/{n}");
    let (status, body) = send(address, Method::GET, &path, "").await?;
    let text = String::from_utf8_lossy(&body);
    match status {
        StatusCode::OK => Ok(text.trim().parse()?),
        _ => Err(format!("{address} answered {status}: {}", text.trim()).into()),
    }
}

async fn register(admin: SocketAddr, id: &str, port: u16) -> Result<(), Failure> {
    let path = format!("/v1/services/fibonacci/instances/{id}");
    let ttl = TTL.as_secs();
    let body = format!(r#"{{"address": "127.0.0.1", "port": {port}, "ttl": "{ttl}s"}}"#);
    let (status, body) = send(admin, Method::PUT, &path, &body).await?;
    match status.is_success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&body).into()),
    }
}

async fn stay_registered(admin: SocketAddr, id: String, port: u16) {
    let mut ticks = tokio::time::interval(TTL / 3);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = register(admin, &id, port).await {
            announce(&format!("{id} could not register: {error}"));
        }
    }
}

/// Sends one request on a connection of its own.
async fn send(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: &str,
) -> Result<(StatusCode, Bytes), Failure> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // What goes wrong on the connection goes wrong with the request.
    tokio::spawn(async { connection.await.ok() });
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, address.to_string())
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

#[expect(clippy::print_stderr, reason = "it is for the one at the terminal")]
fn announce(text: &str) {
    eprintln!("{text}");
}
