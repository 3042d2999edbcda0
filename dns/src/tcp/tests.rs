use std::net::SocketAddr;

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use registry::{Service, testing};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream as Stream,
};

use super::*;
use crate::{
    bind_tcp, serve_udp,
    testing::{Ask, lines, zones},
    wire::rtype,
};
use hickory_proto::op::Message;

const PATIENCE: Duration = Duration::from_secs(5);

struct Running {
    address: SocketAddr,
    zones: Arc<ArcSwap<Zones>>,
    task: tokio::task::JoinHandle<io::Result<Infallible>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn run(services: Vec<Service>, change: impl Fn(&mut Config)) -> Running {
    let mut config = Config::default();
    change(&mut config);
    let zones = Arc::new(ArcSwap::from_pointee(zones(services)));
    let listener = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let served = Arc::clone(&zones);
    let task = tokio::spawn(serve_tcp(listener, served, Arc::default(), &config));
    Running {
        address,
        zones,
        task,
    }
}

fn crowd(count: u16) -> Vec<Service> {
    let instance = |n: u16| {
        let host = format!("10.0.{}.{}", n / 250, n % 250);
        testing::instance(&format!("instance-{n}"), &host, 80)
    };
    vec![testing::service_of("web", (0..count).map(instance))]
}

async fn send(stream: &mut Stream, query: &[u8]) {
    let len = (query.len() as u16).to_be_bytes();
    stream.write_all(&[&len, query].concat()).await.unwrap();
}

/// The next answer; `None` at the end of the stream.
async fn receive(stream: &mut Stream) -> Option<Vec<u8>> {
    let read = async {
        let len = stream.read_u16().await.ok()?;
        let mut answer = vec![0; usize::from(len)];
        stream.read_exact(&mut answer).await.ok()?;
        Some(answer)
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("an answer or the end comes in time")
}

async fn ask(running: &Running, query: &[u8]) -> Option<Vec<u8>> {
    let mut stream = Stream::connect(running.address).await.unwrap();
    send(&mut stream, query).await;
    receive(&mut stream).await
}

#[tokio::test]
async fn large_answers_come_whole() {
    let running = run(crowd(1000), |_| {});
    let answer = ask(&running, &Ask::new("web.svc.internal", rtype::A).bytes())
        .await
        .unwrap();
    let message = Message::from_vec(&answer).unwrap();
    assert!(!message.metadata.truncation);
    assert_eq!(message.answers.len(), 1000);
    let srv = ask(
        &running,
        &Ask::new("_web._tcp.svc.internal", rtype::SRV).bytes(),
    )
    .await
    .unwrap();
    let message = Message::from_vec(&srv).unwrap();
    assert!(!message.metadata.truncation);
    assert_eq!(message.answers.len(), 1000);
    assert!(srv.len() > 60_000 && message.additionals.len() > 500);
}

#[tokio::test]
async fn several_queries_on_one_connection_are_answered_in_order() {
    let running = run(crowd(3), |_| {});
    let mut stream = Stream::connect(running.address).await.unwrap();
    for id in 0..20 {
        let mut query = Ask::new("web.svc.internal", rtype::A).bytes();
        query[1] = id;
        send(&mut stream, &query).await;
    }
    stream.shutdown().await.unwrap();
    for id in 0..20 {
        assert_eq!(receive(&mut stream).await.unwrap()[1], id);
    }
    assert_eq!(receive(&mut stream).await, None);
}

#[tokio::test]
async fn case_and_flags_are_kept_and_what_cannot_be_read_is_a_format_error() {
    let running = run(crowd(1), |_| {});
    let ask_case = Ask::new("wEb.SVC.interNAL", rtype::A);
    let answer = ask(&running, &ask_case.bytes()).await.unwrap();
    assert_eq!(&answer[12..][..ask_case.name.len()], &ask_case.name[..]);
    assert_eq!(answer[2..4], [0x85, 0]);
    let bad = Ask::new("wEb.svc.internal", rtype::A)
        .edns(1232, 0, 0, &[])
        .edns(1232, 0, 0, &[]);
    let answer = ask(&running, &bad.bytes()).await.unwrap();
    assert_eq!(
        (answer[3], &answer[12..][..bad.name.len()]),
        (1, &bad.name[..])
    );
}

#[tokio::test]
async fn an_answer_instead_of_a_query_is_passed_over() {
    let running = run(crowd(1), |_| {});
    let mut stream = Stream::connect(running.address).await.unwrap();
    let mut query = Ask::new("web.svc.internal", rtype::A);
    query.flags |= 0x8000;
    send(&mut stream, &query.bytes()).await;
    send(&mut stream, &[1, 2, 3]).await;
    query.flags = 0;
    send(&mut stream, &query.bytes()).await;
    assert_eq!(receive(&mut stream).await.unwrap()[7], 1);
}

#[tokio::test]
async fn idle_connections_are_closed_and_half_a_query_is_idle() {
    let running = run(crowd(1), |config| {
        config.tcp_idle_timeout = config::Duration::from_millis(50);
    });
    let mut stream = Stream::connect(running.address).await.unwrap();
    stream.write_all(&[0, 40, 1]).await.unwrap();
    assert_eq!(receive(&mut stream).await, None);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let running = run(crowd(1), |config| config.tcp_connections_max = 1);
    let query = Ask::new("web.svc.internal", rtype::A).bytes();
    let mut first = Stream::connect(running.address).await.unwrap();
    send(&mut first, &query).await;
    assert!(receive(&mut first).await.is_some());
    let mut second = Stream::connect(running.address).await.unwrap();
    send(&mut second, &query).await;
    let early = tokio::time::timeout(Duration::from_millis(50), second.readable()).await;
    assert!(early.is_err(), "the place is taken");
    drop(first);
    assert!(receive(&mut second).await.is_some());
}

#[tokio::test]
async fn a_server_that_is_dropped_closes_its_connections() {
    let running = run(crowd(1), |_| {});
    let mut stream = Stream::connect(running.address).await.unwrap();
    send(&mut stream, &Ask::new("web.svc.internal", rtype::A).bytes()).await;
    assert!(receive(&mut stream).await.is_some());
    drop(running);
    assert_eq!(receive(&mut stream).await, None);
}

/// The parts of an answer that must not depend on the transport.
fn sections(answer: &[u8]) -> impl PartialEq + std::fmt::Debug {
    let message = Message::from_vec(answer).unwrap();
    let edns = message.edns.as_ref();
    (
        answer[..12].to_vec(),
        message.queries.clone(),
        lines(&message.answers),
        lines(&message.authorities),
        lines(&message.additionals),
        edns.map(|edns| (edns.max_payload(), edns.version(), edns.flags().dnssec_ok)),
    )
}

fn any_query() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec![
        "web.svc.internal",
        "WEB.svc.Internal",
        "_web._tcp.svc.internal",
        "instance-1.web.svc.internal",
        "_tcp.svc.internal",
        "svc.internal",
        "ns.svc.internal",
        "nobody.svc.internal",
        "1.0.0.10.in-addr.arpa",
        "example.com",
        "",
    ]);
    let qtype = prop::sample::select(vec![
        1_u16, 2, 6, 12, 16, 28, 33, 41, 251, 252, 253, 255, 999,
    ]);
    let class = prop::sample::select(vec![1_u16, 1, 1, 3, 255]);
    let edns = prop::option::of((
        512..5000_u16,
        0..2_u8,
        prop::sample::select(vec![0, 0x8000]),
    ));
    let opcode = prop::sample::select(vec![0_u16, 0, 0, 1, 2, 3, 4, 5, 6, 15]);
    (name, qtype, class, edns, opcode, any::<u16>(), 0..3_u16).prop_map(
        |(name, qtype, class, edns, opcode, flags, questions)| {
            let mut ask = Ask::new(name, qtype);
            ask.class = class;
            ask.flags = opcode << 11 | flags & 0x07ff;
            ask.counts[0] = if questions == 0 { 0 } else { 1 };
            if questions == 0 {
                let mut bytes = ask.bytes();
                bytes.truncate(12);
                return bytes;
            }
            if let Some((payload, version, flags)) = edns {
                ask = ask.edns(payload, version, flags, &[]);
            }
            ask.bytes()
        },
    )
}

#[tokio::test]
async fn udp_and_tcp_say_the_same() {
    let running = run(crowd(5), |_| {});
    let socket = crate::bind_udp("127.0.0.1:0".parse().unwrap()).unwrap();
    let udp = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    udp.connect(socket.local_addr().unwrap()).await.unwrap();
    let zones = Arc::clone(&running.zones);
    let loop_over_udp = tokio::spawn(serve_udp(socket, zones, Arc::default()));
    let mut tcp = Stream::connect(running.address).await.unwrap();
    let mut runner = TestRunner::deterministic();
    let queries = any_query();
    for _ in 0..1500 {
        let query = queries.new_tree(&mut runner).unwrap().current();
        udp.send(&query).await.unwrap();
        let mut by_udp = vec![0; 5000];
        let received = tokio::time::timeout(PATIENCE, udp.recv(&mut by_udp)).await;
        by_udp.truncate(received.unwrap().unwrap());
        send(&mut tcp, &query).await;
        let by_tcp = receive(&mut tcp).await.unwrap();
        let truncated = by_udp[2] & 2 != 0;
        assert!(!truncated, "five instances fit");
        assert_eq!(sections(&by_udp), sections(&by_tcp), "{query:x?}");
    }
    loop_over_udp.abort();
}
