//! Requests without bodies: routing, keeping alive, versions, methods.

use std::sync::Arc;

use registry::{Snapshot, testing};

use super::*;

#[test]
fn connections_are_kept_on_both_sides() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start("request_id_header = \"\"", &[origin.address]);
    let mut client = proxy.client();
    for _ in 0..5 {
        client.send(GET);
        assert_eq!(
            client.answer(),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n".into(),
                "ok".into()
            )
        );
    }
    assert_eq!(origin.connections(), 1);
    let port = proxy.address.port();
    assert_eq!(
        origin.received(),
        format!(
            "GET /a HTTP/1.1\r\nHost: web\r\nX-Forwarded-For: 127.0.0.1\r\n\
             X-Forwarded-Proto: http\r\nX-Forwarded-Port: {port}\r\n\
             Forwarded: for=127.0.0.1;proto=http;host=\"web\"\r\nX-Forwarded-Host: web\r\n\r\n"
        )
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start(|peer, _| {
        while let Some(head) = peer.next_head() {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}",
                path.len()
            ));
        }
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    let all: String = (0..50)
        .map(|n| GET.replace("/a", &format!("/{n}")))
        .collect();
    client.send(all);
    for n in 0..50 {
        assert_eq!(client.answer().1, format!("/{n}"));
    }
}

#[test]
fn a_head_may_come_byte_by_byte_and_after_an_empty_line() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    for byte in format!("\r\n{GET}").bytes() {
        client.send([byte]);
    }
    assert_eq!(client.answer().1, "ok");
}

#[test]
fn an_old_client_gets_what_it_understands() {
    let origin = Origin::start(|peer, _| {
        peer.head();
        peer.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
        peer.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
        );
        peer.head();
        peer.send(OK);
    });
    let proxy = Proxy::start("", &[origin.address]);
    assert_eq!(
        proxy.ask("GET /a HTTP/1.0\r\nHost: web\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"
    );
    let mut client = proxy.client();
    client.send("GET /a HTTP/1.0\r\nHost: web\r\nConnection: keep-alive\r\n\r\n");
    let (head, _) = client.answer();
    assert!(head.ends_with("Connection: keep-alive\r\n\r\n"), "{head}");
}

#[test]
fn an_old_client_is_told_that_an_answer_of_ours_keeps_its_connection() {
    let proxy = Proxy::start("", &[]);
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send("GET /a HTTP/1.0\r\nHost: nobody\r\nConnection: keep-alive\r\n\r\n");
        let (head, _) = client.answer();
        assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
        assert!(head.contains("Connection: keep-alive\r\n"), "{head}");
    }
}

#[test]
fn no_path_leads_around_a_route() {
    let origin = Origin::answering(OK);
    let routes = "[[routes]]\npath_prefix = \"/admin\"\nservice = \"nobody\"";
    let proxy = Proxy::start(routes, &[origin.address]);
    for (path, status) in [
        ("/public/../admin", "503"),
        ("/public/%2e%2E/admin", "503"),
        ("/%61dmin/", "503"),
        ("//admin", "503"),
        ("/public/..;/admin", "400"),
        ("/public%2F..%2Fadmin", "400"),
        ("/public\\..\\admin", "400"),
        ("/%zz", "400"),
        ("/public?/../x", "200"),
    ] {
        let answer = proxy.ask(&GET_LAST.replace("/a ", &format!("{path} ")));
        let begin = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&begin), "{path}: {answer}");
    }
}

#[test]
fn what_is_routed_is_what_is_forwarded() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    for (target, forwarded) in [
        ("/a/../b//c/%7Ed?x=/../%2e", "/b/c/~d?x=/../%2e"),
        ("/caf%c3%a9/", "/caf%C3%A9/"),
        ("http://web/./a", "/a"),
        ("http://web?x", "/?x"),
    ] {
        client.send(GET.replace("/a ", &format!("{target} ")));
        client.answer();
        let head = origin.received();
        assert!(head.starts_with(&format!("GET {forwarded} ")), "{head}");
    }
    let kept = "path = { merge_slashes = false, encoded_slash = \"keep\" }";
    let proxy = Proxy::start(kept, &[origin.address]);
    proxy.ask(&GET_LAST.replace("/a ", "/a//b%2fc "));
    assert!(origin.received().starts_with("GET /a//b%2Fc "));
}

#[test]
fn answers_without_content_end_with_their_head() {
    let origin = Origin::start(|peer, _| {
        while let Some(head) = peer.next_head() {
            peer.send(match head.split(' ').nth(1).unwrap() {
                "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
                _ => "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            });
        }
    });
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    for (line, status) in [
        ("HEAD /head", "200"),
        ("GET /204", "204"),
        ("GET /304", "304"),
    ] {
        client.send(format!("{line} HTTP/1.1\r\nHost: web\r\n\r\n"));
        assert!(client.head().starts_with(&format!("HTTP/1.1 {status} ")));
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_target_may_be_absolute_or_an_asterisk() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    client.send("GET http://web.svc.internal:8080/x?y HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_eq!(client.answer().1, "ok");
    let received = origin.received();
    assert!(
        received.starts_with("GET /x?y HTTP/1.1\r\nHost: web.svc.internal:8080\r\n"),
        "{received}"
    );
    client.send("OPTIONS * HTTP/1.1\r\nHost: web\r\n\r\n");
    assert_eq!(client.answer().1, "ok");
    assert!(origin.received().starts_with("OPTIONS * HTTP/1.1\r\n"));
    client.send("GET http://elsewhere.example/ HTTP/1.1\r\nHost: web\r\n\r\n");
    assert!(client.answer().0.starts_with("HTTP/1.1 404 "));
    client.send("CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\n");
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
}

#[test]
fn who_has_no_answer_is_told_why() {
    let proxy = Proxy::start("", &[]);
    let reason = |host: &str| {
        let mut client = proxy.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let (head, body) = client.answer();
        let document: serde_json::Value = serde_json::from_str(&body).unwrap();
        // The connection can be used on.
        client.send("HEAD / HTTP/1.1\r\nHost: nobody\r\n\r\n");
        assert!(client.head().starts_with("HTTP/1.1 404 "));
        (head, document["reason"].as_str().unwrap().to_owned())
    };
    let (head, code) = reason("nobody");
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
    assert_eq!(code, "unknown_host");
    let (head, code) = reason("web");
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains("\r\nRetry-After: 1\r\n"), "{head}");
    assert_eq!(code, "no_instance");
}

#[test]
fn ignorance_is_not_absence() {
    let unsynced: Arc<[Arc<str>]> = [Arc::from("zk")].into();
    let proxy = Proxy::with_snapshot("", Snapshot::new(1, Default::default(), unsynced));
    let answer = proxy.ask("GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\"reason\":\"unsynced\""), "{answer}");
}

#[test]
fn a_route_comes_before_the_name_of_a_service() {
    let (shop, web) = (Origin::answering(OK), Origin::answering(OK));
    let port = |origin: &Origin| testing::instance("a", "127.0.0.1", origin.address.port());
    let services = [
        testing::service_of("shop", [port(&shop)]),
        testing::service_of("web", [port(&web)]),
    ];
    let config = "[[routes]]\nhost = \"web\"\npath_prefix = \"/shop\"\nservice = \"shop\"";
    let proxy = Proxy::with_snapshot(config, testing::snapshot(1, services));
    let mut client = proxy.client();
    client.send("GET /shop/1 HTTP/1.1\r\nHost: WEB:80\r\n\r\n");
    client.answer();
    assert!(shop.received().starts_with("GET /shop/1 "));
    client.send("GET /shops HTTP/1.1\r\nHost: web\r\n\r\n");
    client.answer();
    assert!(web.received().starts_with("GET /shops "));
}

#[test]
fn a_trusted_proxy_says_who_the_client_is() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start("trusted_proxies = [\"127.0.0.0/8\"]", &[origin.address]);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: web\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n");
    client.answer();
    let received = origin.received();
    assert!(
        received.contains("X-Forwarded-For: 192.0.2.9, 127.0.0.1\r\n"),
        "{received}"
    );
}

#[test]
fn the_access_log_and_the_metrics_know_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let origin = Origin::answering(OK);
    let config = format!("access_log = {{ enabled = true, path = {path:?} }}");
    let proxy = Proxy::start(&config, &[origin.address]);
    proxy.ask("GET /x?y=1 HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n");
    wait_for(&proxy, "signpost_proxy_requests_total{status=\"2xx\"} 1");
    let Proxy {
        shared,
        phase,
        thread,
        ..
    } = proxy;
    phase.send(Phase::Drain).unwrap();
    thread.join().unwrap();
    // The last one who has it writes what is left.
    drop(shared);
    let line = std::fs::read(&path).unwrap();
    let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(line["http.response.status_code"], 200);
    assert_eq!(line["http.response.body.bytes"], 2);
    assert_eq!(line["url.query"], "y=1");
    assert_eq!(line["service.name"], "web");
    assert_eq!(line["signpost.instance"], "i1");
    assert_eq!(line["signpost.attempts"], 1);
    assert_eq!(line["server.port"], origin.address.port());
}

#[test]
fn clients_above_the_limit_wait_their_turn() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start("limits = { connections = 1 }", &[origin.address]);
    let mut first = proxy.client();
    first.send(GET);
    first.answer();
    let mut second = proxy.client();
    second.send(GET);
    second
        .stream
        .set_read_timeout(Some(std::time::Duration::from_millis(50)))
        .unwrap();
    let early = std::io::Read::read(&mut &second.stream, &mut [0; 1]);
    assert_eq!(early.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(first);
    second
        .stream
        .set_read_timeout(Some(std::time::Duration::from_secs(10)))
        .unwrap();
    assert_eq!(second.answer().1, "ok");
}
