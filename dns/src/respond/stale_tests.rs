use registry::{Snapshot, testing};

use super::edns_tests::{EXTENDED_ERROR, extended_error};
use crate::{
    Zones,
    testing::{Ask, zones_by},
    wire::rtype,
};

/// Zone `one` takes source `zk` alone, `two` another alone, and `all` takes both.
const CONFIG: &str = "[reverse]\nnetworks = ['10.0.0.0/8']\n\
    [[zones]]\ndomain = 'one'\nsources = ['zk']\n\
    [[zones]]\ndomain = 'two'\nsources = ['test']\n\
    [[zones]]\ndomain = 'all'\nwildcard = true\n";

fn some_zones() -> Zones {
    let mut a = testing::instance("a", "10.0.0.1", 80);
    a.origin.source = "zk".into();
    let b = testing::instance("b", "10.0.0.2", 80);
    zones_by(CONFIG, [testing::service_of("web", [a, b])])
}

/// The same at the same version, where these sources have lost their stores.
fn without_stores(zones: &Zones, unsynced: &[&str], stale: &[&str]) -> Zones {
    let list = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    let services = zones.snapshot().services().clone();
    let snapshot = Snapshot::new(zones.version(), services, list(unsynced));
    zones.update(&snapshot.with_stale(list(stale)))
}

fn error(zones: &Zones, name: &str, qtype: u16) -> Option<u16> {
    extended_error(&Ask::new(name, qtype), zones)
}

/// Names of each kind, and what is told of them while `zk` is stale.
const NAMES: [(&str, u16, Option<u16>); 18] = [
    ("web.one", rtype::A, Some(3)),
    ("web.one", rtype::AAAA, Some(3)),
    ("web.one", rtype::ANY, Some(3)),
    ("_web._tcp.one", rtype::SRV, Some(3)),
    ("one", rtype::SOA, Some(3)),
    ("one", rtype::A, Some(3)),
    ("_tcp.one", rtype::A, Some(3)),
    ("none.one", rtype::A, Some(19)),
    ("web.all", rtype::A, Some(3)),
    ("n.web.all", rtype::A, Some(3)),
    ("web.two", rtype::A, None),
    ("none.two", rtype::A, None),
    ("1.0.0.10.in-addr.arpa", rtype::PTR, Some(3)),
    ("0.0.10.in-addr.arpa", rtype::PTR, Some(3)),
    ("9.0.0.10.in-addr.arpa", rtype::PTR, Some(19)),
    ("1.0.0.172.in-addr.arpa", rtype::PTR, Some(20)),
    ("example.com", rtype::A, Some(20)),
    ("one", rtype::AXFR, Some(18)),
];

#[test]
fn answers_of_a_source_without_its_store_are_said_to_be_stale() {
    let zones = without_stores(&some_zones(), &[], &["zk"]);
    for (name, qtype, expected) in NAMES {
        assert_eq!(error(&zones, name, qtype), expected, "{name} {qtype}");
    }
}

#[test]
fn nothing_else_of_a_stale_answer_is_different() {
    let fresh = some_zones();
    let stale = without_stores(&fresh, &[], &["zk"]);
    for (name, qtype, _) in NAMES {
        let ask = Ask::new(name, qtype);
        assert_eq!(ask.of(&stale).bytes, ask.of(&fresh).bytes, "{name}");
        let ask = ask.edns(512, 0, 0, &[]);
        let (mut stale, mut fresh) = (ask.of(&stale), ask.of(&fresh));
        for reply in [&mut stale, &mut fresh] {
            let edns = reply.message.edns.as_mut().unwrap();
            edns.options_mut().remove(EXTENDED_ERROR.into());
        }
        assert_eq!(stale.message, fresh.message, "{name} {qtype}");
    }
}

#[test]
fn a_stale_answer_that_is_cut_is_said_to_be_stale_too() {
    let many = (0..60).map(|n| testing::instance(&format!("i{n}"), &format!("10.0.0.{n}"), 80));
    let fresh = zones_by("", [testing::service_of("web", many)]);
    let stale = without_stores(&fresh, &[], &["test"]);
    let ask = Ask::new("web.svc.internal", rtype::A);
    assert_eq!(extended_error(&ask, &stale), Some(3));
    let ask = ask.edns(512, 0, 0, &[]);
    let (stale, fresh) = (ask.of(&stale), ask.of(&fresh));
    assert!(stale.truncated() && stale.bytes.len() <= 512);
    assert_eq!(stale.answers(), fresh.answers());
}

#[test]
fn an_answer_that_is_awaited_is_not_ready_rather_than_stale() {
    let zones = without_stores(&some_zones(), &["test"], &["zk"]);
    assert_eq!(error(&zones, "none.all", rtype::A), Some(14));
    assert_eq!(error(&zones, "web.all", rtype::A), Some(3));
    assert_eq!(error(&zones, "none.one", rtype::A), Some(19));
    assert_eq!(error(&zones, "none.two", rtype::A), Some(14));
}

#[test]
fn a_source_that_has_its_store_back_is_not_stale() {
    let stale = without_stores(&some_zones(), &[], &["test", "zk"]);
    assert_eq!(error(&stale, "none.two", rtype::A), Some(19));
    let half = without_stores(&stale, &[], &["test"]);
    assert_eq!(error(&half, "web.one", rtype::A), None);
    assert_eq!(error(&half, "web.two", rtype::A), Some(3));
    assert_eq!(error(&half, "1.0.0.10.in-addr.arpa", rtype::PTR), Some(3));
    let fresh = without_stores(&half, &[], &[]);
    for name in ["web.one", "web.two", "web.all", "1.0.0.10.in-addr.arpa"] {
        assert_eq!(error(&fresh, name, rtype::ANY), None, "{name}");
    }
    // Of a source that no zone takes nothing is told.
    let other = zones_by("[[zones]]\ndomain = 'one'\nsources = ['zk']\n", None);
    let other = without_stores(&other, &[], &["test"]);
    assert_eq!(error(&other, "none.one", rtype::A), None);
}
