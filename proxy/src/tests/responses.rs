//! What servers answer that isn't HTTP, and what clients see of it.

use socket2::SockRef;

use super::*;

/// An origin that answers the first request on each connection with these bytes, and then waits.
fn answering_once(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Origin {
    Origin::start(move |peer, _| {
        peer.head();
        // It may be refused before it is all sent.
        peer.try_send(&bytes);
        peer.rest();
    })
}

#[test]
fn a_head_that_is_not_http_is_a_502() {
    let heads = [
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer_Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\nc: d\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA b\r\n\r\n",
        "HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 20x OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1\t200 OK\r\n\r\n",
        "HTTP/1.1 200 O\0K\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "HTTP/1.2 200 OK\r\n\r\n",
        " HTTP/1.1 200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "\0\r\n\r\n",
    ];
    for head in heads {
        let origin = answering_once(head);
        let proxy = Proxy::start("", &[origin.address]);
        let answer = proxy.ask(GET_LAST);
        assert!(answer.starts_with("HTTP/1.1 502 "), "{head:?}: {answer}");
        assert!(
            answer.contains("\"upstream_malformed\""),
            "{head:?}: {answer}"
        );
    }
}

#[test]
fn a_head_above_the_limits_is_a_502() {
    let config = "limits = { headers = 3, header_bytes = \"1KiB\" }";
    let long = "a".repeat(2_000);
    for (head, status) in [
        (
            format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(3)),
            200,
        ),
        (
            format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(4)),
            502,
        ),
        (format!("HTTP/1.1 200 OK\r\nA: {long}\r\n\r\n"), 502),
        (format!("HTTP/1.1 200 OK\r\nA: {long}"), 502),
        (format!("HTTP/1.1 200 {long}"), 502),
        (
            format!("HTTP/1.1 103 Early Hints\r\nA: {long}\r\n\r\n"),
            502,
        ),
    ] {
        let shown = head.chars().take(40).collect::<String>();
        let origin = Origin::start(move |peer, _| {
            peer.head();
            peer.try_send(&head);
            if status == 502 {
                peer.rest();
            }
        });
        let proxy = Proxy::start(config, &[origin.address]);
        let answer = proxy.ask(GET_LAST);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{shown}: {answer}"
        );
    }
}

#[test]
fn a_bad_final_head_after_a_good_interim_one_is_a_502_behind_it() {
    let origin = answering_once("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 2 OK\r\n\r\n");
    let proxy = Proxy::start("", &[origin.address]);
    let answer = proxy.ask(GET_LAST);
    let (interim, last) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(interim, "HTTP/1.1 103 Early Hints\r\nLink: x");
    assert!(last.starts_with("HTTP/1.1 502 "), "{last}");
}

#[test]
fn another_protocol_that_was_not_agreed_on_is_a_502() {
    let upgrade = GET.replace(
        "\r\n\r\n",
        "\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    for head in [
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n",
    ] {
        let origin = answering_once(head);
        let proxy = Proxy::start("", &[origin.address]);
        let mut client = proxy.client();
        client.send(&upgrade);
        assert!(client.head().starts_with("HTTP/1.1 502 "), "{head:?}");
    }
}

/// Asks an origin that sends `begin` and, once the client has that, `then`; returns what the client
/// gets beyond.
fn after(begin: &'static str, then: &'static str) -> String {
    let (go, going) = std::sync::mpsc::channel::<()>();
    let going = Mutex::new(going);
    let origin = Origin::start(move |peer, _| {
        peer.head();
        peer.send(begin);
        going.lock().unwrap().recv().unwrap();
        peer.try_send(then);
        peer.rest();
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send(GET);
    assert_eq!(client.text(begin.len()), begin);
    go.send(()).unwrap();
    client.rest()
}

#[test]
fn a_bad_chunk_amid_a_response_cuts_it_off() {
    let begin = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    for then in [
        "x\r\n",
        "-1\r\n",
        "1\r\nde\r\n0\r\n\r\n",
        "1\r\nd\n0\r\n\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "1 \r\na\r\n0\r\n\r\n",
        "10000000000000000\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\nA: b\r\n c\r\n\r\n",
        "0\r\nA: b\n\n",
        "0\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        assert_eq!(after(begin, then), "", "{then:?}");
    }
}

#[test]
fn bytes_behind_a_whole_response_are_nobodys_and_end_its_connection() {
    for (request, answer, passed) in [
        (
            GET,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        (
            GET,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            GET,
            "HTTP/1.1 204 No Content\r\n\r\nbody",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ),
        // Here the bytes would be yet to come.
        (
            GET,
            "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ),
        (
            GET,
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ),
        (
            GET,
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nbody",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n",
        ),
        (
            "HEAD /a HTTP/1.1\r\nHost: web\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
        ),
        (
            "HEAD /a HTTP/1.1\r\nHost: web\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
        ),
    ] {
        let origin = answering_once(answer);
        let proxy = Proxy::start("", &[origin.address]);
        let mut client = proxy.client();
        for connections in 1..3 {
            client.send(request);
            assert_eq!(client.text(passed.len()), passed, "{answer:?}");
            assert_eq!(origin.connections(), connections, "{answer:?}");
        }
        client.finish();
        assert!(client.is_at_end(), "{answer:?}");
    }
}

#[test]
fn what_only_looks_odd_is_passed_on() {
    for (answer, passed) in [
        (
            "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 02\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        (
            "HTTP/1.1 200 OK\r\nA:b\r\nTransfer-Encoding: Chunked\r\n\r\n2;x\r\nok\r\n00\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA:b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
    ] {
        let origin = answering_once(answer);
        let proxy = Proxy::start("", &[origin.address]);
        let mut client = proxy.client();
        client.send(GET);
        assert_eq!(client.text(passed.len()), passed);
        client.finish();
        assert!(client.is_at_end());
    }
}

#[test]
fn a_server_that_resets_amid_a_body_cuts_it_off() {
    for begin in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let (go, going) = std::sync::mpsc::channel::<()>();
        let going = Mutex::new(going);
        let origin = Origin::start(move |peer, _| {
            peer.head();
            peer.send(begin);
            going.lock().unwrap().recv().unwrap();
            let socket = SockRef::from(&peer.stream);
            socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
        });
        let proxy = Proxy::start("", &[origin.address]);
        let mut client = proxy.client();
        client.send(GET);
        assert_eq!(client.text(begin.len()), begin);
        go.send(()).unwrap();
        assert!(client.is_at_end(), "{begin:?}");
    }
}

#[test]
fn an_old_client_is_told_of_a_body_cut_off_by_a_reset() {
    let (go, going) = std::sync::mpsc::channel::<()>();
    let going = Mutex::new(going);
    let origin = Origin::start(move |peer, _| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        going.lock().unwrap().recv().unwrap();
        peer.send("zz\r\n");
        peer.rest();
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send("GET /a HTTP/1.0\r\nHost: web\r\n\r\n");
    client.head();
    assert_eq!(client.text(3), "abc");
    go.send(()).unwrap();
    // For it the end of the connection would be the end of the body.
    let end = std::io::Read::read(&mut &client.stream, &mut [0]);
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}
