//! What takes too long.

use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use super::*;

/// An origin that reads and never answers.
fn silent() -> Origin {
    Origin::start(|peer, _| {
        peer.head();
        peer.rest();
    })
}

#[test]
fn a_head_that_does_not_end_is_a_408() {
    let proxy = Proxy::start("timeouts = { header = \"50ms\" }", &[]);
    let answer = proxy.ask("GET / HTTP/1.1\r\nHost:");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"reason\":\"client_timeout\""), "{answer}");
}

#[test]
fn a_client_that_says_nothing_is_closed_without_a_word() {
    let proxy = Proxy::start("timeouts = { header = \"50ms\" }", &[]);
    assert_eq!(proxy.ask(""), "");
}

#[test]
fn an_idle_client_is_closed_without_a_word() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start("timeouts = { idle = \"50ms\" }", &[origin.address]);
    let mut client = proxy.client();
    client.send(GET);
    client.answer();
    assert!(client.is_at_end());
}

#[test]
fn no_answer_in_time_is_a_504() {
    let origin = silent();
    let proxy = Proxy::start("timeouts = { request = \"50ms\" }", &[origin.address]);
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send(GET);
        let (head, body) = client.answer();
        assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
        assert!(body.contains("\"upstream_timeout\""), "{body}");
    }
}

#[test]
fn interim_answers_win_no_time() {
    let origin = Origin::start(|peer, _| {
        peer.head();
        while peer.try_send("HTTP/1.1 102 Processing\r\n\r\n") {
            thread::sleep(Duration::from_millis(40));
        }
    });
    let proxy = Proxy::start("timeouts = { request = \"200ms\" }", &[origin.address]);
    let answer = proxy.ask(GET_LAST);
    assert!(answer.contains("HTTP/1.1 504 "), "{answer}");
}

#[test]
fn interim_answers_have_an_end() {
    let origin = Origin::start(|peer, _| {
        peer.head();
        peer.try_send("HTTP/1.1 102 Processing\r\n\r\n".repeat(1_000));
    });
    let proxy = Proxy::start("", &[origin.address]);
    let answer = proxy.ask(GET_LAST);
    assert!(answer.contains("HTTP/1.1 502 "), "{answer}");
    assert!(answer.contains("\"upstream_malformed\""), "{answer}");
}

#[test]
fn a_route_may_have_less_time() {
    let origin = silent();
    let config =
        "[[routes]]\npath_prefix = \"/a\"\nservice = \"web\"\ntimeouts = { request = \"50ms\" }";
    let proxy = Proxy::start(config, &[origin.address]);
    assert!(proxy.ask(GET_LAST).starts_with("HTTP/1.1 504 "));
}

#[test]
fn a_client_that_stops_in_its_body_is_a_408() {
    let origin = silent();
    let proxy = Proxy::start("timeouts = { stream_idle = \"50ms\" }", &[origin.address]);
    let answer = proxy.ask("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\n\r\nabc");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn a_client_told_nothing_owes_no_body() {
    let origin = silent();
    let config = "timeouts = { request = \"100ms\", stream_idle = \"50ms\" }";
    let proxy = Proxy::start(config, &[origin.address]);
    let head = "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let answer = proxy.ask(head);
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    let snapshot = proxy.snapshot.lock().unwrap();
    let explained = proxy
        .shared
        .explain(&crate::Sample::new("web", "/"), &snapshot);
    assert_eq!(explained.endpoints[0].failures, 1);
}

#[test]
fn a_client_told_to_go_on_owes_its_body() {
    let origin = Origin::start(|peer, _| {
        peer.head();
        peer.send("HTTP/1.1 100 Continue\r\n\r\n");
        peer.rest();
    });
    let config = "timeouts = { request = \"1h\", stream_idle = \"50ms\" }";
    let proxy = Proxy::start(config, &[origin.address]);
    let head = "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let answer = proxy.ask(head);
    assert!(answer.contains("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn a_response_that_stops_is_cut_off() {
    let part = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc";
    let origin = Origin::start(move |peer, _| {
        peer.head();
        peer.send(part);
        peer.rest();
    });
    let proxy = Proxy::start("timeouts = { stream_idle = \"50ms\" }", &[origin.address]);
    assert_eq!(proxy.ask(GET), part);
}

#[test]
fn a_connection_that_nobody_accepts_is_tried_elsewhere_in_time() {
    let (full, _held) = full_listener();
    let origin = Origin::answering(OK);
    let config = "balancer = \"round_robin\"\ntimeouts = { connect = \"50ms\" }";
    let proxy = Proxy::start(config, &[full, origin.address]);
    for _ in 0..3 {
        assert!(proxy.ask(GET_LAST).ends_with("ok"));
    }
    proxy.change(&[full]);
    let answer = proxy.ask(GET_LAST);
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert!(answer.contains("\"connect_timeout\""), "{answer}");
}

#[test]
fn a_client_that_reads_slowly_has_the_time_for_bodies_also_when_nothing_is_taken_at_first() {
    const REQUESTS: usize = 20_000;
    const ANSWER: &str = concat!(
        "HTTP/1.1 200 OK\r\nContent-Length: 40\r\nX: ",
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567",
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567",
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567",
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567",
        "\r\n\r\n0123456789012345678901234567890123456789"
    );
    let origin = Origin::answering(ANSWER);
    let request = Duration::from_millis(200);
    let config = "timeouts = { request = \"200ms\" }";
    let proxy = Proxy::start(config, &[origin.address]);
    let mut client = proxy.client();
    let mut sender = client.stream.try_clone().unwrap();
    let sending = thread::spawn(move || {
        for _ in 0..REQUESTS {
            // It is cut off when the test fails.
            if std::io::Write::write_all(&mut sender, GET.as_bytes()).is_err() {
                return;
            }
        }
    });
    // Until the proxy can write no more, and for longer than an instance may take.
    let mut answered = 0;
    while origin.heads.recv_timeout(2 * request).is_ok() {
        answered += 1;
    }
    assert!(
        answered < REQUESTS,
        "the client's connection has room for all answers"
    );
    client.exact(REQUESTS * ANSWER.len());
    sending.join().unwrap();
}

/// A listener whose queue is full, so that the system answers nobody more.
fn full_listener() -> (SocketAddr, (Socket, Vec<TcpStream>)) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        held.push(stream);
    }
    (address, (socket, held))
}
