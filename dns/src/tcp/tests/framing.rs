//! Where messages begin and end in a stream.

use super::*;

#[tokio::test]
async fn queries_before_a_half_close_are_answered_in_order() {
    let running = run(crowd(3), |_| {});
    let mut stream = Stream::connect(running.address).await.unwrap();
    stream.write_all(&numbered(2000)).await.unwrap();
    // The start of one more, whose rest never comes.
    stream.write_all(&[0, 40, 1]).await.unwrap();
    stream.shutdown().await.unwrap();
    receive_numbered(&mut stream, 2000).await;
    assert_eq!(receive(&mut stream).await, None);
}

#[tokio::test]
async fn a_stream_may_be_cut_anywhere() {
    let running = run(crowd(3), |_| {});
    let stream_bytes = numbered(50);
    for piece in [1, 2, 3, 7, 36, 500] {
        let mut stream = Stream::connect(running.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for bytes in stream_bytes.chunks(piece) {
            stream.write_all(bytes).await.unwrap();
            // The server may look at what there is.
            tokio::task::yield_now().await;
        }
        receive_numbered(&mut stream, 50).await;
    }
}

#[tokio::test]
async fn large_answers_to_many_queries_are_all_there() {
    let running = run(crowd(1000), |_| {});
    let mut stream = Stream::connect(running.address).await.unwrap();
    let query = Ask::new("_web._tcp.svc.internal", rtype::SRV).bytes();
    stream.write_all(&framed(&query).repeat(300)).await.unwrap();
    for _ in 0..300 {
        let answer = receive(&mut stream).await.unwrap();
        assert!(answer.len() > 60_000 && answer[6..8] == 1000_u16.to_be_bytes());
    }
}

#[tokio::test]
async fn the_longest_message_is_read() {
    let running = run(crowd(2), |_| {});
    let mut query = Ask::new("web.svc.internal", rtype::A).bytes();
    // Bytes behind the last record are ignored.
    query.resize(usize::from(u16::MAX), 0);
    assert_eq!(ask(&running, &query).await.unwrap()[7], 2);
}

#[tokio::test]
async fn what_is_no_query_is_passed_over_and_counted() {
    let running = run(crowd(1), |_| {});
    let mut stream = Stream::connect(running.address).await.unwrap();
    let query = Ask::new("web.svc.internal", rtype::A);
    let mut answer = query.clone();
    answer.flags |= 0x8000;
    for nothing in [&[][..], &[1, 2, 3], &[0; 11], &answer.bytes()] {
        send(&mut stream, nothing).await;
    }
    send(&mut stream, &query.bytes()).await;
    assert_eq!(receive(&mut stream).await.unwrap()[7], 1);
    let text = metrics_text(&running.metrics);
    for line in [
        "signpost_dns_dropped_queries_total 4",
        "signpost_dns_answer_duration_seconds_count{transport=\"tcp\"} 1",
        "signpost_dns_queries_total{zone=\"\",type=\"\",transport=\"tcp\"} 4",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn answers_are_those_of_the_zones_as_they_are_now() {
    let running = run(crowd(2), |_| {});
    let query = Ask::new("web.svc.internal", rtype::A).bytes();
    let mut stream = Stream::connect(running.address).await.unwrap();
    send(&mut stream, &query).await;
    assert_eq!(receive(&mut stream).await.unwrap()[7], 2);
    running.zones.store(Arc::new(zones([])));
    send(&mut stream, &query).await;
    assert_eq!(receive(&mut stream).await.unwrap()[3], 3, "NXDOMAIN");
}
