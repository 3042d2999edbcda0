use std::mem::size_of_val;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use registry::testing;
use tokio::{io::AsyncReadExt as _, time};

use super::*;
use crate::{
    bind_tcp,
    testing::{Ask, zones},
    wire::rtype,
};

const LIMITS: Limits = Limits {
    idle_timeout: Duration::from_secs(10),
    queries_max: 1000,
};

/// What a connection may hold at the most.
const HELD_BYTES_MAX: usize = 256 << 10;

/// Both ends of a connection; there is one service, of a thousand instances.
async fn pair() -> (Connection, TcpStream) {
    let instance = |n: u16| {
        let host = format!("10.0.{}.{}", n / 250, n % 250);
        testing::instance(&format!("instance-{n}"), &host, 80)
    };
    let web = testing::service_of("web", (0..1000).map(instance));
    let zones = Arc::new(ArcSwap::from_pointee(zones([web])));
    let listener = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = tokio::join!(client, listener.accept());
    let (stream, peer) = accepted.unwrap();
    let answerer = Arc::new(Answerer::new(zones, Arc::default(), LIMITS.idle_timeout));
    let seat = Arc::new(Seat::new(Instant::now(), Arc::default()));
    let connection = Connection::new(stream, peer.ip(), answerer, seat, LIMITS);
    (connection, client.unwrap())
}

fn framed(name: &str, rtype: u16) -> Vec<u8> {
    let query = Ask::new(name, rtype).bytes();
    [&(query.len() as u16).to_be_bytes(), &query[..]].concat()
}

async fn turn(connection: &mut Connection) -> Turn {
    let turn = poll_fn(|context| connection.poll_turn(context));
    let turn = timeout(Duration::from_secs(5), turn).await;
    turn.expect("there is something to do").unwrap()
}

fn answered(connection: &Connection) -> u64 {
    LIMITS.queries_max - connection.queries_left
}

fn held(connection: &Connection) -> usize {
    connection.inbox.capacity() + connection.outbox.bytes.capacity()
}

#[tokio::test]
async fn what_has_come_is_answered_by_one_write_and_nothing_is_held_after_it() {
    let (mut connection, mut client) = pair().await;
    let queries = framed("nobody.svc.internal", rtype::A).repeat(100);
    client.write_all(&queries).await.unwrap();
    assert_eq!(turn(&mut connection).await, Turn::Done);
    assert_eq!((answered(&connection), held(&connection)), (100, 0));
    client.readable().await.unwrap();
    let mut answers = vec![0; 64 << 10];
    let bytes = client.try_read(&mut answers).unwrap();
    let mut rest = &answers[..bytes];
    for _ in 0..100 {
        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        rest = &rest[2 + length..];
    }
    assert_eq!(rest, b"");
    // There is nothing to be done until more comes.
    let more = poll_fn(|context| connection.poll_turn(context));
    assert!(more.now_or_never().is_none());
}

#[tokio::test]
async fn a_query_that_comes_byte_by_byte_is_answered_with_its_last() {
    let (mut connection, mut client) = pair().await;
    client.set_nodelay(true).unwrap();
    let query = framed("web.svc.internal", rtype::A);
    for (at, byte) in query.iter().enumerate() {
        assert_eq!((answered(&connection), connection.inbox.len()), (0, at));
        assert!(held(&connection) < 100);
        client.write_all(&[*byte]).await.unwrap();
        assert_eq!(turn(&mut connection).await, Turn::Done);
    }
    assert_eq!((answered(&connection), held(&connection)), (1, 0));
    let length = client.read_u16().await.unwrap();
    let mut answer = vec![0; usize::from(length)];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[6..8], 1000_u16.to_be_bytes());
}

#[tokio::test]
async fn for_a_client_that_never_reads_little_is_held_and_no_more_is_read() {
    let (mut connection, mut client) = pair().await;
    let queries = framed("_web._tcp.svc.internal", rtype::SRV).repeat(1000);
    client.write_all(&queries).await.unwrap();
    connection.stream.readable().await.unwrap();
    let mut held_most = 0;
    loop {
        let turn = poll_fn(|context| connection.poll_turn(context));
        let Some(turn) = turn.now_or_never() else {
            break;
        };
        assert_eq!(turn.unwrap(), Turn::Done);
        held_most = held_most.max(held(&connection));
    }
    assert!(
        !connection.outbox.bytes.is_empty(),
        "the client is waited for"
    );
    assert!(held_most < HELD_BYTES_MAX, "{held_most}");
    assert!(answered(&connection) < 1000);
    // When it reads at last, it gets them all, and the end for that was the last it may have.
    let served = tokio::spawn(connection.serve());
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.unwrap();
    assert!(bytes.len() > 60_000 * 1000);
    drop(client);
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_that_waits_costs_little() {
    let (connection, _client) = pair().await;
    assert_eq!(held(&connection), 0);
    let bytes = size_of_val(&connection.serve());
    assert!(bytes <= 1024, "{bytes}");
}

#[tokio::test]
async fn the_timer_goes_by_the_last_query() {
    let (mut connection, _client) = pair().await;
    time::pause();
    connection.active = Instant::now();
    let mut timer = pin!(sleep(LIMITS.idle_timeout));
    let mut is_over = |connection: &Connection| {
        poll_fn(|context| connection.poll_idle(timer.as_mut(), context)).now_or_never()
    };
    assert_eq!(is_over(&connection), None);
    time::advance(Duration::from_secs(9)).await;
    connection.active = Instant::now();
    time::advance(Duration::from_secs(9)).await;
    assert_eq!(is_over(&connection), None);
    time::advance(Duration::from_secs(2)).await;
    assert_eq!(is_over(&connection), Some(Turn::Over));
}

#[tokio::test]
async fn who_has_sent_something_does_not_make_room() {
    let (mut connection, mut client) = pair().await;
    let seat = Arc::clone(&connection.seat);
    let mut call = pin!(seat.call());
    let mut leaves = |connection: &Connection| {
        poll_fn(|context| connection.poll_asked(&seat, call.as_mut(), context)).now_or_never()
    };
    assert_eq!(leaves(&connection), None, "nobody has asked");
    // It is there, though the runtime hasn't heard of it.
    client.write_all(&[0]).await.unwrap();
    seat.ask();
    assert_eq!(leaves(&connection), None);
    assert_eq!(turn(&mut connection).await, Turn::Done);
    assert_eq!(leaves(&connection), None, "it has to be asked again");
    seat.ask();
    assert_eq!(leaves(&connection), Some(Turn::Over));
}

#[tokio::test]
async fn who_was_active_after_being_asked_does_not_make_room() {
    let (connection, _client) = pair().await;
    let seat = Arc::clone(&connection.seat);
    let mut call = pin!(seat.call());
    time::pause();
    seat.ask();
    time::advance(Duration::from_secs(1)).await;
    seat.set_active(Instant::now());
    let leaves = poll_fn(|context| connection.poll_asked(&seat, call.as_mut(), context));
    assert_eq!(leaves.now_or_never(), None);
}
