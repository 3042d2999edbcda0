use registry::{Instance, Port, Protocol, Service, Snapshot, State, testing};

use super::*;
use crate::{
    browse::BROWSE_RECORDS_MAX,
    testing::{Ask, Reply, zones, zones_by},
};

const KINDS: &str = "_services._dns-sd._udp";

/// An instance whose one port has this name.
fn instance(id: &str, port: &str, protocol: Protocol) -> Instance {
    let mut instance = testing::instance(id, "10.0.0.1", 80);
    instance.attributes.insert("path".into(), "/".into());
    instance.ports = [Port {
        name: Some(port.parse().unwrap()),
        number: 8080,
        protocol,
    }]
    .into();
    instance
}

fn http(id: &str) -> Instance {
    instance(id, "http", Protocol::Tcp)
}

fn ask(zones: &Zones, name: &str, qtype: u16) -> Reply {
    let ask = Ask::new(&format!("{name}.svc.internal"), qtype);
    ask.by(zones, Transport::Tcp, 1)
}

fn pointers(zones: &Zones, name: &str) -> Vec<String> {
    let mut told = ask(zones, name, rtype::PTR).order();
    told.sort();
    told
}

#[test]
fn instances_are_found_by_the_names_of_their_ports() {
    let zones = zones([
        testing::service_of("web", [http("a"), http("b")]),
        testing::service_of("app.group", [http("x")]),
        testing::service_of("log", [instance("l", "syslog", Protocol::Udp)]),
    ]);
    let kinds = ["_http._tcp.svc.internal.", "_syslog._udp.svc.internal."];
    assert_eq!(pointers(&zones, KINDS), kinds);
    let expected = [
        "a._http._tcp.web.svc.internal.",
        "b._http._tcp.web.svc.internal.",
        "x._http._tcp.app.group.svc.internal.",
    ];
    assert_eq!(pointers(&zones, "_http._tcp"), expected);
    let reply = ask(&zones, "a._http._tcp.web", rtype::SRV);
    assert!(reply.authoritative());
    assert_eq!(reply.order(), ["0 1 8080 a.web.svc.internal."]);
    assert_eq!(reply.additionals(), ["a.web.svc.internal. 5 A 10.0.0.1"]);
    let text = ask(&zones, "a._http._tcp.web", rtype::TXT);
    assert_eq!(text.order(), ["path=/"]);
    let udp = ask(&zones, "l._syslog._udp.log", rtype::SRV);
    assert_eq!(udp.answers().len(), 1);
    // Names above: they exist, and that is all.
    for above in ["_dns-sd._udp", "_udp", "_tcp", "_tcp.web"] {
        let reply = ask(&zones, above, rtype::PTR);
        assert_eq!((reply.rcode(), reply.answers().len()), ("NOERROR", 0));
    }
    assert_eq!(ask(&zones, "_http._tcp", rtype::ANY).answers().len(), 1);
}

#[test]
fn only_who_is_up_is_listed_and_others_keep_their_names() {
    let with_state = |id: &str, state| Instance { state, ..http(id) };
    let zones = zones([testing::service_of(
        "web",
        [
            with_state("a", State::Up),
            with_state("b", State::Draining),
            with_state("c", State::Down),
        ],
    )]);
    let expected = ["a._http._tcp.web.svc.internal."];
    assert_eq!(pointers(&zones, "_http._tcp"), expected);
    for (id, ports) in [("b", 1), ("c", 0)] {
        let name = format!("{id}._http._tcp.web");
        assert_eq!(ask(&zones, &name, rtype::SRV).answers().len(), ports);
        assert_eq!(ask(&zones, &name, rtype::TXT).answers().len(), 1);
    }
}

#[test]
fn a_service_called_as_a_kind_shares_its_name() {
    let services = |web: Option<Service>| {
        let called_so = testing::service_of("http", [testing::instance("m", "10.0.0.7", 70)]);
        [Some(called_so), web].into_iter().flatten()
    };
    let web = testing::service_of("web", [http("a")]);
    let both = zones(services(Some(web)));
    let srv = ["0 1 70 m.http.svc.internal."];
    assert_eq!(ask(&both, "_http._tcp", rtype::SRV).order(), srv);
    assert_eq!(pointers(&both, "_http._tcp").len(), 1);
    let alone = both.update(&testing::snapshot(8, services(None)));
    assert_eq!(ask(&alone, "_http._tcp", rtype::SRV).order(), srv);
    assert_eq!(pointers(&alone, "_http._tcp").len(), 0);
    assert_eq!(ask(&alone, KINDS, rtype::PTR).rcode(), "NXDOMAIN");
    assert_eq!(ask(&alone, "_dns-sd._udp", rtype::PTR).rcode(), "NXDOMAIN");
}

#[test]
fn many_of_a_kind_are_told_up_to_a_limit() {
    let crowd = |version, ids: std::ops::Range<u16>| {
        let instances = ids.map(|n| http(&format!("i{n:03}")));
        testing::snapshot(version, [testing::service_of("web", instances)])
    };
    let zones = Zones::build(&crate::Config::default(), &crowd(1, 0..100));
    let told = pointers(&zones, "_http._tcp");
    assert_eq!(told.len(), BROWSE_RECORDS_MAX);
    assert!(told[0].starts_with("i000.") && told[63].starts_with("i063."));
    let later = zones.update(&crowd(2, 10..90));
    let told = pointers(&later, "_http._tcp");
    assert_eq!(told.len(), BROWSE_RECORDS_MAX);
    assert!(told[0].starts_with("i010.") && told[63].starts_with("i073."));
    let few = later.update(&crowd(3, 80..90));
    assert_eq!(pointers(&few, "_http._tcp").len(), 10);
}

#[test]
fn the_list_of_kinds_has_a_limit_too() {
    let mut a = http("a");
    let ports = (100..200).map(|number| Port {
        name: Some(format!("p{number}").parse().unwrap()),
        ..Port::tcp(number)
    });
    a.ports = ports.collect();
    let zones = zones([testing::service_of("web", [a])]);
    let told = pointers(&zones, KINDS);
    assert_eq!(told.len(), BROWSE_RECORDS_MAX);
    assert_eq!(told[63], "_p163._tcp.svc.internal.");
    assert_eq!(pointers(&zones, "_p199._tcp").len(), 1);
}

#[test]
fn a_change_leaves_the_lists_of_other_kinds_alone() {
    let web = |id: &str| testing::service_of("web", [http(id)]);
    let log = testing::service_of("log", [instance("l", "syslog", Protocol::Tcp)]);
    let old = zones([web("a"), log.clone()]);
    let new = old.update(&testing::snapshot(8, [web("b"), log]));
    let node = |zones: &Zones, name: &str| {
        let name = format!("{name}.svc.internal");
        let name = crate::name::Name::parse(&name).unwrap();
        let (zone, relative) = zones.zone_of(name.as_bytes()).unwrap();
        std::ptr::from_ref(zone.table.node(relative).unwrap())
    };
    for same in ["_syslog._tcp", KINDS] {
        assert_eq!(node(&old, same), node(&new, same), "{same}");
    }
    let expected = ["b._http._tcp.web.svc.internal."];
    assert_eq!(pointers(&new, "_http._tcp"), expected);
}

#[test]
fn names_that_dns_could_not_carry_are_not_listed() {
    let label = "x".repeat(63);
    let zones = zones([
        // No room for an underscore.
        testing::service_of("web", [instance("a", &label, Protocol::Tcp)]),
        // Too long as a whole.
        testing::service_of(
            &format!("{label}.{label}"),
            [instance(&label, &label[..60], Protocol::Tcp)],
        ),
    ]);
    assert_eq!(ask(&zones, KINDS, rtype::PTR).rcode(), "NXDOMAIN");
    assert_eq!(ask(&zones, "a.web", rtype::A).answers().len(), 1);
}

#[test]
fn lists_keep_to_the_zone_that_they_are_in() {
    let config = "[ttl]\n'web*' = '1m'\n[[zones]]\ndomain = 'svc.internal'\nsources = ['test']\n\
        [[zones]]\ndomain = 'prod.svc.internal'\n";
    let mut foreign = http("b");
    foreign.origin.source = "other".into();
    let zones = zones_by(
        config,
        [
            testing::service_of("web", [http("a"), foreign]),
            testing::service_of("web.prod", [http("a")]),
        ],
    );
    let reply = ask(&zones, "_http._tcp", rtype::PTR);
    let told = "_http._tcp.svc.internal. 5 PTR a._http._tcp.web.svc.internal.";
    assert_eq!(
        reply.answers(),
        [told],
        "others are of another source or hidden"
    );
    let srv = ask(&zones, "a._http._tcp.web", rtype::SRV).answers();
    assert_eq!(
        srv,
        ["a._http._tcp.web.svc.internal. 60 SRV 0 1 8080 a.web.svc.internal."]
    );
    assert_eq!(pointers(&zones, "_http._tcp.prod").len(), 3);
    let explained = zones.explain("_http._tcp.svc.internal").unwrap();
    let reasons = explained.left_out.iter().map(|one| &one.reason[..]);
    let expected = [
        "the zone has no instances of source other (sources)",
        "its name is too long, or another zone's",
    ];
    assert_eq!(reasons.collect::<Vec<_>>(), expected);
    assert_eq!(explained.ttl, 5);
}

#[test]
fn of_a_host_that_is_somebody_elses_the_port_leads_there() {
    let mut a = http("a");
    a.set_host("x.example").unwrap();
    let config = "[[zones]]\ndomain = \"svc.internal\"\ncname = true\nmax_answers = 1\n";
    let zones = zones_by(config, [testing::service_of("web", [a, http("b")])]);
    assert_eq!(
        pointers(&zones, "_http._tcp").len(),
        2,
        "max_answers is not for lists"
    );
    let srv = ask(&zones, "a._http._tcp.web", rtype::SRV);
    assert_eq!(srv.order(), ["0 1 8080 x.example."]);
    assert_eq!(
        ask(&zones, "a._http._tcp.web", rtype::TXT).order(),
        ["path=/"]
    );
}

#[test]
fn what_is_not_known_yet_is_not_denied() {
    let known = testing::snapshot(3, [testing::service_of("web", [http("a")])]);
    let unsynced = Snapshot::new(3, known.services().clone(), ["zk".into()].into());
    let zones = Zones::build(&crate::Config::default(), &unsynced);
    assert_eq!(pointers(&zones, "_http._tcp").len(), 1);
    // There may be a service `http`, or a port `other`.
    assert_eq!(ask(&zones, "_http._tcp", rtype::SRV).rcode(), "SERVFAIL");
    assert_eq!(ask(&zones, "_other._tcp", rtype::PTR).rcode(), "SERVFAIL");
}
