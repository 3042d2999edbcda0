use super::*;
use crate::http::head::{Scan, scan};

fn parse<T>(text: &str, then: impl FnOnce(Request<'_, '_>) -> T) -> Result<T, Malformed> {
    match scan(text.as_bytes(), 0)? {
        Scan::Complete(bytes) => Request::parse(&text.as_bytes()[..bytes], &mut slots()).map(then),
        Scan::Partial { .. } => Err(Malformed::Syntax("partial")),
    }
}

fn encode(text: &str, trusted: bool) -> String {
    let sender = Sender {
        address: "192.0.2.1".parse().unwrap(),
        port: 8080,
        trusted,
    };
    let encoded = parse(text, |request| {
        let mut out = Vec::new();
        let onward = Onward {
            path: match request.target.path() {
                "" => "/",
                path => path,
            },
            nameless: "nameless",
            host: None,
            lines: b"",
        };
        request.encode(&sender, &Marks::default(), None, onward, &mut out);
        String::from_utf8(out).unwrap()
    });
    encoded.unwrap()
}

/// What follows the lines of the client in what the server gets.
fn ours(host: &str) -> String {
    format!(
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 8080\r\n\
         Forwarded: for=192.0.2.1;proto=http;host=\"{host}\"\r\nX-Forwarded-Host: {host}\r\n"
    )
}

#[test]
fn malformed_heads_are_refused() {
    for text in [
        "GET /\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /#top HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET path HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://:80/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / x HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\u{1}b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\u{7f}b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let read = parse(text, |_| ());
        assert!(
            matches!(read, Err(Malformed::Syntax(_))),
            "{text:?}: {read:?}"
        );
    }
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2"] {
        let text = format!("GET / {version}\r\nHost: a\r\n\r\n");
        assert_eq!(parse(&text, |_| ()), Err(Malformed::Version), "{text:?}");
    }
}

#[test]
fn targets_are_read_in_all_their_forms() {
    for (line, target, authority) in [
        ("GET /a?b", Target::Path("/a?b"), "h"),
        ("GET http://x:1/a", Target::Path("/a"), "x:1"),
        ("GET HTTP://x?q", Target::Path("?q"), "x"),
        ("OPTIONS *", Target::Asterisk, "h"),
        ("OPTIONS http://x", Target::Asterisk, "x"),
    ] {
        let text = format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n");
        let read = parse(&text, |request| {
            assert_eq!(request.target, target, "{line}");
            request.authority.to_owned()
        });
        assert_eq!(read.as_deref(), Ok(authority), "{line}");
    }
}

#[test]
fn end_to_end_lines_pass_byte_for_byte() {
    let text = "GET /a HTTP/1.1\r\nhOst: a:80\r\nX:  odd \r\nAccept:*/*\r\n\r\n";
    let expected = format!(
        "GET /a HTTP/1.1\r\nhOst: a:80\r\nX:  odd \r\nAccept:*/*\r\n{}\r\n",
        ours("a:80")
    );
    assert_eq!(encode(text, false), expected);
}

#[test]
fn lines_of_the_connection_are_dropped() {
    let text = "POST /a HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine, Host, content-length\r\n\
                X-Mine: 1\r\nKeep-Alive: 5\r\nProxy-Authorization: x\r\nTE: gzip\r\n\
                Upgrade: h2c\r\n\
                HTTP2-Settings: x\r\nContent-Length: 05\r\nProxy: evil\r\nA: b\r\n\r\n";
    let expected = format!(
        "POST /a HTTP/1.1\r\nHost: a\r\nHTTP2-Settings: x\r\nA: b\r\nContent-Length: 5\r\n{}\r\n",
        ours("a")
    );
    assert_eq!(encode(text, false), expected);
}

#[test]
fn our_own_lines_can_not_be_forged_nor_nominated_away() {
    let text = "GET /a HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\
                X_Forwarded_For: 6.6.6.6\r\n\
                Forwarded: for=6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\
                X-Forwarded-Port: 1\r\nConnection: X-Forwarded-For, Forwarded\r\n\r\n";
    let expected = format!("GET /a HTTP/1.1\r\nHost: a\r\n{}\r\n", ours("a"));
    assert_eq!(encode(text, false), expected);
}

#[test]
fn a_trusted_proxy_is_believed_and_appended_to() {
    let text = "GET /a HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\n\
                X-Forwarded-For: 2.2.2.2\r\n\
                Forwarded: for=1.1.1.1\r\nX-Forwarded-Proto: https\r\n\r\n";
    let expected = "GET /a HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\
                    X-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.1\r\n\
                    Forwarded: for=1.1.1.1, for=192.0.2.1;proto=http;host=\"a\"\r\n\
                    X-Forwarded-Host: a\r\n\r\n";
    assert_eq!(encode(text, true), expected);
}

#[test]
fn an_absolute_target_becomes_a_path_and_a_host() {
    let text = "GET http://real:8080?q HTTP/1.1\r\nA: b\r\nHost: other\r\n\r\n";
    let expected = format!(
        "GET /?q HTTP/1.1\r\nHost: real:8080\r\nA: b\r\n{}\r\n",
        ours("real:8080")
    );
    assert_eq!(encode(text, false), expected);
}

#[test]
fn a_request_without_host_gets_one() {
    let encoded = encode("GET / HTTP/1.0\r\n\r\n", false);
    assert!(encoded.starts_with("GET / HTTP/1.1\r\nHost: nameless\r\nX-Forwarded-For: "));
    assert!(!encoded.contains("X-Forwarded-Host"), "{encoded}");
}

#[test]
fn an_upgrade_is_passed_on_and_h2c_is_not() {
    let websocket =
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert!(
        encode(websocket, false).ends_with("Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    );
    for text in [
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket, H2C\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Content-Length: 3\r\n\r\n",
    ] {
        assert!(!encode(text, false).contains("pgrade"), "{text:?}");
    }
}

#[test]
fn only_trailers_are_left_of_te() {
    let text = "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\n\r\n";
    assert!(encode(text, false).ends_with("Connection: te\r\nTE: trailers\r\n\r\n"));
}

#[test]
fn keeping_alive_depends_on_version_and_connection() {
    for (version, connection, expected) in [
        ("1.1", "x", true),
        ("1.1", "close", false),
        ("1.1", "keep-alive, close", false),
        ("1.0", "x", false),
        ("1.0", "Keep-Alive", true),
    ] {
        let text = format!("GET / HTTP/{version}\r\nHost: a\r\nConnection: {connection}\r\n\r\n");
        assert_eq!(
            parse(&text, |request| request.keeps_alive()),
            Ok(expected),
            "{text:?}"
        );
    }
}

#[test]
fn only_a_trusted_proxy_says_anything_of_clients_before_it() {
    let lines = "X-Real-IP: 1.1.1.1\r\nX-Forwarded-Prefix: /x\r\nX-Forwarded-: 1\r\n";
    // What only looks like them nobody who is believed has written.
    let others = "x_real_ip: 1.1.1.1\r\nX_Forwarded-User: root\r\nX_Forwarded_Proto: https\r\n";
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{others}{lines}X-Forwarder: 1\r\n\r\n");
    let untrusted = encode(&text, false);
    let expected = format!("Host: a\r\nX-Forwarder: 1\r\n{}\r\n", ours("a"));
    assert!(untrusted.ends_with(&expected), "{untrusted}");
    let trusted = encode(&text, true);
    assert!(trusted.contains(lines), "{trusted}");
    assert!(
        !trusted.contains('_') && !trusted.contains("https"),
        "{trusted}"
    );
}
