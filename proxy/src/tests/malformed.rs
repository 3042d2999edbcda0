//! What must not pass.

use super::*;

/// Sends bytes to a proxy whose origin must not see anything; returns the answer.
fn refused(config: &str, bytes: &[u8]) -> String {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(config, &[origin.address]);
    let mut client = proxy.client();
    // It may be answered before it is all sent.
    client.try_send(bytes);
    let answer = client.rest();
    assert_eq!(
        origin.connections(),
        0,
        "{:?}",
        String::from_utf8_lossy(bytes)
    );
    answer
}

#[test]
fn malformed_requests_get_a_400_and_the_connection_ends() {
    for text in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: web\r\nHost: web\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: web web\r\n\r\n",
        "GET / HTTP/1.1\nHost: web\n\n",
        "GET / HTTP/1.1\r\nHost: web\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: web\r\nA: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : web\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: web\r\nA: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: web\r\nA\u{e9}: b\r\n\r\n",
        "GET /#a HTTP/1.1\r\nHost: web\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: web\r\n\r\n",
        "GET\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 1, 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: +1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: x\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n\
         0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n1\na\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA : b\r\n\r\n",
    ] {
        let answer = refused("", text.as_bytes());
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{text:?}: {answer}"
        );
        assert!(
            answer.contains("\r\nConnection: close\r\n"),
            "{text:?}: {answer}"
        );
        assert!(
            answer.contains("\"reason\":\"bad_request\""),
            "{text:?}: {answer}"
        );
    }
}

#[test]
fn what_is_understood_and_not_supported_is_told_apart() {
    for (text, status) in [
        ("GET / HTTP/2.0\r\nHost: web\r\n\r\n", "505"),
        (
            "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "501",
        ),
        ("CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\n", "501"),
    ] {
        let answer = refused("", text.as_bytes());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{text:?}: {answer}"
        );
    }
}

#[test]
fn a_bad_chunk_in_the_middle_ends_both_connections() {
    let origin = Origin::start(|peer, _| {
        peer.head();
        // What follows must not look like the end of the body.
        assert_eq!(peer.rest(), "3\r\nabc\r\n");
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    origin.received();
    client.send("zz\r\n");
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn a_mebibyte_of_header_gets_a_clear_431() {
    let line = format!("X: {}\r\n", "a".repeat(1 << 20));
    let answer = refused(
        "",
        format!("GET / HTTP/1.1\r\nHost: web\r\n{line}\r\n").as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(
        answer.contains("\"reason\":\"header_too_large\""),
        "{answer}"
    );
}

#[test]
fn limits_are_as_configured() {
    let config = "limits = { headers = 3, header_bytes = \"1KiB\", request_line_bytes = \"100B\" }";
    let many = "A: b\r\n".repeat(4);
    let answer = refused(
        config,
        format!("GET / HTTP/1.1\r\nHost: web\r\n{many}\r\n").as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let large = "a".repeat(2_000);
    let answer = refused(
        config,
        format!("GET / HTTP/1.1\r\nHost: web\r\nA: {large}\r\n\r\n").as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    for end in [" HTTP/1.1\r\nHost: web\r\n\r\n", ""] {
        let answer = refused(config, format!("GET /{}{end}", "a".repeat(100)).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 414 "), "{answer}");
    }
}

#[test]
fn a_malformed_response_is_a_502_and_its_connection_is_not_used_again() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "HTTP/3 200 OK\r\n\r\n",
        "220 smtp.example.com ESMTP\r\n\r\n",
    ] {
        let origin = Origin::answering(answer);
        let proxy = Proxy::start("", &[origin.address]);
        let mut client = proxy.client();
        for connections in 1..3 {
            client.send(GET);
            let (head, body) = client.answer();
            assert!(head.starts_with("HTTP/1.1 502 "), "{answer:?}: {head}");
            assert!(
                body.contains("\"upstream_malformed\""),
                "{answer:?}: {body}"
            );
            assert_eq!(origin.connections(), connections, "{answer:?}");
        }
    }
}

#[test]
fn bytes_after_a_response_belong_to_nobody() {
    let origin = Origin::start(|peer, number| {
        while peer.next_head().is_some() {
            let more = if number == 1 {
                "HTTP/1.1 200 OK\r\n"
            } else {
                ""
            };
            peer.try_send(format!("{OK}{more}"));
        }
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    for _ in 0..3 {
        client.send(GET);
        assert_eq!(client.answer().1, "ok");
    }
    assert_eq!(origin.connections(), 2);
}
