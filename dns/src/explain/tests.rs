use registry::{Health, Instance, Reason, Snapshot, State, testing};

use super::*;
use crate::{
    Config,
    testing::{zones, zones_by},
};

fn records(explanation: &Explanation) -> Vec<String> {
    let records = explanation.records.iter();
    records
        .map(|one| format!("{} {}", one.rtype, one.content))
        .collect()
}

fn left_out(explanation: &Explanation) -> Vec<String> {
    let left_out = explanation.left_out.iter();
    left_out
        .map(|one| format!("{}: {}", one.instance.id, one.reason))
        .collect()
}

fn some_zones() -> Zones {
    let mut draining = testing::instance("c", "10.0.0.3", 80);
    draining.state = State::Draining;
    let mut portless = testing::instance("b", "10.0.0.2", 80);
    portless.ports.clear();
    let web = [testing::instance("a", "10.0.0.1", 80), portless, draining];
    zones([
        testing::service_of("web", web),
        testing::service("b.web", &[("x", 1)]),
    ])
}

#[test]
fn who_answers_and_who_is_left_out_is_told() {
    let zones = some_zones();
    let explanation = zones.explain("Web.svc.internal.").unwrap();
    assert_eq!(records(&explanation), ["A 10.0.0.1", "A 10.0.0.2"]);
    assert_eq!(left_out(&explanation), ["c: its state is draining"]);
    let explanation = zones.explain("_web._tcp.svc.internal").unwrap();
    assert_eq!(records(&explanation), ["SRV 0 1 80 a.web.svc.internal."]);
    assert_eq!(
        left_out(&explanation),
        ["b: it has no tcp port", "c: its state is draining"]
    );
    let explanation = zones.explain("1.0.0.10.in-addr.arpa").unwrap();
    assert_eq!(records(&explanation), ["PTR a.web.svc.internal."]);
}

#[test]
fn a_name_with_two_claims_tells_which_of_them_counts() {
    let explanation = some_zones().explain("b.web.svc.internal").unwrap();
    assert_eq!(records(&explanation), ["A 127.0.0.1"]);
    assert_eq!(left_out(&explanation), ["b: a service is called so itself"]);
}

#[test]
fn what_is_said_of_an_instance_is_what_is_answered() {
    let config = "[[zones]]\ndomain = 'svc.internal'\nttl = '9s'\nnegative_ttl = '4s'\n";
    let down = |id: &str, attributes: &[(&str, &str)]| {
        let mut instance = testing::instance(id, "10.0.0.1", 80);
        instance.state = State::Down;
        for (key, value) in attributes {
            instance.attributes.insert((*key).into(), (*value).into());
        }
        instance
    };
    let long = "x".repeat(300);
    let some = [("a", "1"), ("bad=key", "2"), ("long", &long), ("z", "ä b")];
    let web = [
        down("none", &[]),
        down("some", &some),
        down("bad", &[("", "v")]),
    ];
    let zones = zones_by(config, [testing::service_of("web", web)]);
    let explain = |id: &str| zones.explain(&format!("{id}.web.svc.internal")).unwrap();
    let none = explain("none");
    assert_eq!(records(&none), <[String; 0]>::default());
    assert_eq!(left_out(&none), ["none: its state is down"]);
    assert_eq!((none.rcode.label(), none.ttl), ("NOERROR", 4));
    let nobody = "no instance is there to answer with";
    assert_eq!(none.note.as_deref(), Some(nobody));
    let some = explain("some");
    assert_eq!(records(&some), ["TXT a=1 z=ä b"]);
    assert_eq!((some.ttl, some.note), (9, None));
    assert_eq!(records(&explain("bad")), ["TXT "], "one empty string");
}

#[test]
fn a_limited_answer_is_said_to_be_one() {
    let config = "[[zones]]\ndomain = 'svc.internal'\nmax_answers = 1\n";
    let zones = zones_by(config, [testing::service("web", &[("a", 1), ("b", 1)])]);
    for name in ["web.svc.internal", "_web._tcp.svc.internal"] {
        let explanation = zones.explain(name).unwrap();
        assert_eq!(explanation.records.len(), 2, "{name}");
        assert_eq!(
            explanation.note.as_deref(),
            Some("an answer has 1 of these at a time (max_answers)")
        );
    }
    assert_eq!(zones.explain("a.web.svc.internal").unwrap().note, None);
}

#[test]
fn the_time_to_live_is_that_of_the_service() {
    let config = "[ttl]\nweb = '1m'\n'b.*' = '2s'\n";
    let services = [
        testing::service("web", &[("a", 1), ("b", 1)]),
        testing::service("b.web", &[("x", 1)]),
    ];
    let zones = zones_by(config, services);
    let ttl = |name: &str| zones.explain(&format!("{name}.svc.internal")).unwrap().ttl;
    let names = ["web", "_web._tcp", "a.web", "x.b.web", "_tcp"];
    assert_eq!(names.map(ttl), [60, 60, 60, 2, 5]);
    assert_eq!(ttl("b.web"), 2, "its address is the other service's");
}

#[test]
fn instances_of_other_sources_are_left_out_with_their_source() {
    let config = "[[zones]]\ndomain = 'svc.internal'\nsources = ['x']\n";
    let mut a = testing::instance("a", "10.0.0.1", 80);
    a.origin.source = "x".into();
    let b = testing::instance("b", "10.0.0.2", 80);
    let services = [testing::service_of("web", [a, b])];
    let zones = zones_by(config, services);
    for name in ["web", "_web._tcp"] {
        let name = format!("{name}.svc.internal");
        let explanation = zones.explain(&name).unwrap();
        assert_eq!(explanation.records.len(), 1, "{name}");
        let reason = "b: the zone has no instances of source test (sources)";
        assert_eq!(left_out(&explanation), [reason], "{name}");
    }
    let known = zones.snapshot().services().clone();
    let unsynced = Snapshot::new(8, known, ["x".into(), "test".into()].into());
    let explanation = zones
        .update(&unsynced)
        .explain("none.svc.internal")
        .unwrap();
    assert_eq!(
        explanation.note.as_deref(),
        Some("not known yet: waiting for x")
    );
}

#[test]
fn a_last_resort_is_said_to_be_one() {
    let config = "[[zones]]\ndomain = 'svc.internal'\nall_down = 'all'\n";
    let mut down = testing::instance("a", "10.0.0.1", 80);
    down.state = State::Down;
    let mut draining = testing::instance("b", "10.0.0.2", 80);
    draining.state = State::Draining;
    let zones = zones_by(config, [testing::service_of("web", [down, draining])]);
    let explanation = zones.explain("web.svc.internal").unwrap();
    assert_eq!(records(&explanation), ["A 10.0.0.1"]);
    assert_eq!(left_out(&explanation), ["b: its state is draining"]);
    assert_eq!(
        explanation.note.as_deref(),
        Some(
            "no instance of web is available: \
             all that have an address and aren't draining are told (all_down)"
        )
    );
}

#[test]
fn what_is_seen_of_instances_is_told_and_weights_are_those_of_the_answer() {
    let mut service = testing::service("web", &[("a", 2), ("b", 1), ("c", 1)]);
    let mut see = |at: usize, health, share| {
        let instance = Arc::make_mut(&mut service.instances[at]);
        instance.observation = registry::Observation::new(health, share);
    };
    see(0, Health::Healthy, 10);
    see(1, Health::Unhealthy(Reason::CheckFailed), 100);
    let zones = zones([service]);
    let explanation = zones.explain("_web._tcp.svc.internal").unwrap();
    assert_eq!(
        records(&explanation),
        [
            "SRV 0 20 9001 a.web.svc.internal.",
            "SRV 0 100 9003 c.web.svc.internal."
        ]
    );
    assert_eq!(left_out(&explanation), ["b: its health check fails"]);
}

#[test]
fn a_target_that_is_a_service_too_is_told() {
    let zones = zones([
        testing::service("web", &[("a", 1), ("b", 1)]),
        testing::service_of("b.web", [testing::instance("x", "10.0.0.9", 80)]),
    ]);
    let note = "b.web.svc.internal is service b.web too: \
        a client that looks it up gets that one's addresses";
    for name in ["_web._tcp.svc.internal", "2.0.0.127.in-addr.arpa"] {
        let explanation = zones.explain(name).unwrap();
        assert!(!explanation.records.is_empty());
        assert_eq!(explanation.note.as_deref(), Some(note), "{name}");
    }
    for name in ["web.svc.internal", "1.0.0.127.in-addr.arpa"] {
        assert_eq!(zones.explain(name).unwrap().note, None, "{name}");
    }
}

#[test]
fn names_without_records_are_explained_too() {
    let zones = some_zones();
    let explain = |name: &str| {
        let explanation = zones.explain(name).unwrap();
        (
            explanation.rcode.label(),
            explanation.note.unwrap_or_default(),
        )
    };
    assert_eq!(explain("x.svc.internal").0, "NXDOMAIN");
    assert_eq!(
        explain("_tcp.svc.internal"),
        ("NOERROR", "only names below it exist".to_owned())
    );
    assert_eq!(zones.explain("example.com"), None);
    assert_eq!(zones.explain("a..b"), None);
    let apex = zones.explain("svc.internal").unwrap();
    assert_eq!(
        records(&apex),
        [
            "SOA ns.svc.internal. hostmaster.svc.internal. 7",
            "NS ns.svc.internal."
        ]
    );
    let server = zones.explain("ns.svc.internal").unwrap();
    assert_eq!(records(&server), ["A 127.0.0.1"]);
    let waiting = Snapshot::new(1, Default::default(), ["zk".into()].into());
    let waiting = Zones::build(&Config::default(), &waiting);
    let explanation = waiting.explain("x.svc.internal").unwrap();
    assert_eq!(explanation.rcode, Rcode::ServFail);
    assert_eq!(
        explanation.note.as_deref(),
        Some("not known yet: waiting for zk")
    );
}

#[test]
fn what_a_source_may_yet_say_is_not_denied() {
    let mut down = testing::instance("d", "10.0.0.1", 80);
    down.state = State::Down;
    let mut told = testing::instance("t", "10.0.0.2", 80);
    told.state = State::Down;
    told.attributes.insert("rack".into(), "r1".into());
    let known = testing::snapshot(
        3,
        [
            testing::service_of("gone", [down, told]),
            testing::service("web.group", &[("a", 1)]),
        ],
    );
    let unsynced = Snapshot::new(3, known.services().clone(), ["zk".into()].into());
    let zones = Zones::build(&Config::default(), &unsynced);
    let explain = |name: &str| {
        let explanation = zones.explain(&format!("{name}.svc.internal")).unwrap();
        let note = explanation.note.unwrap_or_default();
        (explanation.rcode.label(), explanation.ttl, note)
    };
    let waiting = ("SERVFAIL", 0, "not known yet: waiting for zk".to_owned());
    assert_eq!(explain("group"), waiting);
    assert_eq!(explain("gone"), waiting);
    assert_eq!(explain("d.gone"), waiting, "it has no TXT either");
    let note = "other types get SERVFAIL: waiting for zk".to_owned();
    assert_eq!(explain("t.gone"), ("NOERROR", 5, note));
    assert_eq!(explain("web.group"), ("NOERROR", 5, String::new()));
}

#[test]
fn what_may_be_old_is_said_to_be() {
    let config = "[reverse]\nnetworks = ['10.0.0.0/8']\n\
        [[zones]]\ndomain = 'x'\nsources = ['test', 'zk']\n\
        [[zones]]\ndomain = 'y'\nsources = ['test']\n";
    let services = [testing::service_of(
        "web",
        [testing::instance("a", "10.0.0.1", 80)],
    )];
    let zones = zones_by(config, services);
    let known = zones.snapshot().services().clone();
    let lost = |unsynced: Arc<[Arc<str>]>| {
        let snapshot = Snapshot::new(8, known.clone(), unsynced);
        zones.update(&snapshot.with_stale(["other".into(), "zk".into()].into()))
    };
    let stale = lost(Arc::default());
    let note = |name: &str| stale.explain(name).unwrap().note;
    let old = "may be old: lost the store of zk";
    for name in ["web.x", "x", "1.0.0.10.in-addr.arpa"] {
        assert_eq!(note(name).as_deref(), Some(old), "{name}");
    }
    let denied = format!("no service, port or instance is called so; {old}");
    assert_eq!(note("none.x"), Some(denied));
    assert_eq!(note("web.y"), None);
    let explanation = stale.explain("web.x").unwrap();
    assert_eq!(records(&explanation), ["A 10.0.0.1"]);
    assert_eq!(
        serde_json::to_value(&explanation).unwrap()["note"],
        serde_json::json!(old)
    );
    let waiting = lost(["test".into()].into()).explain("none.x").unwrap();
    let awaited = "not known yet: waiting for test";
    assert_eq!(waiting.note.as_deref(), Some(awaited));
}

#[test]
fn where_http_is_spoken_is_told() {
    let mut web = testing::service("web", &[("a", 1), ("b", 1)]);
    let mut a = Instance::clone(&web.instances[0]);
    a.ports[0].name = Some("h2".parse().unwrap());
    web.instances[0] = a.into();
    let zones = zones([web]);
    let https = "1 a.web.svc.internal. alpn=h2 no-default-alpn port=9001 ipv4hint=127.0.0.1";
    let explanation = zones.explain("web.svc.internal").unwrap();
    let expected = ["A 127.0.0.1", &format!("HTTPS {https}"), "A 127.0.0.2"];
    assert_eq!(records(&explanation), expected);
    assert_eq!(left_out(&explanation), <[String; 0]>::default());
    let explanation = zones.explain("_h2._tcp.web.svc.internal").unwrap();
    let srv = "SRV 0 1 9001 a.web.svc.internal.";
    assert_eq!(records(&explanation), [srv, &format!("SVCB {https}")]);
    assert_eq!(left_out(&explanation), ["b: it has no tcp port named h2"]);
}

#[test]
fn an_alias_is_told_with_the_instances_that_it_stands_for() {
    let mut a = testing::instance("a", "db.example", 1);
    a.addresses = ["10.0.0.1".parse().unwrap()].into();
    let mut down = testing::instance("b", "db.example", 1);
    down.state = State::Down;
    let alone = testing::service_of("db", [a.clone(), down]);
    let mixed = [a, testing::instance("b", "other.example", 1)];
    let zones = zones_by(
        "[[zones]]\ndomain = \"svc.internal\"\ncname = true\n",
        [alone, testing::service_of("mixed", mixed)],
    );
    let explain = |name: &str| {
        let explanation = zones.explain(&format!("{name}.svc.internal")).unwrap();
        (records(&explanation), left_out(&explanation))
    };
    let alias = vec!["CNAME db.example.".to_owned()];
    let is_down = vec!["b: its state is down".to_owned()];
    assert_eq!(explain("db"), (alias.clone(), is_down.clone()));
    assert_eq!(explain("a.db"), (alias, vec![]));
    assert_eq!(explain("b.db"), (vec![], is_down.clone()));
    let srv = vec!["SRV 0 1 1 db.example.".to_owned()];
    assert_eq!(explain("_db._tcp"), (srv, is_down));
    let unresolved = vec!["b: its host name is not resolved".to_owned()];
    assert_eq!(
        explain("mixed"),
        (vec!["A 10.0.0.1".to_owned()], unresolved)
    );
}

#[test]
fn what_can_be_browsed_for_is_told_with_its_limits() {
    let mut web = testing::service("web", &[("a", 1), ("b", 1)]);
    for instance in &mut web.instances {
        let instance = Arc::make_mut(instance);
        instance.ports[0].name = Some("http".parse().unwrap());
        instance.state = match instance.id.as_str() {
            "b" => State::Draining,
            _ => State::Up,
        };
    }
    let crowd = (0..65).map(|n| {
        let mut instance = testing::instance(&format!("i{n}"), "10.0.0.1", 80);
        instance.ports[0].name = Some("many".parse().unwrap());
        instance
    });
    let zones = zones([web, testing::service_of("crowd", crowd)]);
    let explain = |name: &str| zones.explain(&format!("{name}.svc.internal")).unwrap();
    let http = explain("_http._tcp");
    assert_eq!(records(&http), ["PTR a._http._tcp.web.svc.internal."]);
    assert_eq!(left_out(&http), ["b: its state is draining"]);
    let many = explain("_many._tcp");
    assert_eq!(records(&many).len(), 64);
    assert_eq!(left_out(&many), ["i64: only the first 64 are told"]);
    let kinds = explain("_services._dns-sd._udp");
    let expected = [
        "PTR _http._tcp.svc.internal.",
        "PTR _many._tcp.svc.internal.",
    ];
    assert_eq!(records(&kinds), expected);
    assert_eq!(kinds.note, None);
    let one = explain("b._http._tcp.web");
    assert_eq!(records(&one), ["SRV 0 1 9002 b.web.svc.internal.", "TXT "]);
}

#[test]
fn an_explanation_is_json() {
    let explanation = some_zones().explain("c.web.svc.internal").unwrap();
    assert_eq!(
        serde_json::to_value(&explanation).unwrap(),
        serde_json::json!({
            "name": "c.web.svc.internal",
            "zone": "svc.internal",
            "scheme": "plain",
            "version": 7,
            "serial": 7,
            "rcode": "NOERROR",
            "ttl": 5,
            "records": [
                {
                    "type": "A", "content": "10.0.0.3", "service": "web", "id": "c",
                    "source": "test", "path": "/test/c"
                },
            ],
            "left_out": [],
        })
    );
}
