//! Bodies both ways, and what may happen around them.

use super::*;

/// An origin that sends back every body, in chunks or with its length.
fn echo(chunked: bool) -> Origin {
    Origin::start(move |peer, _| {
        while let Some(head) = peer.next_head() {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "));
            let body = peer.exact(length.unwrap().parse().unwrap());
            if chunked {
                peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                for chunk in body.chunks(100_000) {
                    peer.send(format!("{:X}\r\n", chunk.len()));
                    peer.send(chunk);
                    peer.send("\r\n");
                }
                peer.send("0\r\n\r\n");
            } else {
                peer.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                ));
                peer.send(body);
            }
        }
    })
}

/// Reads a body in chunks to its last one.
fn dechunk(peer: &mut Peer) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(peer.exact(1));
        }
        let digits = std::str::from_utf8(&line).unwrap().trim_end();
        let size = usize::from_str_radix(digits, 16).unwrap();
        body.extend(peer.exact(size));
        assert_eq!(peer.exact(2), b"\r\n");
        if size == 0 {
            return body;
        }
    }
}

#[test]
fn large_bodies_stream_both_ways() {
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    for chunked in [false, true] {
        let origin = echo(chunked);
        let proxy = Proxy::start("", &[origin.address]);
        let mut client = proxy.client();
        for _ in 0..2 {
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: {}\r\n\r\n",
                body.len()
            ));
            client.send(&body);
            client.head();
            let back = match chunked {
                true => dechunk(&mut client),
                false => client.exact(body.len()),
            };
            assert!(back == body, "a body came back changed");
        }
        assert_eq!(origin.connections(), 1);
    }
}

#[test]
fn a_body_may_come_in_single_bytes() {
    let origin = Origin::start(|peer, _| {
        peer.head();
        let body = dechunk(peer);
        for byte in "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
            .bytes()
            .chain(body)
        {
            peer.send([byte]);
        }
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    let text = "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n\
                3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for byte in text.bytes() {
        client.send([byte]);
    }
    assert_eq!(client.answer().1, "abcde");
}

#[test]
fn trailers_are_passed_on_both_ways() {
    let body = "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n";
    let origin = Origin::start(move |peer, _| {
        peer.head();
        assert_eq!(peer.text(body.len()), body);
        peer.send(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
        ));
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
    ));
    assert!(client.head().contains("Transfer-Encoding: chunked\r\n"));
    assert_eq!(client.text(body.len()), body);
}

#[test]
fn a_response_until_close_becomes_chunks_and_the_client_stays() {
    let origin = Origin::start(|peer, _| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\n\r\nall there is");
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send(GET);
        client.head();
        assert_eq!(dechunk(&mut client), b"all there is");
    }
    assert!(
        proxy
            .ask("GET / HTTP/1.0\r\nHost: web\r\n\r\n")
            .ends_with("\r\n\r\nall there is")
    );
}

#[test]
fn a_client_that_waits_for_100_is_not_left_waiting() {
    let origin = Origin::start(|peer, _| {
        assert!(peer.head().contains("Expect: 100-continue\r\n"));
        peer.send("HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(peer.text(5), "hello");
        peer.send(OK);
        peer.head();
        peer.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
        assert!(peer.is_at_end());
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    let head = "POST / HTTP/1.1\r\nHost: web\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    client.send(head);
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert_eq!(client.answer().1, "ok");
    // A final answer instead: the body isn't wanted, and where it would begin nobody knows.
    client.send(head);
    let (head, _) = client.answer();
    assert!(head.starts_with("HTTP/1.1 417 "), "{head}");
    assert!(head.contains("Connection: close\r\n"), "{head}");
    client.finish();
    assert!(client.is_at_end());
}

#[test]
fn interim_responses_are_passed_on() {
    let origin = Origin::start(|peer, _| {
        peer.head();
        peer.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
        peer.send(OK);
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send(GET);
    // The 100 was asked for by nobody.
    assert_eq!(client.head(), "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    assert_eq!(client.answer().1, "ok");
}

#[test]
fn a_response_may_come_before_the_request_is_all_sent() {
    let origin = Origin::start(|peer, _| {
        peer.head();
        peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nfull");
        // And then it is closed with the body unread.
    });
    let proxy = Proxy::start("", &[origin.address]);
    for length in [10, 10_000_000] {
        let mut client = proxy.client();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: {length}\r\n\r\n"
        ));
        let (head, body) = client.answer();
        assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
        assert!(head.contains("Connection: close\r\n"), "{head}");
        assert_eq!(body, "full");
        // What the client goes on to send doesn't reset what it hasn't read.
        client.try_send(vec![0; 1_000]);
        client.finish();
        assert!(client.is_at_end());
    }
}

#[test]
fn a_response_cut_off_is_seen_to_be_cut_off() {
    let parts = [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ];
    for part in parts {
        let origin = Origin::start(move |peer, _| {
            peer.head();
            peer.send(part);
        });
        let proxy = Proxy::start("", &[origin.address]);
        assert_eq!(proxy.ask(GET), part);
    }
}

#[test]
fn a_body_that_is_left_is_left_on_both_sides() {
    let origin = Origin::start(|peer, _| {
        peer.head();
        assert_eq!(peer.rest(), "abc");
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\n\r\nabc");
    origin.received();
    client.finish();
    assert!(client.is_at_end());
}

#[test]
fn a_client_may_end_its_sending_and_still_read() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send(GET);
    client.finish();
    assert_eq!(client.answer().1, "ok");
    assert!(client.is_at_end());
}

#[test]
fn a_final_answer_reaches_a_client_that_sends_on() {
    let length = 2_000_000;
    let origin = Origin::start(move |peer, _| {
        peer.head();
        peer.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
        ));
        peer.send(vec![b'a'; length]);
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send(GET_LAST);
    client.head();
    client.exact(length / 2);
    // What nobody reads makes a reset of a close.
    client.send(GET);
    client.exact(length / 2);
    assert!(client.is_at_end());
    client.finish();
}

#[test]
fn bytes_behind_an_answer_without_content_answer_nobody_else() {
    let (late, rest) = std::sync::mpsc::channel::<()>();
    let rest = Mutex::new(rest);
    let (sent, wait) = std::sync::mpsc::channel();
    let origin = Origin::start(move |peer, number| {
        peer.head();
        if number > 1 {
            peer.send(OK);
            return;
        }
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n");
        rest.lock().unwrap().recv().unwrap();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad");
        sent.send(()).unwrap();
        peer.rest();
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send("HEAD /a HTTP/1.1\r\nHost: web\r\n\r\n");
    client.head();
    late.send(()).unwrap();
    wait.recv().unwrap();
    client.send(GET);
    assert_eq!(client.answer().1, "ok");
}

#[test]
fn a_slow_reader_holds_the_origin_back() {
    let (sent, progress) = std::sync::mpsc::channel();
    let origin = Origin::start(move |peer, _| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        for _ in 0..1_000 {
            if !peer.try_send(vec![0; 100_000]) {
                return;
            }
            sent.send(()).ok();
        }
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send(GET);
    client.head();
    // Until the buffers of the systems and ours are full; then nothing for a while.
    let mut pieces = 0;
    while progress
        .recv_timeout(std::time::Duration::from_millis(300))
        .is_ok()
    {
        pieces += 1;
    }
    assert!(
        pieces < 500,
        "{pieces} pieces were taken from a client that reads nothing"
    );
    assert_eq!(client.exact(50_000_000).len(), 50_000_000);
}

#[test]
fn a_server_that_reads_slowly_holds_the_client_back() {
    let reads = Arc::new(std::sync::Barrier::new(2));
    let waits = Arc::clone(&reads);
    let origin = Origin::start(move |peer, _| {
        peer.head();
        waits.wait();
        assert_eq!(peer.exact(100_000_000).len(), 100_000_000);
        peer.send(OK);
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 100000000\r\n\r\n");
    let (sent, progress) = std::sync::mpsc::channel();
    let sending = thread::spawn(move || {
        for _ in 0..1_000 {
            client.send(vec![0; 100_000]);
            sent.send(()).ok();
        }
        client.answer()
    });
    // Until the buffers of the systems and ours are full; then nothing for a while.
    let mut pieces = 0;
    while progress
        .recv_timeout(std::time::Duration::from_millis(300))
        .is_ok()
    {
        pieces += 1;
    }
    assert!(
        pieces < 500,
        "{pieces} pieces were taken for a server that reads nothing"
    );
    reads.wait();
    assert!(sending.join().unwrap().0.starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_client_that_sends_slowly_makes_no_instance_slow() {
    let origin = Origin::start(|peer, _| {
        while peer.next_head().is_some() {
            assert_eq!(peer.text(5), "hello");
            peer.send(OK);
        }
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send("POST /a HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\n\r\nhel");
    origin.received();
    // This is how slow it is.
    thread::sleep(std::time::Duration::from_millis(400));
    client.send("lo");
    assert_eq!(client.answer().1, "ok");
    let table = proxy.shared.table();
    let pool = table.pool(&"web".parse().unwrap()).unwrap();
    let endpoint = pool.endpoints().next().unwrap();
    let now = proxy.shared.millis(tokio::time::Instant::now());
    let micros = || endpoint.speed().micros(now);
    eventually("it is known", || micros().is_some());
    assert!(micros() < Some(300_000), "{:?}", micros());
}
