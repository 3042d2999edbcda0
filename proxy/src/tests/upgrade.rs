//! Tunnels, such as WebSocket's.

use std::time::Duration;

use super::*;

const UPGRADE: &str =
    "GET /ws HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

#[test]
fn after_a_101_bytes_go_both_ways_until_both_have_ended() {
    let origin = Origin::start(|peer, _| {
        let head = peer.head();
        assert!(
            head.ends_with("Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
            "{head}"
        );
        peer.send(format!("{SWITCHING}hello"));
        assert_eq!(peer.text(4), "ping");
        peer.send("pong");
        assert!(peer.is_at_end());
        peer.send("bye");
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send(UPGRADE);
    assert_eq!(client.head(), SWITCHING);
    assert_eq!(client.text(5), "hello");
    client.send("ping");
    assert_eq!(client.text(4), "pong");
    client.finish();
    assert_eq!(client.rest(), "bye");
}

#[test]
fn bytes_after_the_head_wait_for_the_101() {
    let origin = Origin::start(|peer, _| {
        peer.head();
        peer.stream
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let early = std::io::Read::read(&mut &peer.stream, &mut [0; 1]);
        assert_eq!(early.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        peer.stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        peer.send(SWITCHING);
        assert_eq!(peer.text(5), "early");
        peer.send("seen");
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send(format!("{UPGRADE}early"));
    assert_eq!(client.head(), SWITCHING);
    assert_eq!(client.text(4), "seen");
}

#[test]
fn without_a_101_what_follows_is_the_next_request() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send(format!("{UPGRADE}{GET}"));
    for _ in 0..2 {
        let (head, body) = client.answer();
        assert!(!head.contains("pgrade"), "{head}");
        assert_eq!(body, "ok");
    }
    client.send(format!("{UPGRADE}not a request\r\n\r\n"));
    assert_eq!(client.answer().1, "ok");
    assert!(client.head().starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_tunnel_outlives_its_instance_and_its_listener() {
    let origin = Origin::start(|peer, _| {
        peer.head();
        peer.send(SWITCHING);
        assert_eq!(peer.text(4), "ping");
        peer.send("pong");
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send(UPGRADE);
    client.head();
    proxy.change(&[]);
    proxy.phase.send(Phase::Drain).unwrap();
    client.send("ping");
    assert_eq!(client.text(4), "pong");
    client.finish();
    proxy.thread.join().unwrap();
}

#[test]
fn a_tunnel_whose_instance_has_left_too_long_ago_is_ended() {
    let origin = Origin::start(|peer, _| {
        peer.head();
        peer.send(SWITCHING);
        assert!(peer.is_at_end());
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send(UPGRADE);
    client.head();
    proxy.close_only();
    assert!(client.is_at_end());
}

#[test]
fn a_busy_tunnel_ends_some_time_after_its_listener() {
    let origin = Origin::start(|peer, _| {
        peer.head();
        peer.send(SWITCHING);
        while peer.try_send("tick") {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send(UPGRADE);
    client.head();
    proxy.phase.send(Phase::Drain).unwrap();
    assert!(client.rest().starts_with("tick"));
    proxy.thread.join().unwrap();
}
