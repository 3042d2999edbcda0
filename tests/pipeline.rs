//! The whole way, from the embedded store to answers and requests.

use std::{fs, time::Duration};

use nix::sys::signal::Signal;

use crate::support::{client, eventually, signpost::Signpost, upstream::Upstream};

#[test]
fn what_is_registered_is_resolved_and_proxied_at_once() {
    let signpost = Signpost::start("");
    let upstream = Upstream::start("one");
    let (status, answer) = signpost.put("web", "one", &upstream.registration());
    assert_eq!((status, &answer["result"]), (201, &"created".into()));

    // Without waiting: the answer to the registration means that it is in use.
    assert_eq!(signpost.dig(&["web.svc.internal"]), ["127.0.0.1"]);
    let srv = format!("0 1 {} one.web.svc.internal.", upstream.port());
    assert_eq!(
        signpost.dig(&["_web._tcp.svc.internal", "SRV"]),
        std::slice::from_ref(&srv)
    );
    assert_eq!(
        signpost.dig(&["+tcp", "_web._tcp.svc.internal", "SRV"]),
        [srv]
    );
    assert_eq!(
        signpost.dig(&["-x", "127.0.0.1"]),
        ["one.web.svc.internal."]
    );
    for host in ["web.svc.internal", "WEB", "web.svc.internal:8080"] {
        assert_eq!(signpost.curl(host, "/"), (200, "one".to_owned()), "{host}");
    }

    assert_eq!(signpost.delete("web", "one").0, 200);
    assert!(signpost.dig(&["web.svc.internal"]).is_empty());
    assert_eq!(signpost.curl("web", "/").0, 404);
}

#[test]
fn registrations_and_the_version_survive_a_restart() {
    let mut signpost = Signpost::start("");
    let upstream = Upstream::start("one");
    let (_, answer) = signpost.put("web", "one", &upstream.registration());
    let version = answer["version"].as_u64().unwrap();
    signpost.signal(Signal::SIGTERM);
    assert_eq!(signpost.wait().code(), Some(0));

    let signpost = Signpost::start_in(signpost.share_directory(), "");
    eventually("the registration is back", || {
        signpost.curl("web", "/") == (200, "one".to_owned())
    });
    let serial = signpost.dig(&["svc.internal", "SOA"])[0].clone();
    let serial: u64 = serial.split(' ').nth(2).unwrap().parse().unwrap();
    assert!(serial > version, "{serial} after {version}");
}

#[test]
fn a_lease_that_is_not_renewed_ends() {
    let signpost = Signpost::start("");
    let body = r#"{"address": "10.0.0.1", "port": 80, "ttl": "5s"}"#;
    assert_eq!(signpost.put("web", "one", body).0, 201);
    assert_eq!(signpost.put("web", "one", body).0, 200);
    let url = format!("{}/v1/services/web/instances/one/renew", signpost.admin());
    assert_eq!(client::request("POST", &url, "").0, 200);
    let lasted = eventually("the lease ends", || {
        client::addresses(signpost.dns(), "web.svc.internal.").is_empty()
    });
    // With room for a machine that was slow before.
    assert!(lasted > Duration::from_secs(2), "{lasted:?}");
    assert_eq!(client::request("POST", &url, "").0, 404);
}

#[test]
fn two_sources_of_one_service_are_united_and_explained() {
    let one = Upstream::start("one");
    let list = format!(
        "[[services]]\nname = 'web'\ninstances = [{{ id = 'two', address = '127.0.0.2', port = {} }}]\n",
        one.port()
    );
    let signpost = Signpost::start("[sources.list.file]\npath = 'web.toml'\n[sources.own.store]\n");
    fs::write(signpost.directory().join("web.toml"), list).unwrap();
    let down = r#"{"address": "127.0.0.3", "port": 80, "state": "draining"}"#;
    assert_eq!(signpost.put("web", "one", &one.registration()).0, 201);
    assert_eq!(signpost.put("web", "three", down).0, 201);
    eventually("both are answered", || {
        client::addresses(signpost.dns(), "web.svc.internal.") == ["127.0.0.1", "127.0.0.2"]
    });
    let text = String::from_utf8(signpost.verb(&["explain", "web.svc.internal"]).stdout).unwrap();
    for part in ["web.toml#web", "web/one", "draining", "left_out"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let route = signpost.verb(&["explain", "http://web.svc.internal/x"]);
    let text = String::from_utf8(route.stdout).unwrap();
    for part in ["127.0.0.1", "127.0.0.2", "draining"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn host_names_in_registrations_are_resolved() {
    let signpost = Signpost::start("");
    let upstream = Upstream::start("one");
    let body = format!(r#"{{"address": "localhost", "port": {}}}"#, upstream.port());
    assert_eq!(signpost.put("web", "one", &body).0, 201);
    eventually("the host name is resolved", || {
        client::addresses(signpost.dns(), "web.svc.internal.") == ["127.0.0.1"]
    });
    assert_eq!(signpost.curl("web", "/"), (200, "one".to_owned()));
}

#[test]
fn a_stop_lets_requests_under_way_finish() {
    let mut signpost = Signpost::start("");
    let upstream = Upstream::slow("one", Duration::from_millis(500));
    signpost.put("web", "one", &upstream.registration());
    let proxy = signpost.proxy();
    let request = std::thread::spawn(move || {
        client::exchange(
            proxy,
            b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n",
        )
    });
    eventually("the request is under way", || upstream.requests() == 1);
    signpost.signal(Signal::SIGTERM);
    assert!(request.join().unwrap().ends_with("one"));
    assert_eq!(signpost.wait().code(), Some(0));
}

#[test]
fn a_stop_that_takes_too_long_is_unclean() {
    let mut signpost = Signpost::start("drain_timeout = '100ms'\n");
    let upstream = Upstream::slow("one", Duration::from_secs(60));
    signpost.put("web", "one", &upstream.registration());
    let mut client = std::net::TcpStream::connect(signpost.proxy()).unwrap();
    std::io::Write::write_all(&mut client, b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").unwrap();
    eventually("the request is under way", || upstream.requests() == 1);
    signpost.signal(Signal::SIGTERM);
    assert_eq!(signpost.wait().code(), Some(3));
}

#[test]
fn the_access_log_says_who_served_what() {
    let signpost = Signpost::start("[proxy.access_log]\nenabled = true\n");
    let upstream = Upstream::start("one");
    signpost.put("web", "one", &upstream.registration());
    assert_eq!(signpost.curl("web", "/a?b=c").0, 200);
    eventually("the line is written", || !signpost.stdout().is_empty());
    let text = signpost.stdout();
    let line: serde_json::Value = serde_json::from_str(text.trim()).expect(&text);
    assert_eq!(line["http.request.method"], "GET", "{line}");
    assert_eq!(line["url.path"], "/a", "{line}");
    assert_eq!(line["http.response.status_code"], 200, "{line}");
    assert_eq!(line["http.response.body.bytes"], 3, "{line}");
    assert_eq!(line["service.name"], "web", "{line}");
    assert_eq!(line["signpost.instance"], "one", "{line}");
    assert_eq!(line["signpost.attempts"], 1, "{line}");
    assert_eq!(line["client.ip"], "127.0.0.1", "{line}");
    assert!(line["event.duration"].as_u64().unwrap() > 0, "{line}");
}
