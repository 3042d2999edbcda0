//! Answers of resolvers that take their time.

use hickory_proto::{
    op::{MessageType, OpCode, Query},
    rr::RecordType,
};
use registry::Snapshot;
use tokio::net::UdpSocket;

use super::*;
use crate::forward::Forwarder;

/// Serves over TCP and asks a resolver that the test plays about all other names.
async fn with_resolver(change: impl Fn(&mut Config)) -> (Running, UdpSocket) {
    let resolver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let running = run(crowd(1), change);
    let text = format!(
        "forward = {{ resolvers = ['{}'] }}",
        resolver.local_addr().unwrap()
    );
    let config: Config = toml::from_str(&text).unwrap();
    let zones = Zones::build(&config, &Snapshot::default());
    let zones = zones.with_forwarder(Forwarder::new(&config.forward));
    running.zones.store(Arc::new(zones));
    (running, resolver)
}

fn query(id: u16) -> Vec<u8> {
    let mut query = Message::new(id, MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    let name = format!("n{id}.example.").parse().unwrap();
    query.add_query(Query::query(name, RecordType::A));
    query.to_vec().unwrap()
}

/// Takes a query at the resolver; returns the answer to it, and to whom.
async fn taken(resolver: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = [0; 1232];
    let (length, from) = resolver.recv_from(&mut bytes).await.unwrap();
    let query = Message::from_vec(&bytes[..length]).unwrap();
    let mut answer = Message::response(query.metadata.id, OpCode::Query);
    answer.add_queries(query.queries);
    (answer.to_vec().unwrap(), from)
}

#[tokio::test]
async fn who_waits_for_a_resolver_is_not_idle() {
    let (running, resolver) = with_resolver(|config| {
        config.tcp_idle_timeout = config::Duration::from_millis(50);
    })
    .await;
    let mut stream = Stream::connect(running.address).await.unwrap();
    send(&mut stream, &query(7)).await;
    let (answer, from) = taken(&resolver).await;
    // Who has come later and says nothing is closed on, so that this one would have been, if it were idle.
    let mut idle = Stream::connect(running.address).await.unwrap();
    assert_eq!(receive(&mut idle).await, None);
    resolver.send_to(&answer, from).await.unwrap();
    assert_eq!(receive(&mut stream).await.unwrap()[..2], [0, 7]);
    // Then it is.
    assert_eq!(receive(&mut stream).await, None);
}

#[tokio::test]
async fn so_many_answers_are_waited_for_and_then_no_more_is_read() {
    const ALL: u16 = 100;
    const MAX: usize = 64;
    let (running, resolver) = with_resolver(|_| {}).await;
    let mut stream = Stream::connect(running.address).await.unwrap();
    let queries: Vec<_> = (0..ALL).flat_map(|id| framed(&query(id))).collect();
    stream.write_all(&queries).await.unwrap();
    let mut waiting = Vec::new();
    while waiting.len() < MAX {
        waiting.push(taken(&resolver).await);
    }
    let more = tokio::time::timeout(Duration::from_millis(100), taken(&resolver)).await;
    assert!(more.is_err());
    let resolving = async {
        for (answer, from) in waiting {
            resolver.send_to(&answer, from).await.unwrap();
        }
        loop {
            let (answer, from) = taken(&resolver).await;
            resolver.send_to(&answer, from).await.unwrap();
        }
    };
    let receiving = async {
        let mut ids = Vec::new();
        for _ in 0..ALL {
            let answer = receive(&mut stream).await.unwrap();
            ids.push(u16::from_be_bytes([answer[0], answer[1]]));
        }
        ids
    };
    let mut ids = tokio::select! {
        ids = receiving => ids,
        () = resolving => unreachable!("it goes on"),
    };
    ids.sort_unstable();
    assert_eq!(ids, (0..ALL).collect::<Vec<_>>());
}
