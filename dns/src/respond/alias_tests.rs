use registry::{Instance, Service, Snapshot, State, testing};

use super::*;
use crate::testing::{Ask, Reply, zones, zones_by};

const CNAME: &str = "[[zones]]\ndomain = \"svc.internal\"\ncname = true\n";

/// Types that a client may ask for at any name.
const TYPES: [u16; 8] = [
    rtype::A,
    rtype::AAAA,
    rtype::CNAME,
    rtype::TXT,
    rtype::SRV,
    rtype::HTTPS,
    rtype::ANY,
    65_280,
];

/// An instance at a host of which the registry has found one address or none.
fn hosted(id: &str, host: &str, address: Option<&str>) -> Instance {
    let mut instance = testing::instance(id, host, 443);
    let addresses = address.into_iter();
    instance.addresses = addresses.map(|one| one.parse().unwrap()).collect();
    instance.attributes.insert("k".into(), "v".into());
    instance.ports[0].name = Some("h2".parse().unwrap());
    instance
}

fn of(name: &str, instances: impl IntoIterator<Item = Instance>) -> Zones {
    zones_by(CNAME, [testing::service_of(name, instances)])
}

fn ask(zones: &Zones, name: &str, qtype: u16) -> Reply {
    let reply = Ask::new(&format!("{name}.svc.internal"), qtype).of(zones);
    assert_eq!(reply.rcode(), "NOERROR", "{name}");
    reply
}

#[test]
fn an_instance_at_a_host_is_an_alias_whatever_is_asked_for() {
    for address in [None, Some("10.0.0.1")] {
        let zones = of("db", [hosted("a", "Db-1.Example.", address)]);
        for name in ["a.db", "db"] {
            for qtype in TYPES {
                let reply = ask(&zones, name, qtype);
                let expected = format!("{name}.svc.internal. 5 CNAME db-1.example.");
                assert_eq!(reply.answers(), [expected]);
                assert!(reply.authoritative());
                assert!(reply.authorities().is_empty() && reply.additionals().is_empty());
            }
        }
    }
}

#[test]
fn targets_are_the_host_itself_without_addresses() {
    let zones = of("db", [hosted("a", "db-1.example", Some("10.0.0.1"))]);
    let https = "1 db-1.example. alpn=h2, no-default-alpn= port=443";
    for (name, qtype, expected) in [
        ("_db._tcp", rtype::SRV, "0 1 443 db-1.example."),
        ("_h2._tcp.db", rtype::SRV, "0 1 443 db-1.example."),
        ("_h2._tcp.db", rtype::SVCB, https),
    ] {
        let reply = ask(&zones, name, qtype);
        assert_eq!(reply.order(), [expected]);
        assert_eq!(reply.additionals(), <[String; 0]>::default());
    }
}

#[test]
fn a_service_is_an_alias_when_all_who_are_available_are_at_one_host() {
    let mut down = hosted("z", "old.example", None);
    down.state = State::Down;
    let zones = of(
        "db",
        [
            hosted("a", "db.example", None),
            hosted("b", "db.example", Some("10.0.0.1")),
            down,
        ],
    );
    assert_eq!(ask(&zones, "db", rtype::A).order(), ["db.example."]);
    let text = ask(&zones, "z.db", rtype::TXT);
    assert_eq!(text.order(), ["k=v"], "one that is down is no alias");
    assert_eq!(ask(&zones, "z.db", rtype::A).answers().len(), 0);
}

#[test]
fn a_service_at_several_places_has_the_addresses_that_are_known() {
    let two = of(
        "db",
        [
            hosted("a", "db-1.example", Some("10.0.0.1")),
            hosted("b", "db-2.example", None),
        ],
    );
    assert_eq!(ask(&two, "db", rtype::A).order(), ["10.0.0.1"]);
    let mut targets = ask(&two, "_db._tcp", rtype::SRV).order();
    targets.sort();
    assert_eq!(targets, ["0 1 443 db-1.example.", "0 1 443 db-2.example."]);
    let mixed = of(
        "db",
        [
            hosted("a", "db-1.example", Some("10.0.0.1")),
            testing::instance("b", "10.0.0.2", 80),
        ],
    );
    let mut addresses = ask(&mixed, "db", rtype::A).order();
    addresses.sort();
    assert_eq!(addresses, ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(ask(&mixed, "db", rtype::HTTPS).answers().len(), 1);
    assert_eq!(ask(&mixed, "a.db", rtype::A).order(), ["db-1.example."]);
    assert_eq!(ask(&mixed, "b.db", rtype::A).order(), ["10.0.0.2"]);
}

#[test]
fn a_host_in_the_zone_is_no_alias() {
    for host in ["db.svc.internal", "a.db.svc.internal", "svc.internal"] {
        let zones = of("db", [hosted("a", host, Some("10.0.0.1"))]);
        for name in ["db", "a.db"] {
            assert_eq!(ask(&zones, name, rtype::A).order(), ["10.0.0.1"]);
        }
        let srv = ask(&zones, "_db._tcp", rtype::SRV);
        assert_eq!(srv.order(), ["0 1 443 a.db.svc.internal."]);
        assert_eq!(srv.additionals().len(), 1);
    }
}

#[test]
fn aliases_in_two_zones_do_not_lead_in_a_circle() {
    let config = "[[zones]]\ndomain = 'x'\ncname = true\n[[zones]]\ndomain = 'y'\ncname = true\n";
    let services = [("s", "t.y"), ("t", "s.x")].map(|(name, host)| {
        let instance = hosted("a", host, Some("10.0.0.1"));
        testing::service_of(name, [instance])
    });
    let zones = zones_by(config, services);
    for name in ["s.x", "t.y"] {
        let reply = Ask::new(name, rtype::A).of(&zones);
        assert_eq!(reply.order(), ["10.0.0.1"], "{name}");
    }
}

#[test]
fn without_the_option_a_host_is_told_by_its_addresses() {
    let instances = [
        hosted("a", "db.example", Some("10.0.0.1")),
        hosted("b", "c.example", None),
    ];
    let zones = zones([testing::service_of("db", instances)]);
    for name in ["db", "a.db"] {
        assert_eq!(ask(&zones, name, rtype::A).order(), ["10.0.0.1"]);
    }
    assert_eq!(ask(&zones, "_db._tcp", rtype::SRV).answers().len(), 1);
}

#[test]
fn nothing_else_stands_beside_an_alias_and_no_alias_beside_anything() {
    let addressed = |id: &str| testing::instance(id, "10.0.0.9", 80);
    let both = |web: Instance, child: Instance| -> [Service; 2] {
        [
            testing::service_of("web", [web]),
            testing::service_of("a.web", [child]),
        ]
    };
    // The service of that name goes first: with its addresses, there is no alias …
    let zones = zones_by(CNAME, both(hosted("a", "x.example", None), addressed("c")));
    assert_eq!(ask(&zones, "a.web", rtype::A).order(), ["10.0.0.9"]);
    for qtype in [rtype::CNAME, rtype::TXT, rtype::AAAA] {
        assert_eq!(ask(&zones, "a.web", qtype).answers().len(), 0);
    }
    // … and as an alias it leaves nothing to the instance.
    let zones = zones_by(CNAME, both(addressed("a"), hosted("c", "x.example", None)));
    for qtype in TYPES {
        assert_eq!(ask(&zones, "a.web", qtype).order(), ["x.example."]);
    }
}

#[test]
fn an_address_does_not_lead_back_to_an_alias() {
    let zones = of("db", [hosted("a", "db.example", Some("10.0.0.1"))]);
    let reverse = Ask::new("1.0.0.10.in-addr.arpa", rtype::PTR).of(&zones);
    assert_eq!(reverse.rcode(), "REFUSED");
}

#[test]
fn an_alias_is_known_as_a_whole_and_can_be_a_last_resort() {
    let mut a = hosted("a", "db.example", None);
    let known = testing::snapshot(3, [testing::service_of("db", [a.clone()])]);
    let unsynced = Snapshot::new(3, known.services().clone(), ["zk".into()].into());
    let config = toml::from_str(CNAME).unwrap();
    let zones = Zones::build(&config, &unsynced);
    assert_eq!(ask(&zones, "db", rtype::AAAA).answers().len(), 1);
    a.state = State::Down;
    let down = [testing::service_of("db", [a])];
    assert_eq!(
        ask(&zones_by(CNAME, down.clone()), "db", rtype::A)
            .answers()
            .len(),
        0
    );
    let zones = zones_by(&format!("{CNAME}all_down = \"all\"\n"), down);
    for name in ["db", "a.db"] {
        assert_eq!(ask(&zones, name, rtype::A).order(), ["db.example."]);
    }
}
