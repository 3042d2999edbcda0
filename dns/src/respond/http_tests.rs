use std::collections::BTreeSet;

use registry::{Instance, Port, Protocol, Snapshot, State, testing};

use super::*;
use crate::testing::{Ask, zones, zones_by};

/// An instance with these ports: name, protocol and number.
fn instance(id: &str, host: &str, ports: &[(&str, Protocol, u16)]) -> Instance {
    let mut instance = testing::instance(id, host, 1);
    let ports = ports.iter().map(|(name, protocol, number)| Port {
        name: Some(name.parse().unwrap()),
        number: *number,
        protocol: *protocol,
    });
    instance.ports.extend(ports);
    instance
}

fn some_instances() -> Vec<Instance> {
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    let all = [("https", tcp, 443), ("h3", udp, 443), ("h2", tcp, 8443)];
    let mut a = instance("a", "10.0.0.1", &all);
    a.addresses.push("2001:db8::1".parse().unwrap());
    let mut b = instance("b", "10.0.0.2", &[("h3", udp, 4433)]);
    b.priority = u16::MAX;
    let bare = [("http", tcp, 80), ("h2c", tcp, 81)];
    let c = instance("c", "10.0.0.3", &bare);
    let mut d = instance("d", "10.0.0.4", &all);
    d.state = State::Draining;
    let e = instance("e", "unresolved.example", &all);
    vec![a, b, c, d, e]
}

fn some_zones() -> Zones {
    zones([testing::service_of("web", some_instances())])
}

const A_443: &str = "1 a.web.svc.internal. alpn=http/1.1,h3, port=443 \
    ipv4hint=10.0.0.1, ipv6hint=2001:db8::1,";
const A_8443: &str = "1 a.web.svc.internal. alpn=h2, no-default-alpn= port=8443 \
    ipv4hint=10.0.0.1, ipv6hint=2001:db8::1,";
const B_4433: &str =
    "65535 b.web.svc.internal. alpn=h3, no-default-alpn= port=4433 ipv4hint=10.0.0.2,";

#[test]
fn a_service_tells_where_https_is_spoken() {
    let ask = Ask::new("web.svc.internal", rtype::HTTPS).edns(1232, 0, 0, &[]);
    let reply = ask.of(&some_zones());
    assert!(reply.authoritative());
    let expected = [A_8443, A_443, B_4433];
    let expected = expected.map(|content| format!("web.svc.internal. 5 HTTPS {content}"));
    assert_eq!(reply.answers(), expected);
    assert_eq!(
        reply.additionals(),
        [
            "a.web.svc.internal. 5 A 10.0.0.1",
            "a.web.svc.internal. 5 AAAA 2001:db8::1",
            "b.web.svc.internal. 5 A 10.0.0.2",
        ]
    );
    let addresses = Ask::new("web.svc.internal", rtype::A).of(&some_zones());
    assert_eq!(addresses.answers().len(), 3);
}

#[test]
fn the_name_of_a_port_tells_which_http_is_spoken_there() {
    let ask = |name: &str, qtype| {
        let name = format!("{name}.web.svc.internal");
        Ask::new(&name, qtype).of(&some_zones()).order()
    };
    for (name, expected) in [
        (
            "_http._tcp",
            "1 c.web.svc.internal. alpn=http/1.1, port=80 ipv4hint=10.0.0.3,",
        ),
        (
            "_h2c._tcp",
            "1 c.web.svc.internal. alpn=h2, no-default-alpn= port=81 ipv4hint=10.0.0.3,",
        ),
        ("_h2._tcp", A_8443),
        (
            "_https._tcp",
            "1 a.web.svc.internal. alpn=http/1.1, port=443 ipv4hint=10.0.0.1, ipv6hint=2001:db8::1,",
        ),
    ] {
        assert_eq!(ask(name, rtype::SVCB), [expected], "{name}");
        assert_eq!(ask(name, rtype::SRV).len(), 1, "{name}");
    }
    assert_eq!(ask("_h3._udp", rtype::SVCB).len(), 2);
    let reply = Ask::new("_h2._tcp.web.svc.internal", rtype::SVCB).of(&some_zones());
    let expected = [
        "a.web.svc.internal. 5 A 10.0.0.1",
        "a.web.svc.internal. 5 AAAA 2001:db8::1",
    ];
    assert_eq!(reply.additionals(), expected);
}

#[test]
fn without_tls_there_is_no_https_record() {
    let web = [some_instances().remove(2)];
    let zones = zones([testing::service_of("web", web)]);
    let reply = Ask::new("web.svc.internal", rtype::HTTPS).of(&zones);
    assert_eq!((reply.rcode(), reply.answers().len()), ("NOERROR", 0));
    assert_eq!(reply.authorities().len(), 1);
}

#[test]
fn whose_name_it_is_says_alone_where_http_is_spoken() {
    // `http.web` has the name of the port `http` of `web`, and has it for its main port.
    let other = testing::service("http.web", &[("x", 1)]);
    let zones = zones([testing::service_of("web", some_instances()), other]);
    let name = "_http._tcp.web.svc.internal";
    let srv = Ask::new(name, rtype::SRV).of(&zones);
    assert_eq!(srv.order(), ["0 1 9001 x.http.web.svc.internal."]);
    assert_eq!(Ask::new(name, rtype::SVCB).of(&zones).answers().len(), 0);
}

#[test]
fn addresses_are_hinted_at_up_to_a_limit() {
    let mut a = instance("a", "10.0.0.1", &[("h2", Protocol::Tcp, 443)]);
    a.addresses = (1..=20).map(|n| IpAddr::from([10, 0, 0, n])).collect();
    let zones = zones([testing::service_of("web", [a])]);
    let ask = Ask::new("web.svc.internal", rtype::HTTPS);
    let reply = ask.by(&zones, Transport::Tcp, 1);
    assert_eq!(reply.order()[0].matches("10.0.0.").count(), 8);
    assert_eq!(reply.additionals().len(), 20);
}

#[test]
fn whichever_record_is_drawn_brings_its_addresses() {
    let config = "[[zones]]\ndomain = 'svc.internal'\nmax_answers = 1\n";
    let zones = zones_by(config, [testing::service_of("web", some_instances())]);
    let ask = Ask::new("web.svc.internal", rtype::HTTPS).edns(1232, 0, 0, &[]);
    let mut drawn = BTreeSet::new();
    for seed in 0..20 {
        let reply = ask.by(&zones, Transport::Udp, seed << 27);
        let addresses = [
            "a.web.svc.internal. 5 A 10.0.0.1",
            "a.web.svc.internal. 5 AAAA 2001:db8::1",
        ];
        assert_eq!(reply.additionals(), addresses);
        drawn.extend(reply.order());
    }
    assert_eq!(drawn, BTreeSet::from([A_443, A_8443].map(str::to_owned)));
}

#[test]
fn what_is_not_known_yet_is_not_denied() {
    let down = some_instances().pop().unwrap();
    let known = testing::snapshot(3, [testing::service_of("web", [down])]);
    let unsynced = Snapshot::new(3, known.services().clone(), ["zk".into()].into());
    let zones = Zones::build(&crate::Config::default(), &unsynced);
    let ask = Ask::new("web.svc.internal", rtype::HTTPS);
    assert_eq!(ask.of(&zones).rcode(), "SERVFAIL");
    assert_eq!(ask.of(&zones.update(&known)).rcode(), "NOERROR");
}
