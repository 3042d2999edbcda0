//! What is said doesn't depend on the transport.

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use super::*;
use crate::{UdpServer, testing::lines};

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
    let _over_udp = UdpServer::start(socket, zones, Arc::default()).unwrap();
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
}
