//! A configuration that changes while traffic flows.

use std::{fs, net::SocketAddr};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{
        RecordType,
        rdata::opt::{EdnsCode, EdnsOption},
    },
};
use nix::sys::signal::Signal;

use crate::support::{
    client, eventually,
    signpost::{PROGRAM, Signpost},
    upstream::Upstream,
};

const RELOADED: &str = "configuration reloaded";
const REFUSED: &str = "configuration not reloaded, the old one stays";

fn code(server: SocketAddr, name: &str) -> ResponseCode {
    let answer = client::query(server, name, RecordType::SOA);
    answer.metadata.response_code
}

#[test]
fn listeners_zones_routes_and_sources_come_and_go() {
    let signpost = Signpost::start("");
    let upstream = Upstream::start("one");
    signpost.put("web", "one", &upstream.registration());
    let (dns, proxy) = (signpost.dns(), signpost.proxy());
    assert_eq!(code(dns, "example.test."), ResponseCode::Refused);
    assert_eq!(signpost.curl("shop.example.com", "/").0, 404);

    // The admin API and the listeners that stay keep their addresses.
    let list = "[[services]]\nname = 'listed'\ninstances = ['127.0.0.9:80']\n";
    fs::write(signpost.directory().join("list.toml"), list).unwrap();
    let more = "
        [dns]
        listen = ['127.0.0.1:0', '127.0.0.2:0']
        [[dns.zones]]
        domain = 'svc.internal'
        [[dns.zones]]
        domain = 'example.test'
        [[proxy.listeners]]
        listen = '127.0.0.1:0'
        [[proxy.listeners]]
        listen = '127.0.0.2:0'
        [[proxy.routes]]
        host = 'shop.example.com'
        path_prefix = '/api'
        service = 'web'
        [sources.embedded.store]
        [sources.list.file]
        path = 'list.toml'
        ";
    signpost.write_config(more);
    eventually("it is reloaded", || signpost.logged(RELOADED).len() == 1);
    assert_eq!(code(dns, "example.test."), ResponseCode::NoError);
    assert_eq!(signpost.curl("shop.example.com", "/api/x").0, 200);
    assert_eq!(signpost.curl("shop.example.com", "/apix").0, 404);
    let new_dns = signpost.listens("dns listens (udp and tcp)")[1];
    assert_eq!(code(new_dns, "svc.internal."), ResponseCode::NoError);
    let new_proxy = signpost.listens("proxy listens")[1];
    let request = b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n";
    assert!(client::exchange(new_proxy, request).ends_with("one"));
    eventually("the new source is read", || {
        client::addresses(dns, "listed.svc.internal.") == ["127.0.0.9"]
    });

    signpost.write_config("");
    eventually("it is reloaded", || signpost.logged(RELOADED).len() == 2);
    assert_eq!(code(dns, "example.test."), ResponseCode::Refused);
    let counts = signpost.metrics();
    for line in [
        "signpost_dns_queries_total{zone=\"example.test\",type=\"SOA\",transport=\"udp\"} 1\n",
        "signpost_dns_answers_total{zone=\"example.test\",rcode=\"NOERROR\"} 1\n",
        "signpost_dns_answers_total{zone=\"\",rcode=\"REFUSED\"} 2\n",
    ] {
        assert!(counts.contains(line), "{line}: {counts}");
    }
    assert_eq!(signpost.curl("shop.example.com", "/api/x").0, 404);
    assert!(client::addresses(dns, "listed.svc.internal.").is_empty());
    eventually("the new listeners are closed", || {
        std::net::TcpStream::connect(new_proxy).is_err()
            && std::net::TcpStream::connect(new_dns).is_err()
    });
    assert!(client::exchange(proxy, request).ends_with("one"));
}

#[test]
fn a_bad_file_changes_nothing_and_says_what_is_wrong_where() {
    let signpost = Signpost::start("");
    let upstream = Upstream::start("one");
    signpost.put("web", "one", &upstream.registration());
    for (count, (config, place, reason)) in (1..).zip([
        ("[dns\n", "signpost.toml:2:", "unclosed"),
        (
            "[dns]\nlisen = []\n",
            "signpost.toml:3:1: dns.lisen",
            "did you mean `listen`",
        ),
        (
            "[[dns.zones]]\ndomain = 'a..b'\n",
            "dns.zones[0].domain",
            "a..b",
        ),
        (
            "[dns]\nlisten = ['192.0.2.1:53']\n",
            "signpost.toml:3:",
            "can't listen on 192.0.2.1:53",
        ),
        (
            "[proxy.timeouts]\nidle = '5'\n",
            "proxy.timeouts.idle",
            "not a duration",
        ),
    ]) {
        signpost.write_config(config);
        eventually("it is refused", || {
            signpost.get("/metrics");
            signpost.logged(REFUSED).len() >= count
        });
        let line = signpost.logged(REFUSED).pop().unwrap();
        let error = line["error"].as_str().unwrap();
        assert!(error.contains(place) && error.contains(reason), "{error}");
        assert_eq!(signpost.curl("web", "/"), (200, "one".to_owned()));
        assert_eq!(signpost.dig(&["web.svc.internal"]), ["127.0.0.1"]);
    }
    assert_eq!(signpost.logged(RELOADED).len(), 0);

    // The verb reports the same to the one who asked.
    let output = signpost.verb(&["reload"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("proxy.timeouts.idle"), "{text}");

    signpost.write_config("");
    eventually("it is reloaded", || signpost.logged(RELOADED).len() == 1);
}

/// Asks with a cookie, or the client's part of one; returns the code and the cookie that comes back.
fn cookie(server: SocketAddr, cookie: &[u8]) -> (u16, Vec<u8>) {
    let mut query = b"\0\x01\0\0\0\x01\0\0\0\0\0\x01\x03svc\x08internal\0\0\x06\0\x01".to_vec();
    query.extend(b"\0\0\x29\x04\xd0\0\0\0\0\0");
    query.extend([4 + cookie.len() as u8, 0, 10, 0, cookie.len() as u8]);
    query.extend(cookie);
    let answer = client::datagram(server, &query).unwrap();
    let message = Message::from_vec(&answer).unwrap();
    let options = message.edns.unwrap().options().as_ref().to_vec();
    let [(EdnsCode::Cookie, EdnsOption::Unknown(10, cookie))] = &options[..] else {
        panic!("{options:?}");
    };
    (message.metadata.response_code.into(), cookie.clone())
}

#[test]
fn cookies_outlive_a_reload_and_secrets_are_changed_step_by_step() {
    const BADCOOKIE: u16 = 23;
    let signpost = Signpost::start("[dns.cookies]\nrequired = true\n");
    let dns = signpost.dns();
    let (code, own) = cookie(dns, &[1; 8]);
    assert_eq!(code, BADCOOKIE);
    assert_eq!(cookie(dns, &own).0, 0);

    let config = "[dns.cookies]\nrequired = true\nsecret_file = 'cookies'\n";
    let file = signpost.directory().join("cookies");
    let (first, second) = ("0f".repeat(16), "f0".repeat(16));
    let reload = |secrets: &str| {
        fs::write(&file, secrets).unwrap();
        signpost.verb(&["reload"])
    };
    assert_eq!(reload(&first).status.code(), Some(0));
    assert_eq!(cookie(dns, &own).0, 0);
    signpost.write_config(config);
    assert_eq!(reload(&first).status.code(), Some(0));
    assert_eq!(cookie(dns, &own).0, BADCOOKIE);
    let (_, old) = cookie(dns, &[1; 8]);
    assert_eq!(
        reload(&format!("{second}\n{first}\n")).status.code(),
        Some(0)
    );
    assert_eq!(cookie(dns, &old).0, 0);
    let (_, new) = cookie(dns, &[1; 8]);
    assert_eq!(reload(&second).status.code(), Some(0));
    assert_eq!((cookie(dns, &old).0, cookie(dns, &new).0), (BADCOOKIE, 0));

    let output = reload("secret");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("dns.cookies.secret_file: cookies: line 1 is not 32"),
        "{text}"
    );
    assert_eq!(cookie(dns, &new).0, 0);
}

#[test]
fn sighup_and_the_verb_reload_too() {
    let signpost = Signpost::start("");
    signpost.signal(Signal::SIGHUP);
    eventually("it is reloaded", || signpost.logged(RELOADED).len() == 1);
    assert_eq!(signpost.verb(&["reload"]).status.code(), Some(0));
    assert_eq!(signpost.logged(RELOADED).len(), 2);
}

#[test]
fn a_start_with_a_bad_configuration_ends_with_1_and_an_address_in_use_too() {
    let run = |text: &str| {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("s.toml"), text).unwrap();
        let output = std::process::Command::new(PROGRAM)
            .args(["run", "--config", "s.toml"])
            .current_dir(directory.path())
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), errors)
    };
    let (status, errors) = run("workers = 'two'\n");
    assert_eq!(status, Some(1));
    assert!(errors.starts_with("s.toml:1:11: workers:"), "{errors}");

    let signpost = Signpost::start("");
    // A second process must not share the port silently.
    let (status, errors) = run(&format!(
        "[dns]\nlisten = []\n[admin]\nlisten = '127.0.0.1:0'\n[[proxy.listeners]]\nlisten = '{}'\n",
        signpost.proxy()
    ));
    assert_eq!(status, Some(1));
    assert!(
        errors.contains("proxy.listeners[0].listen") && errors.contains("in use"),
        "{errors}"
    );
}
