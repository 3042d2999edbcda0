//! Instances that leave, and listeners that end.

use std::{
    net::TcpStream,
    sync::{Mutex, mpsc::channel},
    time::Duration,
};

use super::*;
use crate::worker::BUFFER_BYTES;

/// An origin whose answers wait for the test to allow them.
fn waiting() -> (Origin, std::sync::mpsc::Sender<()>) {
    let (go, wait) = channel();
    let wait = Mutex::new(wait);
    let origin = Origin::start(move |peer, _| {
        while peer.next_head().is_some() {
            let allowed = wait.lock().unwrap().recv_timeout(Duration::from_secs(10));
            allowed.unwrap();
            peer.send(OK);
        }
    });
    (origin, go)
}

#[test]
fn who_leaves_finishes_its_requests_and_gets_no_new_ones() {
    let ((old, go), new) = (waiting(), Origin::answering(OK));
    let proxy = Proxy::start("", &[old.address]);
    let (mut first, mut second) = (proxy.client(), proxy.client());
    first.send(GET);
    old.received();
    proxy.change(&[new.address]);
    second.send(GET);
    assert_eq!(second.answer().1, "ok");
    go.send(()).unwrap();
    assert_eq!(first.answer().1, "ok");
    first.send(GET);
    assert_eq!(first.answer().1, "ok");
    assert_eq!((old.connections(), new.connections() > 0), (1, true));
    assert!(old.heads.try_recv().is_err());
}

#[test]
fn connections_kept_to_who_has_left_are_closed() {
    let (ended, end) = channel();
    let old = Origin::start(move |peer, _| {
        peer.head();
        peer.send(OK);
        assert!(peer.next_head().is_none());
        ended.send(()).unwrap();
    });
    // Long enough that it isn't closed for being idle.
    let proxy = Proxy::start("timeouts = { upstream_idle = \"1h\" }", &[old.address]);
    let mut client = proxy.client();
    client.send(GET);
    client.answer();
    proxy.change(&[nobody()]);
    end.recv_timeout(Duration::from_secs(5)).unwrap();
}

#[test]
fn a_request_whose_instance_has_left_too_long_ago_is_ended() {
    let silent = Origin::start(|peer, _| {
        peer.head();
        assert!(peer.is_at_end());
    });
    let proxy = Proxy::start("", &[silent.address]);
    let mut client = proxy.client();
    client.send(GET);
    silent.received();
    proxy.close_only();
    let (head, body) = client.answer();
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    assert!(body.contains("\"drain_timeout\""), "{body}");
}

#[test]
fn a_response_that_goes_on_too_long_after_its_instance_has_left_is_cut_off() {
    let endless = Origin::start(|peer, _| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
        assert!(peer.is_at_end());
    });
    let proxy = Proxy::start("", &[endless.address]);
    let mut client = proxy.client();
    client.send(GET);
    client.head();
    proxy.close_only();
    assert!(!client.rest().contains("0\r\n\r\n"));
}

#[test]
fn a_draining_listener_answers_what_is_under_way_and_ends_what_is_idle() {
    let (origin, go) = waiting();
    let proxy = Proxy::start("", &[origin.address]);
    let (mut busy, mut idle) = (proxy.client(), proxy.client());
    idle.send(GET);
    origin.received();
    go.send(()).unwrap();
    idle.answer();
    busy.send(GET);
    origin.received();
    proxy.phase.send(Phase::Drain).unwrap();
    assert!(idle.is_at_end());
    go.send(()).unwrap();
    let (head, body) = busy.answer();
    assert!(head.contains("Connection: close\r\n"), "{head}");
    assert_eq!(body, "ok");
    assert!(busy.is_at_end());
    let address = proxy.address;
    proxy.thread.join().unwrap();
    assert!(TcpStream::connect(address).is_err());
}

/// Waits until all clients that have connected before are accepted.
fn all_are_accepted(proxy: &Proxy) {
    assert!(!proxy.ask(GET_LAST).is_empty());
}

#[test]
fn a_drain_does_not_wait_for_clients_that_never_asked() {
    let proxy = Proxy::start("timeouts = { header = \"1h\" }", &[]);
    let mut silent = proxy.client();
    all_are_accepted(&proxy);
    proxy.phase.send(Phase::Drain).unwrap();
    assert!(silent.is_at_end());
    proxy.thread.join().unwrap();
}

#[test]
fn a_drain_ends_an_idle_client_whose_last_read_filled_its_buffer() {
    let body = BUFFER_BYTES - 100;
    let origin = Origin::start(move |peer, _| {
        peer.head();
        peer.exact(body);
        peer.send(OK);
        peer.rest();
    });
    let proxy = Proxy::start("timeouts = { idle = \"1h\" }", &[origin.address]);
    let mut client = proxy.client();
    let head = format!("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: {body}\r\nX: ");
    let filler = "x".repeat(BUFFER_BYTES - body - head.len() - 4);
    client.send(format!("{head}{filler}\r\n\r\n{}", "b".repeat(body)));
    assert_eq!(client.answer().1, "ok");
    proxy.phase.send(Phase::Drain).unwrap();
    assert!(client.is_at_end());
    drop(client);
    proxy.thread.join().unwrap();
}

#[test]
fn a_first_request_on_its_way_when_the_drain_begins_is_answered() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    all_are_accepted(&proxy);
    proxy.phase.send(Phase::Drain).unwrap();
    // Once nobody is accepted any more, the drain has begun.
    while TcpStream::connect(proxy.address).is_ok() {
        thread::yield_now();
    }
    client.send(GET);
    assert_eq!(client.answer().1, "ok");
    assert!(client.is_at_end());
}

#[test]
fn a_drain_with_nobody_connected_ends_at_once() {
    let proxy = Proxy::start("", &[]);
    proxy.drain();
}

#[test]
fn no_request_is_lost_while_instances_come_and_go() {
    let origins = [(); 4].map(|()| Origin::answering(OK));
    let addresses = origins.each_ref().map(|origin| origin.address);
    let proxy = Proxy::start("", &addresses);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = proxy.client();
                    for _ in 0..300 {
                        client.send(GET);
                        assert_eq!(client.answer().1, "ok");
                    }
                })
            })
            .collect();
        let mut turn = 0;
        while clients.iter().any(|client| !client.is_finished()) {
            turn = (turn + 1) % addresses.len();
            proxy.change(&addresses[turn..]);
            thread::yield_now();
        }
    });
    for name in ["web", "web.svc.internal"] {
        let snapshot = proxy.snapshot.lock().unwrap();
        let explained = proxy
            .shared
            .explain(&crate::Sample::new(name, "/"), &snapshot);
        assert!(
            explained
                .endpoints
                .iter()
                .all(|endpoint| endpoint.in_flight == 0)
        );
    }
}
