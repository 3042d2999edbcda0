use std::{future::pending, net::SocketAddr};

use hickory_proto::op::{Message, ResponseCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};

use super::{
    tests::{Running, ask, run_with},
    *,
};
use crate::{
    Config, Cookies, bind_tcp,
    forward::Forwarder,
    serve_tcp,
    testing::{Ask, metrics_text, web_by},
    wire::rtype,
};

/// Ten answers at once; the tests are over before there are many more.
const LIMIT: &str = "rate_limit = { responses_per_second = 1, burst = '10s', slip = 2 }";

/// How many queries a flood has, which is less than a batch.
const FLOOD: u64 = 30;

/// What a client has got of its flood.
#[derive(Debug, Default)]
struct Got {
    whole: u64,
    empty: u64,
}

/// A client whose answers are looked at later.
fn client(address: &str, to: SocketAddr) -> UdpSocket {
    let client = UdpSocket::bind((address, 0)).unwrap();
    client.connect(to).unwrap();
    client.set_nonblocking(true).unwrap();
    client
}

async fn ask_from(address: &str, to: SocketAddr) -> Message {
    let client = tokio::net::UdpSocket::from_std(client(address, to)).unwrap();
    let query = Ask::new("web.svc.internal", rtype::A).bytes();
    Message::from_vec(&ask(&client, &query).await).unwrap()
}

/// Sends so many queries, and takes the answers once all of them are done with.
async fn flood(running: &Running, address: &str, name: &str) -> Got {
    let client = client(address, running.address);
    let query = Ask::new(name, rtype::A).edns(1232, 0, 0, &[]).bytes();
    for _ in 0..FLOOD {
        client.send(&query).unwrap();
    }
    // Whoever asks after all these is answered after them.
    ask_from("127.9.9.9", running.address).await;
    let mut got = Got::default();
    let mut bytes = [0; 1232];
    while let Ok(len) = client.recv(&mut bytes) {
        let answer = Message::from_vec(&bytes[..len]).unwrap();
        assert!(answer.edns.is_some());
        assert_eq!(answer.queries.len(), 1);
        match answer.metadata.truncation {
            false => got.whole += 1,
            true => {
                got.empty += 1;
                assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
                assert!(answer.answers.is_empty() && answer.authorities.is_empty());
            }
        }
    }
    got
}

#[tokio::test]
async fn a_flood_is_limited_and_nobody_else_is() {
    let running = run_with("127.0.0.1:0", web_by(LIMIT));
    let started = Instant::now();
    let one = flood(&running, "127.0.1.7", "web.svc.internal").await;
    // Its neighbour is in the same network, and what is denied is limited as well.
    let other = flood(&running, "127.0.1.8", "nobody.svc.internal").await;
    let more = 1 + started.elapsed().as_secs();
    let (whole, empty) = (one.whole + other.whole, one.empty + other.empty);
    assert!((10..=10 + more).contains(&whole), "{one:?} {other:?}");
    assert_eq!(empty, (2 * FLOOD - whole) / 2, "{one:?} {other:?}");
    let text = metrics_text(&running.metrics);
    for (verdict, count) in [("slip", empty), ("drop", 2 * FLOOD - whole - empty)] {
        let line =
            format!("signpost_dns_rate_limited_answers_total{{verdict=\"{verdict}\"}} {count}\n");
        assert!(text.contains(&line), "{line} in\n{text}");
    }
    assert!(text.contains("signpost_dns_dropped_queries_total 0\n"));
    let answer = ask_from("127.0.2.7", running.address).await;
    assert_eq!(answer.answers.len(), 2);
}

#[tokio::test]
async fn what_resolvers_are_asked_is_limited_as_well() {
    let forward = "forward = { resolvers = ['127.0.0.1'] }";
    let config: Config = toml::from_str(forward).unwrap();
    let zones = web_by(&format!("{LIMIT}\n{forward}"));
    let zones = zones.with_forwarder(Forwarder::new(&config.forward));
    let running = run_with("127.0.0.1:0", zones);
    let started = Instant::now();
    let got = flood(&running, "127.0.1.7", "www.example").await;
    let more = 1 + started.elapsed().as_secs();
    let text = metrics_text(&running.metrics);
    let mut lines = text.lines();
    let forwarded =
        lines.find_map(|line| line.strip_prefix("signpost_dns_forwarded_queries_total "));
    let forwarded: u64 = forwarded.unwrap().parse().unwrap();
    assert!((10..=10 + more).contains(&forwarded), "{forwarded}");
    assert_eq!(got.empty, (FLOOD - forwarded) / 2, "{got:?}");
}

#[tokio::test]
async fn who_is_limited_is_still_answered_over_tcp() {
    let running = run_with("127.0.0.1:0", web_by(LIMIT));
    flood(&running, "127.0.1.7", "web.svc.internal").await;
    let listener = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (zones, counters) = (Arc::clone(&running.zones), Arc::default());
    let serve = serve_tcp(listener, zones, counters, &Config::default(), pending());
    let serve = tokio::spawn(serve);
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 1, 7], 0))).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let query = Ask::new("web.svc.internal", rtype::A).bytes();
    for _ in 0..FLOOD {
        stream.write_u16(query.len() as u16).await.unwrap();
        stream.write_all(&query).await.unwrap();
        let mut answer = vec![0; stream.read_u16().await.unwrap().into()];
        stream.read_exact(&mut answer).await.unwrap();
        let answer = Message::from_vec(&answer).unwrap();
        assert_eq!(answer.answers.len(), 2);
    }
    serve.abort();
}

#[tokio::test]
async fn a_limit_comes_and_goes_with_the_zones() {
    let running = run_with("127.0.0.1:0", web_by(""));
    let all = flood(&running, "127.0.1.7", "web.svc.internal").await;
    assert_eq!((all.whole, all.empty), (FLOOD, 0));
    running.zones.store(Arc::new(web_by(LIMIT)));
    let limited = flood(&running, "127.0.1.7", "web.svc.internal").await;
    assert!(limited.whole < FLOOD, "{limited:?}");
    // Nothing is forgotten by a change of something else.
    let config = format!("udp_payload_max = 600\n{LIMIT}");
    running.zones.store(Arc::new(web_by(&config)));
    let limited = flood(&running, "127.0.1.7", "web.svc.internal").await;
    assert!(limited.whole < 10, "{limited:?}");
    running.zones.store(Arc::new(web_by("")));
    let all = flood(&running, "127.0.1.7", "web.svc.internal").await;
    assert_eq!((all.whole, all.empty), (FLOOD, 0));
}

#[tokio::test]
async fn what_cannot_be_read_is_limited_too_and_keeps_its_code() {
    let config = "rate_limit = { responses_per_second = 1, burst = '1s', slip = 1 }";
    let running = run_with("127.0.0.1:0", web_by(config));
    let client = tokio::net::UdpSocket::from_std(client("127.0.1.7", running.address)).unwrap();
    let mut no_question = Ask::new("web.svc.internal", rtype::A).bytes();
    no_question.truncate(12);
    no_question[5] = 0;
    let mut status = Ask::new("web.svc.internal", rtype::A);
    status.flags |= 2 << 11;
    for (query, code) in [
        (no_question, ResponseCode::FormErr),
        (status.bytes(), ResponseCode::NotImp),
    ] {
        let mut answer = Message::from_vec(&ask(&client, &query).await).unwrap();
        while !answer.metadata.truncation {
            answer = Message::from_vec(&ask(&client, &query).await).unwrap();
        }
        assert_eq!(answer.metadata.response_code, code);
    }
}

#[tokio::test]
async fn who_shows_a_valid_cookie_is_not_limited() {
    let cookies = Arc::new(Cookies::new([7; 16]));
    let zones = web_by(LIMIT).with_cookies(Arc::clone(&cookies));
    let running = run_with("127.0.0.1:0", zones);
    let socket = client("127.0.1.7", running.address);
    let client = socket.local_addr().unwrap().ip();
    let cookie = cookies.make(&[1; 8], client, clock::now());
    let query = Ask::new("web.svc.internal", rtype::A).options(&[(10, &cookie)]);
    let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
    for _ in 0..FLOOD {
        let answer = Message::from_vec(&ask(&socket, &query.bytes()).await).unwrap();
        assert_eq!(answer.answers.len(), 2);
    }
}
