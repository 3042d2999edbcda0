//! A configuration that changes while traffic flows.

use std::{fs, net::SocketAddr};

use hickory_proto::{op::ResponseCode, rr::RecordType};
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
