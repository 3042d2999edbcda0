use registry::testing;

use super::*;
use crate::testing::{Ask, Reply, zones_by};

fn zones() -> Zones {
    let config = "[[zones]]\ndomain = 'mesos'\ncompat = 'mesos-dns'\nttl = '60s'\n\
        name_server = 'ns1.mesos'\nhostmaster = 'root@ns1.mesos'\nnegative_ttl = '60s'\n";
    let services = ["chronos.marathon", "toy.ipv6"].map(|name| testing::service(name, &[("a", 1)]));
    zones_by(config, services)
}

fn ask(name: &str, qtype: u16) -> Reply {
    let reply = Ask::new(name, qtype).of(&zones());
    assert!(reply.authoritative(), "{name}");
    reply
}

/// The SOA record at a name, but for its serial.
fn is_soa(records: &[String], owner: &str) -> bool {
    let begin = format!("{owner} 60 SOA ns1.mesos. root.ns1.mesos. ");
    matches!(records, [one] if one.starts_with(&begin) && one.ends_with(" 60 600 86400 60"))
}

#[test]
fn soa_and_ns_stand_in_the_authority_section_at_any_name() {
    for name in ["mesos.", "non-existing.mesos.", "chronos.marathon.mesos."] {
        let soa = ask(name, rtype::SOA);
        assert_eq!((soa.rcode(), soa.answers().len()), ("NOERROR", 0), "{name}");
        assert!(is_soa(&soa.authorities(), name), "{:?}", soa.authorities());
        let ns = ask(name, rtype::NS);
        assert_eq!((ns.rcode(), ns.answers().len()), ("NOERROR", 0), "{name}");
        assert_eq!(ns.authorities(), [format!("{name} 60 NS ns1.mesos.")]);
    }
}

#[test]
fn a_name_without_addresses_and_ports_does_not_exist() {
    for name in ["missing.mesos.", "marathon.mesos.", "mesos.", "_tcp.mesos."] {
        for qtype in [rtype::A, rtype::AAAA, rtype::TXT] {
            let reply = ask(name, qtype);
            assert_eq!(reply.rcode(), "NXDOMAIN", "{name}");
            assert!(is_soa(&reply.authorities(), name), "{name}");
        }
    }
    let reply = ask("chronos.marathon.mesos.", rtype::AAAA);
    assert_eq!((reply.rcode(), reply.answers().len()), ("NOERROR", 0));
    assert!(is_soa(&reply.authorities(), "chronos.marathon.mesos."));
}

#[test]
fn a_denial_of_ports_is_empty() {
    for name in [
        "missing.mesos.",
        "marathon.mesos.",
        "chronos.marathon.mesos.",
    ] {
        let reply = ask(name, rtype::SRV);
        assert_eq!((reply.rcode(), reply.answers().len()), ("NOERROR", 0));
        assert!(reply.authorities().is_empty(), "{name}");
    }
}

#[test]
fn what_exists_is_answered_as_everywhere() {
    let reply = ask("chronos.marathon.mesos.", rtype::A);
    assert_eq!(reply.answers().len(), 1);
    let reply = ask("_chronos._tcp.marathon.mesos.", rtype::SRV);
    assert_eq!(reply.rcode(), "NOERROR");
}

#[test]
fn an_explanation_says_the_code_that_is_answered() {
    let zones = zones();
    for name in [
        "missing.mesos",
        "marathon.mesos",
        "mesos",
        "chronos.marathon.mesos",
        "_chronos._tcp.marathon.mesos",
        "ns1.mesos",
    ] {
        let explained = zones.explain(name).unwrap();
        assert_eq!(
            explained.rcode.label(),
            ask(name, rtype::TXT).rcode(),
            "{name}"
        );
    }
}
