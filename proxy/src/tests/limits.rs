//! Bodies at their limit, and just above it.

use super::*;

const LIMIT: &str = "limits = { body_bytes = 10 }";

/// An origin that reads a body in whatever form, to the letter `z` that ends it here.
fn reading() -> Origin {
    Origin::start(|peer, _| {
        while let Some(head) = peer.next_head() {
            let end: &[u8] = match head.contains("chunked") {
                true => b"z\r\n0\r\n\r\n",
                false => b"z",
            };
            let mut body = Vec::new();
            while !body.ends_with(end) {
                body.extend(peer.exact(1));
            }
            peer.send(OK);
        }
    })
}

#[test]
fn a_body_may_be_as_large_as_the_limit() {
    let origin = reading();
    let proxy = Proxy::start(LIMIT, &[origin.address]);
    let mut client = proxy.client();
    for text in [
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 10\r\n\r\naaaaaaaaaz",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n\
         4\r\naaaa\r\n6\r\naaaaaz\r\n0\r\n\r\n",
    ] {
        client.send(text);
        assert_eq!(client.answer().1, "ok");
    }
}

#[test]
fn a_body_that_says_it_is_larger_reaches_nobody() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(LIMIT, &[origin.address]);
    for text in [
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 11\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 18446744073709551615\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\nb\r\naaaaaaaaaaa\r\n",
    ] {
        let answer = proxy.ask(text);
        assert!(
            answer.starts_with("HTTP/1.1 413 Content Too Large\r\n"),
            "{text:?}: {answer}"
        );
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert!(answer.contains("\"reason\":\"body_too_large\""), "{answer}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_body_that_turns_out_larger_is_a_413_and_never_whole() {
    let origin = Origin::start(|peer, _| {
        peer.head();
        assert_eq!(peer.rest(), "4\r\naaaa\r\n");
    });
    let proxy = Proxy::start(LIMIT, &[origin.address]);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n4\r\naaaa\r\n");
    origin.received();
    client.send("7\r\naaaaaaa\r\n0\r\n\r\n");
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn a_body_that_turns_out_larger_after_its_answer_has_begun_cuts_it_off() {
    let begin =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n";
    let origin = Origin::start(move |peer, _| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
        peer.rest();
    });
    let proxy = Proxy::start(LIMIT, &[origin.address]);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n4\r\naaaa\r\n");
    assert_eq!(client.text(begin.len()), begin);
    client.send("7\r\naaaaaaa\r\n0\r\n\r\n");
    assert!(client.is_at_end());
}

#[test]
fn a_route_may_have_another_limit() {
    let origin = Origin::start(|peer, _| {
        while peer.next_head().is_some() {
            peer.exact(20);
            peer.send(OK);
        }
    });
    let routes = "[[routes]]\npath_prefix = \"/large\"\nservice = \"web\"\n\
                  limits = { body_bytes = 20 }\n";
    let proxy = Proxy::start(&format!("{LIMIT}\n{routes}"), &[origin.address]);
    let ask = |path: &str| {
        let mut client = proxy.client();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: web\r\nContent-Length: 20\r\n\r\n{:020}",
            0
        ));
        client.answer().0
    };
    assert!(ask("/large/a").starts_with("HTTP/1.1 200 "));
    assert!(ask("/a").starts_with("HTTP/1.1 413 "));
}

#[test]
fn a_reload_that_raises_the_limit_lets_more_in() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start("limits = { connections = 1 }", &[origin.address]);
    let mut first = proxy.client();
    first.send(GET);
    assert_eq!(first.answer().1, "ok");
    let mut second = proxy.client();
    second.send(GET);
    proxy.shared.configure(&Config::default());
    assert_eq!(second.answer().1, "ok");
}
