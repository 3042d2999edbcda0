//! How much a service is given at a time.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// An origin that answers each request when it is told to, and tells of each that it has got.
struct Gated {
    origin: Origin,
    go: Sender<()>,
}

impl Gated {
    fn start() -> Self {
        let (go, told): (_, Receiver<()>) = channel();
        let told = Mutex::new(told);
        let origin = Origin::start(move |peer, _| {
            while peer.next_head().is_some() {
                told.lock().unwrap().recv().unwrap();
                if !peer.try_send(OK) {
                    return;
                }
            }
        });
        Self { origin, go }
    }
}

fn refused_for(answer: &(String, String), reason: &str) {
    let (head, body) = answer;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains("\r\nRetry-After: "), "{head}");
    assert!(body.contains(&format!("\"{reason}\"")), "{body}");
}

#[test]
fn what_is_above_the_limit_is_shed_and_comes_through_later() {
    let gated = Gated::start();
    let config = "services.web.limits = { requests = 1 }";
    let proxy = Proxy::start(config, &[gated.origin.address]);
    let (mut first, mut second) = (proxy.client(), proxy.client());
    first.send(GET);
    gated.origin.received();
    second.send(GET);
    refused_for(&second.answer(), "requests_limit");
    gated.go.send(()).unwrap();
    assert_eq!(first.answer().1, "ok");
    // The same connection can be used on.
    gated.go.send(()).unwrap();
    second.send(GET);
    assert_eq!(second.answer().1, "ok");
    // Others aren't bounded by it.
    let mut other = proxy.client();
    other.send(GET.replace("web", "nobody"));
    assert!(other.answer().0.starts_with("HTTP/1.1 404 "));
}

#[test]
fn who_waits_for_a_connection_gets_it_when_one_is_free() {
    let gated = Gated::start();
    let config = "defaults.limits = { connections = 1, pending = 1 }";
    let proxy = Proxy::start(config, &[gated.origin.address]);
    let mut clients = [(); 3].map(|()| proxy.client());
    clients[0].send(GET);
    gated.origin.received();
    clients[1].send(GET);
    eventually("it waits", || proxy.shared.metrics().in_flight() == 2);
    clients[2].send(GET);
    refused_for(&clients[2].answer(), "pending_limit");
    for client in &mut clients[..2] {
        gated.go.send(()).unwrap();
        assert_eq!(client.answer().1, "ok");
    }
    assert_eq!(gated.origin.connections(), 1);
}

#[test]
fn who_waits_too_long_for_a_connection_is_told_so() {
    let gated = Gated::start();
    let config = "defaults.limits = { connections = 1 }\ntimeouts = { connect = \"50ms\" }";
    let proxy = Proxy::start(config, &[gated.origin.address]);
    let mut first = proxy.client();
    first.send(GET);
    gated.origin.received();
    let mut second = proxy.client();
    second.send(GET);
    refused_for(&second.answer(), "pending_timeout");
    gated.go.send(()).unwrap();
    assert_eq!(first.answer().1, "ok");
}

#[test]
fn the_time_for_an_answer_begins_when_the_waiting_is_over() {
    let gated = Gated::start();
    let config = "defaults.limits = { connections = 1 }\n\
                  timeouts = { connect = \"30s\", request = \"400ms\" }";
    let proxy = Proxy::start(config, &[gated.origin.address]);
    let mut clients = [(); 3].map(|()| proxy.client());
    // Each waits for nearly as long as an answer may take, the last one for twice that.
    for client in &mut clients {
        client.send(GET);
    }
    for client in &mut clients {
        gated.origin.received();
        thread::sleep(std::time::Duration::from_millis(250));
        gated.go.send(()).unwrap();
        assert_eq!(client.answer().1, "ok");
    }
}

#[test]
fn who_has_waited_goes_to_those_who_are_there_now() {
    let (gated, other) = (Gated::start(), Origin::answering(OK));
    let config = "defaults.limits = { connections = 1 }\ntimeouts = { connect = \"30s\" }";
    let proxy = Proxy::start(config, &[gated.origin.address]);
    let (mut first, mut second) = (proxy.client(), proxy.client());
    first.send(GET);
    gated.origin.received();
    second.send(GET);
    eventually("it waits", || proxy.shared.metrics().in_flight() == 2);
    proxy.change(&[other.address]);
    gated.go.send(()).unwrap();
    assert_eq!(first.answer().1, "ok");
    assert_eq!(second.answer().1, "ok");
    assert_eq!((other.connections(), gated.origin.connections()), (1, 1));
}

#[test]
fn who_leaves_while_it_waits_is_sent_to_nobody() {
    let gated = Gated::start();
    let config = "defaults.limits = { connections = 1, pending = 1 }\n\
                  timeouts = { connect = \"30s\" }";
    let proxy = Proxy::start(config, &[gated.origin.address]);
    let (mut first, mut second) = (proxy.client(), proxy.client());
    first.send(GET);
    gated.origin.received();
    second.send(GET);
    eventually("it waits", || proxy.shared.metrics().in_flight() == 2);
    let socket = socket2::SockRef::from(&second.stream);
    socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(second);
    eventually("it is gone", || proxy.shared.metrics().in_flight() == 1);
    gated.go.send(()).unwrap();
    assert_eq!(first.answer().1, "ok");
    assert_eq!(gated.origin.heads.try_iter().count(), 0);
}
