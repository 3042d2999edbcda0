//! Rubbish from every side: a clear error for it, and everything else goes on.

use std::{
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
    time::Duration,
};

use hickory_proto::rr::RecordType;

use crate::support::{client, eventually, signpost::Signpost, upstream::Upstream};

#[test]
fn malformed_queries_are_answered_or_dropped_as_they_deserve() {
    let signpost = Signpost::start("");
    signpost.put("web", "one", r#"{"address": "127.0.0.1", "port": 80}"#);
    let dns = signpost.dns();
    let mut query = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend_from_slice(b"\x03web\x03svc\x08internal\x00\x00\x01\x00\x01");
    let code = |bytes: &[u8]| client::datagram(dns, bytes).map(|answer| answer[3] & 15);
    assert_eq!(code(&query), Some(0));
    assert_eq!(code(&query[..20]), Some(1), "a cut query is a format error");
    let mut update = query.clone();
    update[2] = 5 << 3;
    assert_eq!(code(&update), Some(4), "an update is not implemented");

    // What must not be answered: the next good query's answer is the first thing that comes back.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(dns).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut response = query.clone();
    response[2] = 0x80;
    for dropped in [&response[..], &[], &query[..5]] {
        socket.send(dropped).unwrap();
    }
    query[1] = 0x99;
    socket.send(&query).unwrap();
    let mut answer = [0; 512];
    socket.recv(&mut answer).unwrap();
    assert_eq!(answer[..2], [0x12, 0x99]);
}

#[test]
fn requests_that_can_be_understood_in_two_ways_are_refused_and_closed() {
    let signpost = Signpost::start("");
    let upstream = Upstream::start("one");
    signpost.put("web", "one", &upstream.registration());
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: web\r\nHost: web\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "GET / HTTP/1.1\r\nHost : web\r\n\r\n",
        "\x00\x01\x02\r\n\r\n",
    ] {
        // It ends by itself: the connection is closed.
        let answer = client::exchange(signpost.proxy(), request.as_bytes());
        assert_eq!(client::status(&answer), 400, "{request:?}: {answer:?}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
    assert_eq!(signpost.curl("web", "/").0, 200);
}

#[test]
fn a_huge_header_is_too_large() {
    let signpost = Signpost::start("");
    let mut stream = TcpStream::connect(signpost.proxy()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let value = "x".repeat(1 << 20);
    let request = format!("GET / HTTP/1.1\r\nHost: web\r\nX: {value}\r\n\r\n");
    // The rest isn't taken any more once the answer is on its way.
    stream.write_all(request.as_bytes()).ok();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok();
    assert_eq!(client::status(&answer), 431, "{answer}");
}

#[test]
fn a_registration_that_cannot_be_is_refused_with_the_reason() {
    let signpost = Signpost::start("");
    let good = r#"{"address": "127.0.0.1", "port": 80}"#;
    for (service, id, body, reason) in [
        ("web", "a", "{", "EOF"),
        (
            "web",
            "a",
            r#"{"address": "127.0.0.1", "port": 70000}"#,
            "port 70000",
        ),
        (
            "web",
            "a",
            r#"{"address": "1.2.3", "port": 80}"#,
            "neither an address",
        ),
        (
            "web",
            "a",
            r#"{"address": "::1", "prot": 80}"#,
            "unknown field `prot`",
        ),
        (
            "web",
            "a",
            r#"{"address": "::1", "port": 80, "ttl": "1ms"}"#,
            "ttl 1ms is not between",
        ),
        (
            "web",
            "a",
            r#"{"address": "::1", "port": 80, "ttl": 30}"#,
            "ttl",
        ),
        ("we%20b", "a", good, "service name"),
        ("web", "_a", good, "instance id"),
    ] {
        let (status, answer) = signpost.put(service, id, body);
        let detail = answer["detail"].as_str().unwrap_or_default();
        assert_eq!(status, 400, "{body}: {answer}");
        assert!(detail.contains(reason), "{body}: {detail}");
    }
    let huge = format!(
        r#"{{"address": "::1", "port": 80, "tags": ["{}"]}}"#,
        "x".repeat(100_000)
    );
    assert_eq!(signpost.put("web", "a", &huge).0, 413);
    assert_eq!(signpost.get("/v1/services/web").0, 404);
    assert_eq!(signpost.get("/v1/nothing").0, 404);
    let url = format!("{}/v1/services", signpost.admin());
    assert_eq!(client::request("POST", &url, "").0, 405);
}

#[test]
fn a_service_with_fifty_thousand_instances_is_cut_at_the_limit_and_shown() {
    let instances: Vec<_> = (0..50_000)
        .map(|n| format!("\"10.{}.{}.{}:80\"", n / 65_536, n / 256 % 256, n % 256))
        .collect();
    let list = format!(
        "[[services]]\nname = 'big'\ninstances = [{}]\n[[services]]\nname = 'small'\ninstances = ['127.0.0.1:80']\n",
        instances.join(",")
    );
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("list.toml"), list).unwrap();
    let signpost = Signpost::start_in(directory, "[sources.list.file]\npath = 'list.toml'\n");
    eventually("the list is read", || signpost.get("/readyz").0 == 200);
    let dns = signpost.dns();
    assert_eq!(client::addresses(dns, "small.svc.internal."), ["127.0.0.1"]);
    let answer = client::query(dns, "big.svc.internal.", RecordType::A);
    assert!(answer.metadata.truncation && !answer.answers.is_empty());
    let over_tcp = signpost.dig(&["+tcp", "big.svc.internal"]);
    assert!(
        over_tcp.len() > 4000,
        "{} addresses over TCP",
        over_tcp.len()
    );
    let (_, big) = signpost.get("/v1/services/big");
    assert_eq!(big["instances"].as_array().unwrap().len(), 10_000);
    assert_eq!(big["left_out"], 40_000);
    let (_, sources) = signpost.get("/v1/sources");
    assert_eq!(sources[0]["limited"][0]["service"], "big", "{}", sources[0]);
    assert_eq!(sources[0]["limited"][0]["left_out"], 40_000);
}

#[test]
fn a_token_is_needed_to_change_and_not_to_look() {
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("token"), "s3cret\n").unwrap();
    let signpost = Signpost::start_in(
        directory,
        "[admin]\nlisten = '127.0.0.1:0'\ntoken_file = 'token'\n",
    );
    let body = r#"{"address": "127.0.0.1", "port": 80}"#;
    assert_eq!(signpost.put("web", "a", body).0, 401);
    let url = format!("{}/v1/services/web/instances/a", signpost.admin());
    let put = |token: &str| {
        client::request_with(
            "PUT",
            &url,
            &format!("Authorization: Bearer {token}\r\n"),
            body,
        )
        .0
    };
    assert_eq!((put("s3cre"), put("s3cret")), (401, 201));
    assert_eq!(signpost.get("/v1/services").0, 200);
    let drain = format!("{url}/drain");
    assert_eq!(client::request("POST", &drain, "").0, 401);
    assert_eq!(client::request("GET", &drain, "").0, 200);
}
