//! What is said of a request when it is over.

use std::{
    net::SocketAddr,
    sync::{Arc, mpsc::channel},
};

use socket2::SockRef;

use super::*;

/// Returns the lines of the access log that `act` leaves.
fn lines_of(
    config: &str,
    instances: &[SocketAddr],
    act: impl FnOnce(&Proxy),
) -> Vec<serde_json::Value> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let config = format!("access_log = {{ enabled = true, path = {path:?} }}\n{config}");
    let proxy = Proxy::start(&config, instances);
    act(&proxy);
    let shared = Arc::clone(&proxy.shared);
    proxy.drain();
    // The last one who has it writes what is left.
    drop(shared);
    let log = std::fs::read_to_string(&path).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// Returns the reason in the log's only line, and its status.
fn reason(config: &str, origin: &Origin, act: impl FnOnce(&Proxy)) -> (u64, String) {
    let lines = lines_of(config, &[origin.address], act);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let status = lines[0]["http.response.status_code"].as_u64().unwrap();
    let code = lines[0]["error.code"].as_str().unwrap_or_default();
    (status, code.to_owned())
}

fn resets(peer: &Peer) {
    SockRef::from(&peer.stream)
        .set_linger(Some(std::time::Duration::ZERO))
        .unwrap();
}

#[test]
fn each_end_of_a_response_that_is_not_whole_has_a_reason_of_its_own() {
    let part = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
    let broken = Origin::start(move |peer, _| {
        peer.head();
        peer.send(part);
    });
    let ask = |proxy: &Proxy| {
        let mut client = proxy.client();
        client.send(GET);
        client.rest();
    };
    let truncated = (200, "upstream_truncated".to_owned());
    assert_eq!(reason("", &broken, ask), truncated);

    let stuck = Origin::start(move |peer, _| {
        peer.head();
        peer.send(part);
        peer.rest();
    });
    let config = "timeouts = { stream_idle = \"50ms\" }";
    let stalled = (200, "upstream_stalled".to_owned());
    assert_eq!(reason(config, &stuck, ask), stalled);

    let (begun, first_is_read) = channel();
    let first_is_read = Mutex::new(first_is_read);
    let mangled = Origin::start(move |peer, _| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        first_is_read.lock().unwrap().recv().unwrap();
        peer.send("3\r\nabcd");
        peer.rest();
    });
    let malformed = reason("", &mangled, |proxy| {
        let mut client = proxy.client();
        client.send(GET);
        client.head();
        begun.send(()).unwrap();
        client.rest();
    });
    assert_eq!(malformed, (200, "upstream_malformed".to_owned()));
}

#[test]
fn a_client_that_goes_or_reads_nothing_is_told_apart_from_an_instance_that_fails() {
    let large = Origin::start(|peer, _| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n");
        while peer.try_send([b'a'; 65_536]) {}
    });
    let aborted = reason("", &large, |proxy| {
        let mut client = proxy.client();
        client.send(GET);
        client.exact(1000);
        resets(&client);
    });
    assert_eq!(aborted, (200, "client_aborted".to_owned()));

    let config = "timeouts = { stream_idle = \"100ms\" }";
    let stalled = reason(config, &large, |proxy| {
        let mut client = proxy.client();
        client.send(GET);
        client.exact(1000);
        // Reads on when it is too late: by then the proxy has given up.
        let metrics = proxy.shared.metrics();
        eventually("the proxy gives up", || metrics.in_flight() == 0);
    });
    assert_eq!(stalled, (200, "client_stalled".to_owned()));

    let waiting = Origin::start(|peer, _| {
        peer.head();
        peer.rest();
    });
    let gone = reason("", &waiting, |proxy| {
        let mut client = proxy.client();
        client.send("POST /a HTTP/1.1\r\nHost: web\r\nContent-Length: 9\r\n\r\nabc");
        client.finish();
        waiting.received();
        client.rest();
    });
    assert_eq!(gone, (499, "client_aborted".to_owned()));
}

#[test]
fn a_request_counts_for_its_route_and_the_log_names_it() {
    let origin = Origin::answering(OK);
    let routes = "[[routes]]\nname = 'shop'\npath = '/a'\nservice = 'web'\n\
                  [[routes]]\npath = '/gone'\nrespond = { status = 410 }\n";
    let lines = lines_of(routes, &[origin.address], |proxy| {
        let mut client = proxy.client();
        for path in ["/a", "/gone", "/other"] {
            client.send(GET.replace("/a", path));
            client.answer();
        }
        for line in [
            "signpost_proxy_route_requests_total{route=\"shop\",status=\"2xx\"} 1",
            "signpost_proxy_route_requests_total{route=\"routes[1]\",status=\"4xx\"} 1",
            "signpost_proxy_service_requests_total{service=\"web\",status=\"2xx\"} 2",
        ] {
            wait_for(proxy, line);
        }
    });
    let routes = lines.iter().map(|line| line["signpost.route"].as_str());
    let routes: Vec<_> = routes.collect();
    assert_eq!(routes, [Some("shop"), Some("routes[1]"), None]);
}
