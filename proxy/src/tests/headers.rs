//! What servers are told of clients, and by what a request can be followed.

use super::*;

/// Returns the values of a header, by its exact name.
fn values<'h>(head: &'h str, name: &str) -> Vec<&'h str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .filter(|(one, _)| *one == name)
        .map(|(_, value)| value)
        .collect()
}

fn with(lines: &str) -> String {
    format!("GET /a HTTP/1.1\r\nHost: web\r\n{lines}\r\n")
}

#[test]
fn every_request_gets_an_id_of_its_own() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start("", &[origin.address]);
    let mut client = proxy.client();
    let mut ids = std::collections::HashSet::new();
    for lines in [
        "",
        "X-Request-ID: mine\r\n",
        "x_request_id: mine\r\n",
        "X-Request-Id: mine\r\nConnection: x-request-id\r\n",
    ] {
        client.send(with(lines));
        assert!(!client.answer().0.contains("equest"), "it isn't returned");
        let received = origin.received();
        assert!(!received.contains("mine"), "{received}");
        let id = values(&received, "x-request-id")[0].to_owned();
        let is_hex = id.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(id.len() == 32 && is_hex && ids.insert(id), "{received}");
    }
}

#[test]
fn the_id_of_a_trusted_proxy_is_kept() {
    let origin = Origin::answering(OK);
    let trusted = "trusted_proxies = [\"127.0.0.0/8\"]";
    let proxy = Proxy::start(trusted, &[origin.address]);
    let mut client = proxy.client();
    for (lines, kept) in [
        ("X-Request-ID: mine\r\n", true),
        ("X-Request-ID: mine\r\nConnection: x-request-id\r\n", true),
        ("X-Request-ID: mine\r\nX-Request-ID: mine\r\n", false),
        ("X-Request-ID: mine\r\nx_request_id: mine\r\n", false),
        ("X-Request-ID: mi ne\r\n", false),
        ("X-Request-ID:\r\n", false),
    ] {
        client.send(with(lines));
        client.answer();
        let received = origin.received();
        match kept {
            true => {
                assert_eq!(values(&received, "X-Request-ID"), ["mine"]);
                assert!(!received.contains("x-request-id"), "{received}");
            }
            false => {
                assert!(!received.contains("mi"), "{received}");
                assert_eq!(values(&received, "x-request-id").len(), 1, "{received}");
            }
        }
    }
}

#[test]
fn the_id_may_be_returned_and_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let origin =
        Origin::answering("HTTP/1.1 200 OK\r\nX-Trace: its\r\nContent-Length: 2\r\n\r\nok");
    let config = format!(
        "request_id_header = \"X-Trace\"\nrequest_id_returned = true\n\
         access_log = {{ enabled = true, path = {path:?} }}"
    );
    let proxy = Proxy::start(&config, &[origin.address]);
    let mut client = proxy.client();
    client.send(GET);
    let (head, _) = client.answer();
    let received = origin.received();
    let sent = values(&received, "x-trace");
    assert_eq!(values(&head, "x-trace"), sent, "{head}");
    assert!(!head.contains("its"), "{head}");
    // As well with an answer of ours.
    client.send(GET.replace("web", "nobody"));
    let (head, _) = client.answer();
    assert_eq!(values(&head, "x-trace").len(), 1, "{head}");
    drop(client);
    let Proxy {
        shared,
        phase,
        thread,
        ..
    } = proxy;
    phase.send(Phase::Drain).unwrap();
    thread.join().unwrap();
    drop(shared);
    let log = std::fs::read_to_string(&path).unwrap();
    let line: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(line["http.request.id"], sent[0]);
}

#[test]
fn via_is_said_both_ways_by_option() {
    let origin = Origin::start(|peer, _| {
        peer.head();
        peer.send("HTTP/1.0 200 OK\r\nVia: 1.1 behind\r\nContent-Length: 0\r\n\r\n");
    });
    let proxy = Proxy::start("via = \"gate\"", &[origin.address]);
    for (version, said) in [("1.0", "1.0 gate"), ("1.1", "1.1 gate")] {
        let answer = proxy.ask(&format!(
            "GET /a HTTP/{version}\r\nHost: web\r\nVia: 1.0 before\r\nConnection: close\r\n\r\n"
        ));
        assert_eq!(values(&answer, "Via"), ["1.1 behind", "1.0 gate"]);
        assert_eq!(values(&origin.received(), "Via"), ["1.0 before", said]);
    }
    // What isn't passed on is said by nobody before us.
    let answer = proxy.ask(&GET_LAST.replace("web", "nobody"));
    assert!(values(&answer, "Via").is_empty(), "{answer}");
}

#[test]
fn what_traces_say_is_passed_on_untouched() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start("", &[origin.address]);
    let lines = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
                 TraceState: a=b,c=d\r\ntracestate: e=f\r\n";
    proxy.ask(&with(&format!("Connection: close\r\n{lines}")));
    let received = origin.received();
    assert!(received.contains(lines), "{received}");
}

#[test]
fn our_port_does_not_go_with_the_scheme_of_somebody_else() {
    let origin = Origin::answering(OK);
    let trusted = "trusted_proxies = [\"127.0.0.0/8\"]";
    let proxy = Proxy::start(trusted, &[origin.address]);
    let port = proxy.address.port().to_string();
    let mut client = proxy.client();
    for (lines, ports, schemes) in [
        ("", &[port.as_str()][..], &["http"][..]),
        ("X-Forwarded-Port: 443\r\n", &["443"], &["http"]),
        ("X-Forwarded-Proto: https\r\n", &[], &["https"]),
    ] {
        client.send(with(lines));
        client.answer();
        let received = origin.received();
        assert_eq!(values(&received, "X-Forwarded-Port"), ports, "{received}");
        assert_eq!(
            values(&received, "X-Forwarded-Proto"),
            schemes,
            "{received}"
        );
    }
}

#[test]
fn whom_a_reload_trusts_no_more_is_believed_no_more() {
    let origin = Origin::answering(OK);
    let trusted = "trusted_proxies = [\"127.0.0.0/8\"]";
    let proxy = Proxy::start(trusted, &[origin.address]);
    let mut client = proxy.client();
    let request = GET.replace("\r\n\r\n", "\r\nX-Real-IP: 10.0.0.5\r\n\r\n");
    for is_trusted in [true, false] {
        client.send(&request);
        client.answer();
        let received = origin.received();
        assert_eq!(received.contains("X-Real-IP"), is_trusted, "{received}");
        proxy.shared.configure(&Config::default());
    }
}
