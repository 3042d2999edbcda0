use registry::{Snapshot, State, testing};

use crate::{
    Zones,
    testing::{Ask, Reply, zones_by},
    wire::rtype,
};

const CONFIG: &str = "[reverse]\nnetworks = ['10.0.0.0/8', '192.0.2.7/32', '2001:db8::/32']\n\
    ttl = '1m'\n[[zones]]\ndomain = 'svc.internal'\nttl = '9s'\nnegative_ttl = '3s'\n";

fn some_zones() -> Zones {
    let mut down = testing::instance("d", "10.9.0.1", 80);
    down.state = State::Down;
    let instances = [
        testing::instance("a", "10.1.2.3", 80),
        testing::instance("b", "2001:db8::1", 80),
        testing::instance("c", "172.16.0.1", 80),
        down,
    ];
    zones_by(CONFIG, [testing::service_of("web", instances)])
}

fn ask(zones: &Zones, name: &str, qtype: u16) -> Reply {
    Ask::new(name, qtype).of(zones)
}

const B: &str = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";

#[test]
fn addresses_in_our_networks_lead_back_to_instances() {
    let zones = some_zones();
    for (name, answer) in [
        ("3.2.1.10.in-addr.arpa", "60 PTR a.web.svc.internal."),
        (B, "60 PTR b.web.svc.internal."),
        ("1.0.16.172.in-addr.arpa", "60 PTR c.web.svc.internal."),
    ] {
        let reply = ask(&zones, name, rtype::PTR);
        assert_eq!(reply.answers(), [format!("{name}. {answer}")]);
        assert!(reply.authoritative());
    }
}

#[test]
fn the_top_of_a_reverse_zone_has_soa_and_ns() {
    let zones = some_zones();
    let name = "10.in-addr.arpa";
    let soa = "SOA ns.svc.internal. hostmaster.svc.internal. 7 3600 600 604800 3";
    let reply = ask(&zones, name, rtype::SOA);
    assert_eq!(reply.answers(), [format!("{name}. 60 {soa}")]);
    let reply = ask(&zones, name, rtype::NS);
    assert_eq!(reply.answers(), [format!("{name}. 60 NS ns.svc.internal.")]);
    for qtype in [rtype::PTR, rtype::A] {
        let reply = ask(&zones, name, qtype);
        assert_eq!((reply.rcode(), reply.answers().len()), ("NOERROR", 0));
        assert_eq!(reply.authorities(), [format!("{name}. 3 {soa}")]);
    }
}

#[test]
fn what_does_not_exist_is_denied_by_the_zone_and_names_above_exist() {
    let zones = some_zones();
    for (name, rcode, zone) in [
        ("4.2.1.10.in-addr.arpa", "NXDOMAIN", "10.in-addr.arpa"),
        ("1.0.9.10.in-addr.arpa", "NXDOMAIN", "10.in-addr.arpa"),
        ("9.10.in-addr.arpa", "NXDOMAIN", "10.in-addr.arpa"),
        ("x.10.in-addr.arpa", "NXDOMAIN", "10.in-addr.arpa"),
        ("1.3.2.1.10.in-addr.arpa", "NXDOMAIN", "10.in-addr.arpa"),
        ("1.10.in-addr.arpa", "NOERROR", "10.in-addr.arpa"),
        ("2.1.10.in-addr.arpa", "NOERROR", "10.in-addr.arpa"),
        (
            "0.8.b.d.0.1.0.0.2.ip6.arpa",
            "NOERROR",
            "8.b.d.0.1.0.0.2.ip6.arpa",
        ),
        (
            "1.8.b.d.0.1.0.0.2.ip6.arpa",
            "NXDOMAIN",
            "8.b.d.0.1.0.0.2.ip6.arpa",
        ),
        (
            "7.2.0.192.in-addr.arpa",
            "NOERROR",
            "7.2.0.192.in-addr.arpa",
        ),
    ] {
        let reply = ask(&zones, name, rtype::PTR);
        assert_eq!((reply.rcode(), reply.answers().len()), (rcode, 0), "{name}");
        let soa = reply.authorities().join("");
        assert!(soa.starts_with(&format!("{zone}. 3 SOA ")), "{name}: {soa}");
        assert!(reply.authoritative());
    }
    let reply = ask(&zones, "3.2.1.10.in-addr.arpa", rtype::A);
    assert_eq!((reply.rcode(), reply.answers().len()), ("NOERROR", 0));
    assert!(reply.authorities()[0].starts_with("10.in-addr.arpa. 3 SOA "));
    let reply = ask(&zones, "3.2.1.10.in-addr.arpa", rtype::ANY);
    assert!(reply.answers()[0].contains("HINFO"));
    for name in [
        "2.0.16.172.in-addr.arpa",
        "in-addr.arpa",
        "8.2.0.192.in-addr.arpa",
    ] {
        assert_eq!(ask(&zones, name, rtype::PTR).rcode(), "REFUSED", "{name}");
    }
}

#[test]
fn names_come_and_go_with_the_instances_below() {
    let zones = some_zones();
    let without = zones.update(&testing::snapshot(8, []));
    for name in ["3.2.1.10.in-addr.arpa", "1.10.in-addr.arpa"] {
        assert_eq!(
            ask(&without, name, rtype::PTR).rcode(),
            "NXDOMAIN",
            "{name}"
        );
    }
    let outside = ask(&without, "1.0.16.172.in-addr.arpa", rtype::PTR);
    assert_eq!(outside.rcode(), "REFUSED");
}

#[test]
fn until_all_sources_have_spoken_no_address_is_denied() {
    let zones = some_zones();
    let known = zones.snapshot().services().clone();
    let waiting = zones.update(&Snapshot::new(8, known, ["zk".into()].into()));
    for (name, qtype, rcode) in [
        ("3.2.1.10.in-addr.arpa", rtype::PTR, "NOERROR"),
        ("3.2.1.10.in-addr.arpa", rtype::A, "NOERROR"),
        ("4.2.1.10.in-addr.arpa", rtype::PTR, "SERVFAIL"),
        ("9.10.in-addr.arpa", rtype::PTR, "SERVFAIL"),
        ("1.10.in-addr.arpa", rtype::PTR, "NOERROR"),
        ("x.10.in-addr.arpa", rtype::PTR, "NXDOMAIN"),
        ("10.in-addr.arpa", rtype::PTR, "NOERROR"),
        ("7.2.0.192.in-addr.arpa", rtype::PTR, "SERVFAIL"),
        ("7.2.0.192.in-addr.arpa", rtype::SOA, "NOERROR"),
    ] {
        let reply = ask(&waiting, name, qtype);
        assert_eq!(reply.rcode(), rcode, "{name}");
        assert_eq!(reply.authoritative(), rcode != "SERVFAIL");
    }
}

#[test]
fn reverse_names_are_explained() {
    let zones = some_zones();
    let explain = |zones: &Zones, name: &str| {
        let explanation = zones.explain(name).unwrap();
        let note = explanation.note.clone().unwrap_or_default();
        (
            explanation.rcode.label(),
            explanation.zone,
            explanation.ttl,
            note,
        )
    };
    let zone = || "10.in-addr.arpa".to_owned();
    let name = "3.2.1.10.in-addr.arpa";
    assert_eq!(
        explain(&zones, name),
        ("NOERROR", zone(), 60, String::new())
    );
    let note = "only names below it exist".to_owned();
    assert_eq!(
        explain(&zones, "2.1.10.in-addr.arpa"),
        ("NOERROR", zone(), 3, note)
    );
    let note = "no instance is known at such an address".to_owned();
    assert_eq!(
        explain(&zones, "1.0.9.10.in-addr.arpa"),
        ("NXDOMAIN", zone(), 3, note)
    );
    let down = zones.explain("1.0.9.10.in-addr.arpa").unwrap();
    assert_eq!(down.left_out[0].reason, "its state is down");
    let apex = zones.explain("10.in-addr.arpa").unwrap();
    assert_eq!(apex.records.len(), 2);
    assert_eq!(zones.explain("11.in-addr.arpa"), None);
    let waiting = zones.update(&Snapshot::new(8, Default::default(), ["zk".into()].into()));
    let note = "not known yet: waiting for zk".to_owned();
    assert_eq!(explain(&waiting, name), ("SERVFAIL", zone(), 0, note));
}
