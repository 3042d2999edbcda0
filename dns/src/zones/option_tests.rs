use std::collections::BTreeSet;

use registry::{Health, Instance, Reason, Service, Snapshot, State, testing};

use super::*;
use crate::{
    Transport,
    testing::{Ask, zones, zones_by},
    wire::rtype,
};

#[test]
fn the_time_to_live_of_a_service_is_that_of_all_its_records_in_every_zone() {
    let config = "[ttl]\nweb = '1m'\n'*.batch' = '2m'\n[[zones]]\ndomain = 'a'\n\
        [[zones]]\ndomain = 'b'\nttl = '7s'\n";
    let services = ["web", "other", "a.batch", "web.batch"];
    let services = services.map(|name| testing::service(name, &[("x", 1)]));
    let zones = zones_by(config, services);
    let ttls = |name: &str, qtype| {
        let reply = Ask::new(name, qtype).edns(1232, 0, 0, &[]).of(&zones);
        let records = reply.message.answers.iter();
        let records = records.chain(&reply.message.additionals);
        records.map(|record| record.ttl).collect::<Vec<_>>()
    };
    for domain in ["a", "b"] {
        assert_eq!(ttls(&format!("web.{domain}"), rtype::A), [60]);
        assert_eq!(ttls(&format!("_web._tcp.{domain}"), rtype::SRV), [60; 2]);
        assert_eq!(ttls(&format!("x.web.{domain}"), rtype::A), [60]);
        assert_eq!(ttls(&format!("a.batch.{domain}"), rtype::A), [120]);
        assert_eq!(ttls(&format!("web.batch.{domain}"), rtype::A), [120]);
    }
    assert_eq!(ttls("other.a", rtype::A), [5]);
    assert_eq!(ttls("other.b", rtype::A), [7]);
    assert_eq!(ttls("1.0.0.127.in-addr.arpa", rtype::PTR), [5; 4]);
}

#[test]
fn a_limited_answer_is_whole_and_brings_the_addresses_of_its_own_ports() {
    let services = |count| {
        let ids: Vec<_> = (0..count).map(|n| format!("i{n}")).collect();
        let ids: Vec<_> = ids.iter().map(|id| (id.as_str(), 1)).collect();
        [testing::service("web", &ids)]
    };
    let config = "[[zones]]\ndomain = 'svc.internal'\nmax_answers = 2\n";
    let zones = zones_by(config, services(40));
    let mut seen = BTreeSet::new();
    for seed in 0..500 {
        let ask = |name, qtype| {
            Ask::new(name, qtype)
                .edns(1232, 0, 0, &[])
                .by(&zones, Transport::Udp, seed << 24)
        };
        let reply = ask("web.svc.internal", rtype::A);
        assert_eq!((reply.answers().len(), reply.truncated()), (2, false));
        seen.extend(reply.answers());
        let reply = ask("_web._tcp.svc.internal", rtype::SRV);
        assert_eq!((reply.answers().len(), reply.truncated()), (2, false));
        let target = |line: &String| line.rsplit(' ').next().unwrap().to_owned();
        let owner = |line: &String| line.split(' ').next().unwrap().to_owned();
        let targets: Vec<_> = reply.answers().iter().map(target).collect();
        let owners: Vec<_> = reply.additionals().iter().map(owner).collect();
        assert_eq!(sorted(targets), owners);
    }
    assert_eq!(seen.len(), 40, "every instance gets its turn");
    let fewer = zones_by(config, services(2));
    let reply = Ask::new("_web._tcp.svc.internal", rtype::SRV).of(&fewer);
    assert_eq!(reply.answers().len(), 2);
}

#[test]
fn the_longest_time_to_live_of_a_service_is_that_of_the_zones_that_have_it() {
    let config = "[ttl]\nweb = '1m'\n[[zones]]\ndomain = 'a'\nttl = '7s'\n\
        [[zones]]\ndomain = 'b'\nttl = '9s'\nsources = ['x']\n";
    let of = |name: &str| testing::service(name, &[("x", 1)]);
    let zones = zones_by(config, []);
    let seconds = |service| zones.ttl_of(&service).unwrap().as_secs();
    assert_eq!((seconds(of("web")), seconds(of("other"))), (60, 7));
    assert_eq!(zones.ttl_max().as_secs(), 60);
    let foreign = "[[zones]]\ndomain = 'b'\nsources = ['x']\n";
    assert_eq!(zones_by(foreign, []).ttl_of(&of("web")), None);
}

/// A service with these instances, each of what is seen: its health and its share.
fn seen(all: [(&str, Health, u8); 3]) -> Service {
    let ids = all.map(|(id, _, _)| (id, 1));
    let mut service = testing::service("web", &ids);
    for (instance, (_, health, share)) in service.instances.iter_mut().zip(all) {
        Arc::make_mut(instance).observation = registry::Observation::new(health, share);
    }
    service
}

#[test]
fn an_instance_that_is_seen_not_to_answer_is_told_nowhere() {
    let dead = Health::Unhealthy(Reason::CheckFailed);
    let some = seen([
        ("a", Health::Healthy, 100),
        ("b", dead, 100),
        ("c", Health::Unknown, 100),
    ]);
    let ask = |zones: &Zones, name, qtype| sorted(Ask::new(name, qtype).of(zones).order());
    let one_dead = zones([some]);
    let a = ask(&one_dead, "web.svc.internal", rtype::A);
    assert_eq!(a, ["127.0.0.1", "127.0.0.3"]);
    let srv = Ask::new("_web._tcp.svc.internal", rtype::SRV).of(&one_dead);
    assert_eq!(srv.answers().len(), 2);
    assert_eq!(ask(&one_dead, "b.web.svc.internal", rtype::A), [""; 0]);
    let reverse = ask(&one_dead, "2.0.0.127.in-addr.arpa", rtype::PTR);
    assert_eq!(reverse, [""; 0]);

    let all = || seen(["a", "b", "c"].map(|id| (id, dead, 10)));
    let none = zones([all()]);
    assert_eq!(ask(&none, "web.svc.internal", rtype::A), [""; 0]);
    let config = "[[zones]]\ndomain = 'svc.internal'\nall_down = 'all'\n";
    let last_resort = zones_by(config, [all()]);
    assert_eq!(ask(&last_resort, "web.svc.internal", rtype::A).len(), 3);
    assert_eq!(
        ask(&last_resort, "b.web.svc.internal", rtype::A),
        ["127.0.0.2"]
    );
}

#[test]
fn an_instance_that_starts_slowly_is_told_with_a_part_of_its_weight() {
    let (healthy, whole) = (Health::Healthy, 100);
    let slow = zones([seen([
        ("a", healthy, whole),
        ("b", healthy, 5),
        ("c", healthy, whole),
    ])]);
    let srv = Ask::new("_web._tcp.svc.internal", rtype::SRV).of(&slow);
    let content = |id: char, weight, n| format!("0 {weight} 900{n} {id}.web.svc.internal.");
    let expected = [
        content('a', 100, 1),
        content('b', 5, 2),
        content('c', 100, 3),
    ];
    assert_eq!(sorted(srv.order()), sorted(expected.to_vec()));
    // Where no weights are told, it comes first as seldom.
    let first = |seed: u64| {
        let ask = Ask::new("web.svc.internal", rtype::A);
        ask.by(
            &slow,
            Transport::Udp,
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        )
        .order()[0]
            .clone()
    };
    let firsts = (0..2000).filter(|seed| first(*seed) == "127.0.0.2").count();
    assert!((20..100).contains(&firsts), "{firsts} of 2000");
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[test]
fn the_most_specific_zone_answers() {
    let config: Config = toml::from_str(
        "[[zones]]\ndomain = \"example\"\n[[zones]]\ndomain = \"b.example\"\nttl = \"9s\"\n",
    )
    .unwrap();
    let services = [
        testing::service("web", &[("a", 1)]),
        testing::service("web.b", &[("a", 1)]),
    ];
    let zones = Zones::build(&config, &testing::snapshot(1, services));
    let ask = |name: &str| Ask::new(name, rtype::A).of(&zones).answers();
    assert_eq!(ask("web.example"), ["web.example. 5 A 127.0.0.1"]);
    assert_eq!(ask("web.b.example"), ["web.b.example. 9 A 127.0.0.1"]);
    assert_eq!(ask("web.b.b.example"), ["web.b.b.example. 9 A 127.0.0.1"]);
}

#[test]
fn instances_that_are_told_as_a_last_resort_are_told_at_every_name() {
    let service = |a, b| {
        let instances = [("a", "10.0.0.1", a), ("b", "10.0.0.2", b)];
        let instances = instances.map(|(id, host, state)| {
            let mut instance = testing::instance(id, host, 80);
            instance.state = state;
            instance
        });
        let unresolved = testing::instance("c", "c.example", 80);
        testing::service_of("web", instances.into_iter().chain([unresolved]))
    };
    let config = "[[zones]]\ndomain = 'svc.internal'\nall_down = 'all'\n";
    let content = |zones: &Zones, name: &str, qtype| Ask::new(name, qtype).of(zones).order();
    let told = |zones: &Zones| {
        let mut told = content(zones, "web.svc.internal", rtype::A);
        told.extend(content(zones, "_web._tcp.svc.internal", rtype::SRV));
        for id in ["a", "b"] {
            told.extend(content(zones, &format!("{id}.web.svc.internal"), rtype::A));
        }
        for n in 1..=2 {
            let reverse = format!("{n}.0.0.10.in-addr.arpa");
            told.extend(content(zones, &reverse, rtype::PTR));
        }
        told.sort();
        told
    };
    let none_up = zones_by(config, [service(State::Draining, State::Down)]);
    let only = |id: char, n| {
        let target = format!("{id}.web.svc.internal.");
        let address = format!("10.0.0.{n}");
        [format!("0 1 80 {target}"), address.clone(), address, target]
    };
    let mut draining = only('b', 2).to_vec();
    draining.extend(["10.0.0.1", "a.web.svc.internal."].map(str::to_owned));
    draining.sort();
    assert_eq!(told(&none_up), draining);
    let one_up = testing::snapshot(8, [service(State::Up, State::Down)]);
    let one_up = none_up.update(&one_up);
    assert_eq!(told(&one_up), only('a', 1));
    let none_up = one_up.update(&testing::snapshot(
        9,
        [service(State::Down, State::Starting)],
    ));
    let mut both = [only('a', 1), only('b', 2)].concat();
    both.sort();
    assert_eq!(told(&none_up), both);
    let by_default = zones([service(State::Draining, State::Down)]);
    let none = Ask::new("web.svc.internal", rtype::A).of(&by_default);
    assert_eq!((none.rcode(), none.answers().len()), ("NOERROR", 0));
}

#[test]
fn a_service_answers_for_names_below_it_that_do_not_exist() {
    let config = "[[zones]]\ndomain = 'x'\nwildcard = true\n[[zones]]\ndomain = 'y'\n";
    let mut down = testing::instance("a", "10.0.0.9", 80);
    down.state = State::Down;
    let services = [
        testing::service("web", &[("a", 1), ("b", 1)]),
        testing::service("api.web", &[("c", 1)]),
        testing::service_of("gone", [down]),
        testing::service("deep.group", &[("d", 1)]),
    ];
    let zones = zones_by(config, services);
    let ask = |name: &str, qtype| Ask::new(name, qtype).of(&zones);
    for name in ["n.web.x", "n.m.web.x", "*.web.x"] {
        let expected = ["127.0.0.1", "127.0.0.2"].map(|ip| format!("{name}. 5 A {ip}"));
        let reply = ask(name, rtype::A);
        assert_eq!(
            (reply.answers(), reply.authoritative()),
            (expected.to_vec(), true)
        );
        for qtype in [rtype::AAAA, rtype::TXT, rtype::SRV, rtype::HTTPS] {
            let reply = ask(name, qtype);
            assert_eq!(
                (reply.rcode(), reply.answers().len()),
                ("NOERROR", 0),
                "{name}"
            );
            assert_eq!(reply.authorities().len(), 1);
        }
        assert!(ask(name, rtype::ANY).answers()[0].contains("HINFO"));
    }
    assert_eq!(ask("n.api.web.x", rtype::A).order(), ["127.0.0.1"]);
    for (name, rcode) in [
        ("n.gone.x", "NOERROR"),
        // The closest name that exists is an instance, and only names below exist at the others.
        ("n.a.web.x", "NXDOMAIN"),
        ("n.group.x", "NXDOMAIN"),
        ("n._tcp.web.x", "NXDOMAIN"),
        ("_n.web.x", "NXDOMAIN"),
        ("n._m.web.x", "NXDOMAIN"),
        ("n.ns.x", "NXDOMAIN"),
        ("n.none.x", "NXDOMAIN"),
        ("none.x", "NXDOMAIN"),
        ("n.web.y", "NXDOMAIN"),
    ] {
        let reply = ask(name, rtype::A);
        assert_eq!((reply.rcode(), reply.answers().len()), (rcode, 0), "{name}");
    }
    assert_eq!(ask("b.web.x", rtype::A).order(), ["127.0.0.2"]);

    let explanation = zones.explain("n.web.x").unwrap();
    assert_eq!(
        (explanation.records.len(), explanation.rcode.label()),
        (2, "NOERROR")
    );
    let note = "there is no such name, and web answers for those below it (wildcard)";
    assert_eq!(explanation.note.as_deref(), Some(note));

    // It may be a service that a source has yet to name.
    let known = zones.snapshot().services().clone();
    let waiting = zones.update(&Snapshot::new(8, known, ["zk".into()].into()));
    assert_eq!(
        Ask::new("n.web.x", rtype::A).of(&waiting).rcode(),
        "SERVFAIL"
    );
    assert_eq!(
        waiting.explain("n.web.x").unwrap().rcode.label(),
        "SERVFAIL"
    );
}

#[test]
fn names_below_an_alias_are_aliases_too() {
    let config = "[[zones]]\ndomain = 'x'\nwildcard = true\ncname = true\n";
    let alias = testing::instance("a", "db.example", 1);
    let zones = zones_by(config, [testing::service_of("db", [alias])]);
    for qtype in [rtype::A, rtype::TXT] {
        let reply = Ask::new("n.db.x", qtype).of(&zones);
        assert_eq!(reply.answers(), ["n.db.x. 5 CNAME db.example."]);
    }
    let explanation = zones.explain("n.db.x").unwrap();
    assert_eq!(explanation.records[0].content, "db.example.");
    assert_eq!(
        Ask::new("n.a.db.x", rtype::A).of(&zones).rcode(),
        "NXDOMAIN"
    );
}

/// A service whose instances, `a` at 10.0.0.1 and so on, come from these sources.
fn from(name: &str, sources: &[&str]) -> Service {
    let instances = ('a'..).zip(1..).zip(sources).map(|((id, n), source)| {
        let mut instance = testing::instance(&id.to_string(), &format!("10.0.0.{n}"), 80);
        instance.origin.source = (*source).into();
        instance
    });
    testing::service_of(name, instances)
}

#[test]
fn a_zone_has_the_instances_of_its_sources() {
    let config = "[[zones]]\ndomain = 'one'\nsources = ['x']\n[[zones]]\ndomain = 'all'\n";
    let services = [from("web", &["x", "y"]), from("other", &["y"])];
    let zones = zones_by(config, services);
    let ask = |name: &str, qtype| Ask::new(name, qtype).of(&zones);
    assert_eq!(ask("web.one", rtype::A).order(), ["10.0.0.1"]);
    assert_eq!(ask("_web._tcp.one", rtype::SRV).answers().len(), 1);
    assert_eq!(ask("b.web.one", rtype::A).rcode(), "NXDOMAIN");
    assert_eq!(ask("other.one", rtype::A).rcode(), "NXDOMAIN");
    assert_eq!(ask("web.all", rtype::A).answers().len(), 2);
    assert_eq!(ask("other.all", rtype::A).answers().len(), 1);
    let back = |n: u8| {
        let mut names = ask(&format!("{n}.0.0.10.in-addr.arpa"), rtype::PTR).order();
        names.sort();
        names
    };
    assert_eq!(back(1), ["a.other.all.", "a.web.one."]);
    assert_eq!(back(2), ["b.web.all."]);

    let unsynced = Snapshot::new(8, zones.snapshot().services().clone(), ["y".into()].into());
    let waiting = zones.update(&unsynced);
    let rcode = |name: &str| Ask::new(name, rtype::A).of(&waiting).rcode();
    assert_eq!(rcode("none.one"), "NXDOMAIN");
    assert_eq!(rcode("none.all"), "SERVFAIL");
}

#[test]
fn the_last_resort_of_a_zone_is_of_its_own_sources() {
    let config = "[[zones]]\ndomain = 'one'\nsources = ['x']\nall_down = 'all'\n";
    let mut web = from("web", &["x", "y"]);
    web.instances[0] = Instance {
        state: State::Down,
        ..Instance::clone(&web.instances[0])
    }
    .into();
    let zones = zones_by(config, [web]);
    assert_eq!(
        Ask::new("web.one", rtype::A).of(&zones).order(),
        ["10.0.0.1"]
    );
}

#[test]
fn names_above_another_zone_exist_and_names_in_it_are_its_own() {
    let config = "[[zones]]\ndomain = 'x'\n[[zones]]\ndomain = 'b.a.x'\nttl = '9s'\n";
    let services = [testing::service("b.a", &[("i", 1)])];
    let zones = zones_by(config, services);
    let ask = |name: &str, qtype| Ask::new(name, qtype).of(&zones);
    assert_eq!(ask("a.x", rtype::A).rcode(), "NOERROR");
    assert_eq!(ask("b.a.x", rtype::SOA).answers().len(), 1);
    assert_eq!(ask("c.x", rtype::A).rcode(), "NXDOMAIN");
    // The target would be a name of the other zone, which knows nothing of it.
    assert_eq!(ask("i.b.a.x", rtype::A).rcode(), "NXDOMAIN");
    assert_eq!(
        ask("_b._tcp.a.x", rtype::SRV).answers(),
        <[&str; 0]>::default()
    );
    let reply = ask("_b._tcp.a.b.a.x", rtype::SRV);
    assert!(reply.answers()[0].ends_with(" i.b.a.b.a.x."));
    assert_eq!(
        ask("1.0.0.127.in-addr.arpa", rtype::PTR).order(),
        ["i.b.a.b.a.x."]
    );
    let empty = zones.update(&testing::snapshot(8, []));
    assert_eq!(Ask::new("a.x", rtype::A).of(&empty).rcode(), "NOERROR");
}

#[test]
fn a_limited_answer_about_https_has_spare_instances_last_and_the_time_to_live_of_its_service() {
    let config = "[ttl]\nweb = '1m'\n[[zones]]\ndomain = 'x'\nmax_answers = 2\n";
    let instances = [("a", 1), ("b", 0), ("c", 1), ("d", 0)].map(|(id, priority)| {
        let mut instance = testing::instance(id, "10.0.0.1", 443);
        instance.ports[0].name = Some("https".parse().unwrap());
        instance.priority = priority;
        instance
    });
    let zones = zones_by(config, [testing::service_of("web", instances)]);
    for (name, qtype) in [
        ("web.x", rtype::HTTPS),
        ("_https._tcp.web.x", rtype::SVCB),
        ("_https._tcp.web.x", rtype::SRV),
    ] {
        for seed in 0..20 {
            let reply = Ask::new(name, qtype).by(&zones, Transport::Tcp, seed << 28);
            let records = reply.answers().join("\n");
            assert_eq!(reply.answers().len(), 2, "{records}");
            assert!(records.contains("b.web.x.") && records.contains("d.web.x."));
            assert!(reply.message.answers.iter().all(|one| one.ttl == 60));
        }
    }
}
