//! What a connection may take, and what becomes of those that take more.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::*;

/// Long enough for a test's queries and short enough to be waited for.
const IDLE: config::Duration = config::Duration::from_millis(100);

/// How many connections were closed for others.
fn evicted(running: &Running) -> u64 {
    let text = metrics_text(&running.metrics);
    let name = "signpost_dns_tcp_evicted_connections_total ";
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
    lines.next().unwrap().parse().unwrap()
}

/// A client of a thousand instances that has asked more than it has read of the answers.
async fn deaf(running: &Running) -> Stream {
    let mut deaf = Stream::connect(running.address).await.unwrap();
    let query = Ask::new("_web._tcp.svc.internal", rtype::SRV).bytes();
    deaf.write_all(&framed(&query).repeat(1000)).await.unwrap();
    deaf.readable().await.unwrap();
    deaf
}

/// Waits until the one place is free: then this client is answered.
async fn is_answered(running: &Running) {
    let query = Ask::new("web.svc.internal", rtype::A).bytes();
    assert!(ask(running, &query).await.is_some());
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
async fn clients_are_told_the_time_that_the_listener_keeps_to() {
    let running = run(crowd(1), |config| {
        config.tcp_idle_timeout = config::Duration::from_secs(3);
    });
    // As after a reload: the zones are of a configuration with another timeout.
    running.zones.store(Arc::new(zones(crowd(1))));
    let query = Ask::new("web.svc.internal", rtype::A).options(&[(11, &[])]);
    let answer = ask(&running, &query.bytes()).await.unwrap();
    let option = [0, 11, 0, 2, 0, 30];
    assert!(answer.ends_with(&option), "{answer:?}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let running = run(crowd(1000), |config| config.tcp_connections_max = 1);
    let query = Ask::new("web.svc.internal", rtype::A).bytes();
    let first = deaf(&running).await;
    let mut second = Stream::connect(running.address).await.unwrap();
    send(&mut second, &query).await;
    let early = tokio::time::timeout(Duration::from_millis(50), second.readable()).await;
    assert!(early.is_err(), "the place is taken");
    assert_eq!(evicted(&running), 0);
    drop(first);
    assert!(receive(&mut second).await.is_some());
}

#[tokio::test]
async fn who_has_been_idle_longest_makes_room() {
    let running = run(crowd(1), |config| config.tcp_connections_max = 3);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut stream = Stream::connect(running.address).await.unwrap();
        stream.write_all(&numbered(1)).await.unwrap();
        receive_numbered(&mut stream, 1).await;
        clients.push(stream);
    }
    // The second one says half a query after the others have been answered again.
    for n in [0, 2] {
        clients[n].write_all(&numbered(1)).await.unwrap();
        receive_numbered(&mut clients[n], 1).await;
    }
    clients[1].write_all(&numbered(1)[..9]).await.unwrap();
    is_answered(&running).await;
    assert_eq!(receive(&mut clients[1]).await, None);
    assert_eq!(evicted(&running), 1);
    for n in [0, 2] {
        clients[n].write_all(&numbered(1)).await.unwrap();
        receive_numbered(&mut clients[n], 1).await;
    }
}

#[tokio::test]
async fn who_has_a_query_in_flight_stays() {
    let running = run(crowd(1000), |config| config.tcp_connections_max = 2);
    let mut deaf = deaf(&running).await;
    let mut silent = Stream::connect(running.address).await.unwrap();
    for n in 1..4 {
        let mut next = Stream::connect(running.address).await.unwrap();
        next.write_all(&numbered(1)).await.unwrap();
        receive_numbered(&mut next, 1).await;
        assert_eq!(receive(&mut silent).await, None);
        assert_eq!(evicted(&running), n);
        silent = next;
    }
    for _ in 0..1000 {
        assert!(receive(&mut deaf).await.is_some());
    }
    // Now that it has all its answers, it isn't the one that has been idle longest.
    is_answered(&running).await;
    assert_eq!(receive(&mut silent).await, None);
}

#[tokio::test]
async fn a_query_that_has_come_is_answered_before_its_client_makes_room() {
    let running = run(crowd(1), |config| config.tcp_connections_max = 1);
    let clients = (0..50).map(|_| async {
        let query = Ask::new("web.svc.internal", rtype::A).bytes();
        // As blocking as it is, the server sees the connection and the query at once.
        let mut stream = std::net::TcpStream::connect(running.address).unwrap();
        io::Write::write_all(&mut stream, &framed(&query)).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut stream = Stream::from_std(stream).unwrap();
        assert!(receive(&mut stream).await.is_some());
        stream
    });
    let clients = futures_util::future::join_all(clients).await;
    assert_eq!(evicted(&running), 49);
    drop(clients);
}

#[tokio::test]
async fn only_queries_put_the_end_off() {
    let running = run(crowd(1), |config| config.tcp_idle_timeout = IDLE);
    let mut stream = Stream::connect(running.address).await.unwrap();
    let start = tokio::time::Instant::now();
    loop {
        assert!(start.elapsed() < PATIENCE, "it is kept open");
        if stream.write_all(&[0, 0]).await.is_err() {
            break;
        }
        let mut nothing = [0; 1];
        let pause = Duration::from_millis(5);
        // The end, or a reset for what was sent after it.
        if let Ok(read) = tokio::time::timeout(pause, stream.read(&mut nothing)).await {
            assert!(!matches!(read, Ok(1)), "nothing is answered");
            break;
        }
    }
}

#[tokio::test]
async fn a_client_that_never_reads_is_given_up() {
    let running = run(crowd(1000), |config| {
        config.tcp_connections_max = 1;
        config.tcp_idle_timeout = IDLE;
    });
    let mut deaf = deaf(&running).await;
    is_answered(&running).await;
    let mut answers = 0;
    while receive(&mut deaf).await.is_some() {
        answers += 1;
    }
    assert!(answers < 1000, "{answers} answers were made");
}

#[tokio::test]
async fn after_so_many_queries_a_connection_is_closed() {
    let running = run(crowd(1), |config| {
        config.tcp_queries_max = 3;
        config.tcp_connections_max = 1;
    });
    let mut stream = Stream::connect(running.address).await.unwrap();
    // The first one has no header, and the last ones are too many.
    stream.write_all(&[0, 1, 0]).await.unwrap();
    stream.write_all(&numbered(5000)).await.unwrap();
    receive_numbered(&mut stream, 2).await;
    let end = tokio::time::timeout(PATIENCE, stream.read(&mut [0])).await;
    assert_eq!(end.unwrap().expect("it isn't reset"), 0);
    drop(stream);
    is_answered(&running).await;
}

#[tokio::test]
async fn who_stays_after_the_last_answer_is_closed_on() {
    let running = run(crowd(1), |config| {
        config.tcp_queries_max = 1;
        config.tcp_connections_max = 1;
        config.tcp_idle_timeout = IDLE;
    });
    let mut stream = Stream::connect(running.address).await.unwrap();
    stream.write_all(&numbered(1)).await.unwrap();
    receive_numbered(&mut stream, 1).await;
    is_answered(&running).await;
    assert_eq!(receive(&mut stream).await, None);
}

#[tokio::test]
async fn a_thousand_that_say_nothing_or_half_a_query_keep_nobody_waiting() {
    // Both ends of the connections are in this process.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let running = run(crowd(3), |_| {});
    let query = numbered(1);
    let mut quiet = Vec::new();
    for n in 0..1000 {
        let mut stream = Stream::connect(running.address).await.unwrap();
        let said = if n % 2 == 0 { 0 } else { n % query.len() };
        stream.write_all(&query[..said]).await.unwrap();
        quiet.push((stream, said));
    }
    is_answered(&running).await;
    let text = metrics_text(&running.metrics);
    let open = ["999", "1000"].map(|n| format!("signpost_dns_tcp_connections {n}\n"));
    assert!(open.iter().any(|open| text.contains(open)), "{text}");
    assert_eq!(evicted(&running), 1);
    assert_eq!(receive(&mut quiet[0].0).await, None);
    for (stream, said) in &mut quiet[1..] {
        stream.write_all(&query[*said..]).await.unwrap();
        receive_numbered(stream, 1).await;
    }
}

#[tokio::test]
async fn at_the_end_what_is_asked_is_answered_and_what_is_idle_is_closed_on() {
    let mut running = run(crowd(1), |config| {
        config.tcp_idle_timeout = Duration::from_secs(3600).into();
    });
    let [mut idle, mut busy] = [
        Stream::connect(running.address).await.unwrap(),
        Stream::connect(running.address).await.unwrap(),
    ];
    for stream in [&mut idle, &mut busy] {
        stream.write_all(&numbered(1)).await.unwrap();
        receive_numbered(stream, 1).await;
    }
    // Half a query: the rest comes when nobody is accepted any more.
    let query = numbered(1);
    busy.write_all(&query[..9]).await.unwrap();
    running.end.take().unwrap().send(()).unwrap();
    while Stream::connect(running.address).await.is_ok() {}
    busy.write_all(&query[9..]).await.unwrap();
    receive_numbered(&mut busy, 1).await;
    assert_eq!(receive(&mut idle).await, None);
    assert_eq!(receive(&mut busy).await, None);
    let done = tokio::time::timeout(PATIENCE, &mut running.task).await;
    done.unwrap().unwrap().unwrap();
    assert_eq!(evicted(&running), 0);
}

#[tokio::test]
async fn at_the_end_a_client_that_never_pauses_is_closed_on_between_two_queries() {
    let mut running = run(crowd(1), |_| {});
    let mut stream = Stream::connect(running.address).await.unwrap();
    stream.write_all(&numbered(1)).await.unwrap();
    receive_numbered(&mut stream, 1).await;
    running.end.take().unwrap().send(()).unwrap();
    let mut answers = 0;
    // A query that crosses the end can't be sent, or isn't answered.
    while stream.write_all(&numbered(1)).await.is_ok() && receive(&mut stream).await.is_some() {
        answers += 1;
    }
    assert!(answers > 0);
    let done = tokio::time::timeout(PATIENCE, &mut running.task).await;
    done.unwrap().unwrap().unwrap();
}
