use std::net::{SocketAddr, UdpSocket};

use super::*;
use crate::{
    Metrics,
    batch::QUERY_BYTES_MAX,
    bind_udp,
    config::UDP_PAYLOAD_LIMIT,
    testing::{Ask, metrics_text, web_by, zones},
    wire::rtype,
};

const PATIENCE: Duration = Duration::from_secs(5);

/// A loop at an address that runs as long as this lives.
pub(super) struct Running {
    pub(super) zones: Arc<ArcSwap<Zones>>,
    pub(super) address: SocketAddr,
    pub(super) metrics: Arc<Metrics>,
    _server: UdpServer,
}

fn run(address: &str) -> Running {
    run_with(address, web_by(""))
}

pub(super) fn run_with(address: &str, zones: Zones) -> Running {
    let zones = Arc::new(ArcSwap::from_pointee(zones));
    let socket = bind_udp(address.parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let metrics = Arc::new(Metrics::default());
    let server = UdpServer::start(socket, Arc::clone(&zones), metrics.counters()).unwrap();
    Running {
        zones,
        address,
        metrics,
        _server: server,
    }
}

pub(super) async fn ask(from: &tokio::net::UdpSocket, query: &[u8]) -> Vec<u8> {
    from.send(query).await.unwrap();
    let mut answer = [0; 5000];
    let received = tokio::time::timeout(PATIENCE, from.recv(&mut answer)).await;
    answer[..received.unwrap().unwrap()].to_vec()
}

/// A client's socket; a connected one takes answers only from where it asked.
async fn client(to: SocketAddr) -> tokio::net::UdpSocket {
    let any = if to.is_ipv4() {
        "127.0.0.1:0"
    } else {
        "[::1]:0"
    };
    let socket = tokio::net::UdpSocket::bind(any).await.unwrap();
    socket.connect(to).await.unwrap();
    socket
}

#[tokio::test]
async fn answers_are_those_of_the_zones_as_they_are_now() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let running = run(address);
        let client = client(running.address).await;
        let query = Ask::new("web.svc.internal", rtype::A).bytes();
        let before = ask(&client, &query).await;
        assert_eq!(before[..8], [0xab, 0xcd, 0x85, 0, 0, 1, 0, 2]);
        running.zones.store(Arc::new(zones([])));
        let after = ask(&client, &query).await;
        assert_eq!(after[3], 3, "NXDOMAIN");
    }
}

#[tokio::test]
async fn what_is_no_query_gets_no_answer_and_does_no_harm() {
    let running = run("127.0.0.1:0");
    let client = client(running.address).await;
    let query = Ask::new("web.svc.internal", rtype::A).bytes();
    let mut answer = query.clone();
    answer[2] |= 0x80;
    for nothing in [&[][..], &[0; 5], &answer] {
        client.send(nothing).await.unwrap();
    }
    // The first answer is to the first query.
    let reply = ask(&client, &query).await;
    assert_eq!(reply[..2], query[..2]);
    assert_eq!(reply[7], 2);
    // Longer than what is read whole.
    let long = [&query[..], &[0; QUERY_BYTES_MAX]].concat();
    assert_eq!(ask(&client, &long).await[7], 2);
    let text = metrics_text(&running.metrics);
    for line in [
        "signpost_dns_dropped_queries_total 3",
        "signpost_dns_queries_total{zone=\"\",type=\"\",transport=\"udp\"} 3",
        "signpost_dns_answer_duration_seconds_count{transport=\"udp\"} 2",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn a_query_as_long_as_we_say_we_take_is_read_whole() {
    let running = run("127.0.0.1:0");
    let client = client(running.address).await;
    let web = || Ask::new("web.svc.internal", rtype::A);
    // An option for padding (RFC 7830) that fills the query up.
    let padding = QUERY_BYTES_MAX - web().edns(1232, 0, 0, &[0; 4]).bytes().len();
    let mut option = [0, 12, 0, 0].to_vec();
    option[2..].copy_from_slice(&(padding as u16).to_be_bytes());
    option.resize(4 + padding, 0);
    let query = web().edns(1232, 0, 0, &option).bytes();
    assert_eq!(query.len(), usize::from(UDP_PAYLOAD_LIMIT));
    let answer = ask(&client, &query).await;
    assert_eq!((answer[3] & 0xf, answer[7]), (0, 2));
}

#[tokio::test]
async fn more_than_a_batch_at_once_is_answered_to_each() {
    let running = run("127.0.0.1:0");
    let address = running.address;
    let clients: Vec<_> = (0..BATCH as u16 * 3)
        .map(|n| {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.connect(address).unwrap();
            let mut query = Ask::new("web.svc.internal", rtype::A).bytes();
            query[..2].copy_from_slice(&n.to_be_bytes());
            client.send(&query).unwrap();
            client.set_nonblocking(true).unwrap();
            tokio::net::UdpSocket::from_std(client).unwrap()
        })
        .collect();
    for (n, client) in (0_u16..).zip(clients) {
        let mut answer = [0; 512];
        let received = tokio::time::timeout(PATIENCE, client.recv(&mut answer)).await;
        received.unwrap().unwrap();
        assert_eq!(answer[..2], n.to_be_bytes());
    }
}

#[tokio::test]
async fn what_has_come_before_the_server_is_dropped_is_answered() {
    let running = run("127.0.0.1:0");
    let client = client(running.address).await;
    let query = Ask::new("web.svc.internal", rtype::A).bytes();
    let queries = BATCH * 3 + 1;
    for _ in 0..queries {
        client.send(&query).await.unwrap();
    }
    drop(running);
    let mut answer = [0; 512];
    let answers = (0..queries).filter(|_| client.try_recv(&mut answer).is_ok());
    // The runtime learns of the first by being waited on.
    tokio::time::timeout(PATIENCE, client.readable())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answers.count(), queries);
}

/// The address stays flooded, as while clients are being told of another.
#[tokio::test]
async fn a_flood_does_not_keep_the_server_from_ending() {
    let running = run("127.0.0.1:0");
    let address = running.address;
    let query = Ask::new("web.svc.internal", rtype::A).bytes();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let client = UdpSocket::bind("127.0.0.1:0").unwrap();
                let start = Instant::now();
                while !over.load(Ordering::Relaxed) && start.elapsed() < PATIENCE {
                    client.send_to(&query, address).ok();
                }
            });
        }
        let start = Instant::now();
        drop(running);
        over.store(true, Ordering::Relaxed);
        assert!(start.elapsed() < PATIENCE);
    });
}

#[tokio::test]
async fn a_server_that_is_dropped_is_gone_at_once_and_leaves_its_numbers() {
    let running = run("127.0.0.1:0");
    let client = client(running.address).await;
    let query = Ask::new("web.svc.internal", rtype::A).bytes();
    ask(&client, &query).await;
    let (address, metrics) = (running.address, Arc::clone(&running.metrics));
    drop(running);
    // The port is free.
    UdpSocket::bind(address).unwrap();
    let of_another = metrics.counters();
    let text = metrics_text(&metrics);
    let line = "signpost_dns_answer_duration_seconds_count{transport=\"udp\"} 1";
    assert!(text.contains(line), "{text}");
    drop(of_another);
}

#[tokio::test]
async fn a_socket_of_no_use_is_reported() {
    // Nothing can be received by a socket that listens for connections.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = UdpSocket::from(std::os::fd::OwnedFd::from(listener));
    let zones = Arc::new(ArcSwap::from_pointee(zones([])));
    let mut server = UdpServer::start(socket, zones, Arc::default()).unwrap();
    let failed = tokio::time::timeout(PATIENCE, server.failed()).await;
    assert_eq!(failed.unwrap().kind(), io::ErrorKind::NotConnected);
}

#[tokio::test]
async fn behind_a_wildcard_the_address_that_was_asked_answers() {
    for (wildcard, asked) in [("0.0.0.0:0", "127.0.0.9"), ("[::]:0", "::1")] {
        let running = run(wildcard);
        let port = running.address.port();
        let client = client(SocketAddr::new(asked.parse().unwrap(), port)).await;
        let query = Ask::new("web.svc.internal", rtype::A).bytes();
        assert_eq!(ask(&client, &query).await[7], 2);
    }
}

#[tokio::test]
async fn who_releases_a_socket_leaves_its_queries_to_who_has_it_too() {
    let socket = bind_udp("127.0.0.1:0".parse().unwrap()).unwrap();
    let (address, shared) = (socket.local_addr().unwrap(), socket.try_clone().unwrap());
    let start = |socket| {
        let zones = Arc::new(ArcSwap::from_pointee(web_by("")));
        UdpServer::start(socket, zones, Arc::default()).unwrap()
    };
    let old = start(socket);
    let client = client(address).await;
    let query = Ask::new("web.svc.internal", rtype::A).bytes();
    assert_eq!(ask(&client, &query).await[7], 2);
    old.release().await;
    client.send(&query).await.unwrap();
    // It waits in the socket until somebody takes it.
    let _new = start(shared);
    let mut answer = [0; 512];
    let received = tokio::time::timeout(PATIENCE, client.recv(&mut answer)).await;
    received.unwrap().unwrap();
    assert_eq!((ask(&client, &query).await[7], answer[7]), (2, 2));
}
