//! Load balancers that say with a PROXY header whose connection it is.

use super::*;

const TCP4: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 40000 8443\r\n";

fn config(networks: &str, more: &str) -> String {
    format!("{more}\n[[listeners]]\nlisten = \"127.0.0.1:8080\"\nproxy_protocol = [{networks}]\n")
}

fn loopback(more: &str) -> String {
    config("\"127.0.0.0/8\", \"::1/128\"", more)
}

fn metric(proxy: &Proxy, name: &str) -> u64 {
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register_collector(Box::new(Arc::clone(proxy.shared.metrics())));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix("_total "));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn the_client_is_the_one_that_the_header_names() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(&loopback(""), &[origin.address]);
    let binary = [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10".as_slice(),
        &[192, 0, 2, 7, 198, 51, 100, 1, 0x9c, 0x40, 0x20, 0xfb],
        &[4, 0, 1, 0],
    ]
    .concat();
    for header in [TCP4.as_bytes(), &binary] {
        let mut client = proxy.client();
        client.send([header, GET.as_bytes()].concat());
        for _ in 0..2 {
            assert_eq!(client.answer().1, "ok");
            let received = origin.received();
            assert!(
                received.contains("X-Forwarded-For: 192.0.2.7\r\n"),
                "{received}"
            );
            assert!(
                received.contains("X-Forwarded-Port: 8443\r\nForwarded: for=192.0.2.7;"),
                "{received}"
            );
            client.send(GET);
        }
    }
}

#[test]
fn a_header_may_come_byte_by_byte_and_from_the_balancer_itself() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(&loopback(""), &[origin.address]);
    let mut client = proxy.client();
    for byte in format!("PROXY UNKNOWN\r\n{GET}").bytes() {
        client.send([byte]);
    }
    assert_eq!(client.answer().1, "ok");
    assert!(origin.received().contains("X-Forwarded-For: 127.0.0.1\r\n"));
    let mut client = proxy.client();
    client.send(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    client.send(GET);
    assert_eq!(client.answer().1, "ok");
    assert!(origin.received().contains("X-Forwarded-For: 127.0.0.1\r\n"));
}

#[test]
fn whom_the_header_names_is_believed_as_if_it_had_come_itself() {
    let origin = Origin::answering(OK);
    let trusted = loopback("trusted_proxies = [\"192.0.2.0/24\"]");
    let proxy = Proxy::start(&trusted, &[origin.address]);
    let request = GET.replace("\r\n\r\n", "\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n");
    for (header, seen) in [
        (TCP4, "203.0.113.1, 192.0.2.7"),
        ("PROXY TCP4 203.0.113.9 198.51.100.1 1 2\r\n", "203.0.113.9"),
    ] {
        let mut client = proxy.client();
        client.send(format!("{header}{request}"));
        assert_eq!(client.answer().1, "ok");
        let received = origin.received();
        assert!(
            received.contains(&format!("X-Forwarded-For: {seen}\r\n")),
            "{received}"
        );
    }
}

#[test]
fn without_a_good_header_the_connection_is_closed_without_a_word() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(&loopback(""), &[origin.address]);
    for (count, bytes) in (1..).zip([
        GET,
        "PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 40000 8443\n",
        "\r\n\r\n\0\r\nQUIT\n\u{11}\u{11}\0\0",
    ]) {
        let mut client = proxy.client();
        client.send(bytes);
        assert!(client.is_at_end(), "{bytes:?}");
        assert_eq!(metric(&proxy, "signpost_proxy_proxy_header_errors"), count);
    }
    assert_eq!(origin.connections(), 0);
    // One that just looks whether somebody is there does nothing wrong.
    let client = proxy.client();
    client.finish();
    assert_eq!(metric(&proxy, "signpost_proxy_proxy_header_errors"), 4);
}

#[test]
fn a_header_that_does_not_end_is_not_waited_for_longer_than_a_head() {
    let proxy = Proxy::start(&loopback("timeouts = { header = \"50ms\" }"), &[]);
    assert_eq!(proxy.ask("PROXY TCP4 "), "");
    assert_eq!(proxy.ask(""), "");
}

#[test]
fn from_elsewhere_a_header_is_no_header() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(&config("\"10.0.0.0/8\"", ""), &[origin.address]);
    let answer = proxy.ask(&format!("{TCP4}{GET}"));
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(proxy.ask(GET_LAST).ends_with("ok"));
}

#[test]
fn a_reload_tells_new_connections_what_to_begin_with() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(&config("", ""), &[origin.address]);
    let mut before = proxy.client();
    before.send(GET);
    before.answer();
    let changed: Config = toml::from_str(&loopback("")).unwrap();
    proxy.shared.configure(&changed);
    before.send(GET);
    assert_eq!(before.answer().1, "ok");
    let mut client = proxy.client();
    client.send(format!("{TCP4}{GET}"));
    assert_eq!(client.answer().1, "ok");
    // Who comes when the listener isn't configured any more comes as when it began.
    let other = "[[listeners]]\nlisten = \"127.0.0.1:1\"";
    proxy.shared.configure(&toml::from_str(other).unwrap());
    assert!(proxy.ask(GET_LAST).ends_with("ok"));
}
