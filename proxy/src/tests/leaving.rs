//! Clients that leave while an instance works for them.

use std::{sync::mpsc::channel, time::Duration};

use socket2::SockRef;

use super::*;

/// An origin that reads each request, tells when its connection has ended and never answers.
fn working(begin: &'static str) -> (Origin, std::sync::mpsc::Receiver<()>) {
    let (ended, ends) = channel();
    let origin = Origin::start(move |peer, _| {
        peer.head();
        peer.send(begin);
        peer.rest();
        ended.send(()).unwrap();
    });
    (origin, ends)
}

fn reset(client: Peer) {
    let socket = SockRef::from(&client.stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

/// Has a client leave, and sees that nothing is held for it any more.
fn leave(config: &str, begin: &'static str, request: &str, leave: impl FnOnce(Peer)) {
    let (origin, ends) = working(begin);
    let config = format!("{config}\nservices.web.limits = {{ requests = 1 }}");
    let proxy = Proxy::start(&config, &[origin.address]);
    let mut client = proxy.client();
    client.send(request);
    origin.received();
    if !begin.is_empty() {
        client.head();
    }
    leave(client);
    ends.recv_timeout(Duration::from_secs(10))
        .expect("the instance is told");
    let reason = "reason=\"client_aborted\"";
    wait_for(
        &proxy,
        &format!("signpost_proxy_errors_total{{{reason}}} 1"),
    );
    assert_eq!(proxy.shared.metrics().in_flight(), 0);
    // Its place is free.
    let mut other = proxy.client();
    other.send(GET);
    origin.received();
}

const BEGUN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";

#[test]
fn who_resets_the_connection_is_waited_for_no_longer() {
    for begin in ["", BEGUN] {
        leave("", begin, GET, reset);
        // Nor is one that has sent another request before.
        leave("", begin, &format!("{GET}{GET}"), reset);
    }
}

#[test]
fn who_ends_the_connection_has_left_where_that_is_said() {
    for begin in ["", BEGUN] {
        leave("abort_on_close = true", begin, GET, drop);
    }
}

#[test]
fn who_only_ends_its_sending_gets_its_response() {
    let (go, told) = channel::<()>();
    let told = Mutex::new(told);
    let origin = Origin::start(move |peer, _| {
        peer.head();
        told.lock().unwrap().recv().unwrap();
        peer.send(OK);
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send(GET);
    client.finish();
    origin.received();
    go.send(()).unwrap();
    assert!(client.rest().ends_with("ok"));
}

#[test]
fn who_stays_may_send_another_request_meanwhile() {
    let (go, told) = channel::<()>();
    let told = Mutex::new(told);
    let origin = Origin::start(move |peer, _| {
        while peer.next_head().is_some() {
            told.lock().unwrap().recv().unwrap();
            peer.send(OK);
        }
    });
    let proxy = Proxy::start("abort_on_close = true", &[origin.address]);
    let mut client = proxy.client();
    client.send(GET);
    origin.received();
    client.send(GET);
    for _ in 0..2 {
        go.send(()).unwrap();
        assert_eq!(client.answer().1, "ok");
    }
}

#[test]
fn who_resets_while_the_instance_takes_nothing_is_waited_for_no_longer() {
    let (origin, _held) = {
        let (stop, stopped) = channel::<()>();
        let stopped = Mutex::new(stopped);
        let origin = Origin::start(move |peer, _| {
            peer.head();
            // It never reads the body.
            stopped.lock().unwrap().recv().ok();
        });
        (origin, stop)
    };
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 100000000\r\n\r\n");
    origin.received();
    let socket = client.stream.try_clone().unwrap();
    socket.set_nonblocking(true).unwrap();
    // Until nothing more is taken for a while.
    let mut full = 0;
    while full < 50 {
        match std::io::Write::write(&mut &socket, &[b'x'; 1 << 16]) {
            Ok(_) => full = 0,
            Err(_) => {
                full += 1;
                thread::sleep(Duration::from_millis(2));
            }
        }
    }
    reset(client);
    drop(socket);
    wait_for(
        &proxy,
        "signpost_proxy_errors_total{reason=\"client_aborted\"} 1",
    );
    assert_eq!(proxy.shared.metrics().in_flight(), 0);
}
