use std::sync::Arc;

use proptest::prelude::*;
use registry::{Instance, Port, Protocol, Snapshot, State, testing};

use super::*;
use crate::{
    Config,
    testing::{Ask, CLIENT, NOW, reply, zones},
};

const SOA: &str =
    "svc.internal. 5 SOA ns.svc.internal. hostmaster.svc.internal. 7 3600 600 604800 5";

/// What stays free in an answer with EDNS.
pub(super) const EXTENDED_ERROR_BYTES: usize = 6;

/// `web` with two instances, the second of them with a v6 address too, and others in odd states.
pub(super) fn some_zones() -> Zones {
    let mut both = testing::instance("b", "10.0.0.2", 8080);
    both.addresses.push("2001:db8::2".parse().unwrap());
    both.weight = 5;
    both.priority = 1;
    both.attributes.insert("version".into(), "1.2".into());
    both.ports.push(named("metrics", 9100));
    let a = testing::instance("a", "10.0.0.1", 8080);
    let with_state = |id: &str, host: &str, state| {
        let mut instance = testing::instance(id, host, 80);
        instance.state = state;
        instance
    };
    zones([
        testing::service_of("web", [a, both]),
        testing::service_of("app.group", [testing::instance("x", "10.0.1.1", 1)]),
        testing::service_of(
            "gone",
            [
                with_state("d", "10.0.2.1", State::Draining),
                with_state("e", "10.0.2.2", State::Down),
                with_state("f", "unresolved.example", State::Up),
            ],
        ),
    ])
}

fn named(name: &str, number: u16) -> Port {
    Port {
        name: Some(name.parse().unwrap()),
        number,
        protocol: Protocol::Tcp,
    }
}

fn answers(name: &str, qtype: u16) -> Vec<String> {
    let reply = Ask::new(name, qtype).of(&some_zones());
    assert_eq!(reply.rcode(), "NOERROR", "{name}");
    assert!(reply.authoritative());
    reply.answers()
}

#[test]
fn a_service_answers_with_the_addresses_of_its_instances() {
    let web = "web.svc.internal";
    assert_eq!(
        answers(web, rtype::A),
        [
            "web.svc.internal. 5 A 10.0.0.1",
            "web.svc.internal. 5 A 10.0.0.2"
        ]
    );
    assert_eq!(
        answers(web, rtype::AAAA),
        ["web.svc.internal. 5 AAAA 2001:db8::2"]
    );
    assert_eq!(
        answers("app.group.svc.internal", rtype::A),
        ["app.group.svc.internal. 5 A 10.0.1.1"]
    );
}

#[test]
fn ports_answer_with_targets_and_their_addresses() {
    let reply = Ask::new("_web._tcp.svc.internal", rtype::SRV)
        .edns(1232, 0, 0, &[])
        .of(&some_zones());
    assert_eq!(
        reply.answers(),
        [
            "_web._tcp.svc.internal. 5 SRV 0 1 8080 a.web.svc.internal.",
            "_web._tcp.svc.internal. 5 SRV 1 5 8080 b.web.svc.internal.",
        ]
    );
    assert_eq!(
        reply.additionals(),
        [
            "a.web.svc.internal. 5 A 10.0.0.1",
            "b.web.svc.internal. 5 A 10.0.0.2",
            "b.web.svc.internal. 5 AAAA 2001:db8::2",
        ]
    );
    assert_eq!(
        answers("_metrics._tcp.web.svc.internal", rtype::SRV),
        ["_metrics._tcp.web.svc.internal. 5 SRV 1 5 9100 b.web.svc.internal."]
    );
    assert_eq!(
        answers("_app._tcp.group.svc.internal", rtype::SRV),
        ["_app._tcp.group.svc.internal. 5 SRV 0 1 1 x.app.group.svc.internal."]
    );
}

#[test]
fn an_instance_answers_with_addresses_and_attributes() {
    let b = "b.web.svc.internal";
    assert_eq!(answers(b, rtype::A), ["b.web.svc.internal. 5 A 10.0.0.2"]);
    assert_eq!(
        answers(b, rtype::TXT),
        ["b.web.svc.internal. 5 TXT version=1.2"]
    );
    let bare = Ask::new("a.web.svc.internal", rtype::TXT).of(&some_zones());
    assert_eq!((bare.rcode(), bare.answers().len()), ("NOERROR", 0));
    // A client may have got the name a moment ago, before the instance was marked.
    assert_eq!(
        answers("d.gone.svc.internal", rtype::A),
        ["d.gone.svc.internal. 5 A 10.0.2.1"]
    );
    for down in ["e.gone.svc.internal", "f.gone.svc.internal"] {
        assert_eq!(answers(down, rtype::A), <[String; 0]>::default());
    }
}

#[test]
fn the_top_of_the_zone_has_soa_and_ns() {
    assert_eq!(answers("svc.internal", rtype::SOA), [SOA]);
    let ns = Ask::new("svc.internal", rtype::NS).of(&some_zones());
    assert_eq!(ns.answers(), ["svc.internal. 5 NS ns.svc.internal."]);
    assert_eq!(ns.additionals(), ["ns.svc.internal. 5 A 127.0.0.1"]);
    assert_eq!(
        answers("ns.svc.internal", rtype::A),
        ["ns.svc.internal. 5 A 127.0.0.1"]
    );
}

#[test]
fn addresses_lead_back_to_instances() {
    let v4 = "2.0.0.10.in-addr.arpa";
    assert_eq!(
        answers(v4, rtype::PTR),
        ["2.0.0.10.in-addr.arpa. 5 PTR b.web.svc.internal."]
    );
    let v6 = format!(
        "{}8.b.d.0.1.0.0.2.ip6.arpa",
        "2.".to_owned() + &"0.".repeat(23)
    );
    assert_eq!(answers(&v6, rtype::PTR).len(), 1);
    // Other types: the name is a zone of its own.
    let nodata = Ask::new(v4, rtype::A).of(&some_zones());
    assert_eq!(nodata.answers(), <[String; 0]>::default());
    assert_eq!(
        nodata.authorities(),
        [SOA.replacen("svc.internal", "2.0.0.10.in-addr.arpa", 1)]
    );
    for unknown in [
        "9.9.9.9.in-addr.arpa",
        "2.2.0.10.in-addr.arpa",
        "0.0.10.in-addr.arpa",
    ] {
        assert_eq!(
            Ask::new(unknown, rtype::PTR).of(&some_zones()).rcode(),
            "REFUSED"
        );
    }
}

#[test]
fn what_exists_without_such_records_is_no_data() {
    for name in [
        "gone.svc.internal",
        "_gone._tcp.svc.internal",
        // Names that exist because of those below them.
        "group.svc.internal",
        "_tcp.svc.internal",
        "_tcp.web.svc.internal",
        "_tcp.group.svc.internal",
        "svc.internal",
    ] {
        for qtype in [rtype::A, rtype::SRV, 65_280] {
            let reply = Ask::new(name, qtype).of(&some_zones());
            assert_eq!(reply.rcode(), "NOERROR", "{name}");
            assert!(reply.authoritative());
            assert_eq!(reply.answers(), <[String; 0]>::default());
            assert_eq!(reply.authorities(), [SOA]);
        }
    }
}

#[test]
fn what_does_not_exist_is_denied() {
    for name in [
        "nobody.svc.internal",
        "c.web.svc.internal",
        "x.a.web.svc.internal",
        "_web._udp.svc.internal",
    ] {
        let reply = Ask::new(name, rtype::A).of(&some_zones());
        assert_eq!(reply.rcode(), "NXDOMAIN", "{name}");
        assert!(reply.authoritative());
        assert_eq!(reply.authorities(), [SOA]);
    }
}

#[test]
fn until_all_sources_have_spoken_only_what_is_known_is_answered() {
    let known = testing::snapshot(3, [testing::service("web", &[("a", 1)])]);
    let services = known.services().clone();
    let unsynced = Snapshot::new(3, services, Arc::from(["zk".into()]));
    let zones = Zones::build(&Config::default(), &unsynced);
    let unknown = Ask::new("other.svc.internal", rtype::A).of(&zones);
    assert_eq!(unknown.rcode(), "SERVFAIL");
    assert!(!unknown.authoritative());
    assert_eq!(unknown.authorities(), <[String; 0]>::default());
    assert_eq!(
        Ask::new("web.svc.internal", rtype::A)
            .of(&zones)
            .answers()
            .len(),
        1
    );
    assert_eq!(
        Ask::new("web.svc.internal", rtype::TXT).of(&zones).rcode(),
        "NOERROR"
    );
    assert_eq!(
        Ask::new("svc.internal", rtype::SOA)
            .of(&zones)
            .answers()
            .len(),
        1
    );
    let synced = zones.update(&known);
    assert_eq!(
        Ask::new("other.svc.internal", rtype::A).of(&synced).rcode(),
        "NXDOMAIN"
    );
}

#[test]
fn until_all_sources_have_spoken_a_name_that_leads_nowhere_may_yet_lead_somewhere() {
    let known = some_zones().snapshot().services().clone();
    let unsynced = Snapshot::new(8, known, Arc::from(["zk".into()]));
    let zones = Zones::build(&Config::default(), &unsynced);
    for (name, qtype) in [
        // Above names that exist, where there may be a service too.
        ("group.svc.internal", rtype::A),
        ("_tcp.svc.internal", rtype::A),
        ("group.svc.internal", rtype::ANY),
        // Nobody is up that is known.
        ("gone.svc.internal", rtype::A),
        ("_gone._tcp.svc.internal", rtype::SRV),
        ("e.gone.svc.internal", rtype::A),
    ] {
        let reply = Ask::new(name, qtype).of(&zones);
        assert_eq!(reply.rcode(), "SERVFAIL", "{name}");
        assert!(!reply.authoritative());
        assert_eq!(reply.authorities(), <[String; 0]>::default());
        assert_ne!(Ask::new(name, qtype).of(&some_zones()).rcode(), "SERVFAIL");
    }
    for (name, qtype) in [
        // A client that asks for both would lose the one that is known.
        ("app.group.svc.internal", rtype::AAAA),
        ("a.web.svc.internal", rtype::AAAA),
        ("_web._tcp.svc.internal", rtype::A),
        ("svc.internal", rtype::A),
    ] {
        let reply = Ask::new(name, qtype).of(&zones);
        assert_eq!(reply.rcode(), "NOERROR", "{name}");
        assert!(reply.authoritative());
        assert_eq!(reply.authorities().len(), 1);
    }
    // Somebody else's, whatever the sources say.
    let reverse = Ask::new("9.9.9.9.in-addr.arpa", rtype::PTR).of(&zones);
    assert_eq!(reverse.rcode(), "REFUSED");
    let txt = Ask::new("b.web.svc.internal", rtype::TXT).of(&zones);
    assert_eq!((txt.rcode(), txt.answers().len()), ("NOERROR", 1));
}

#[test]
fn names_of_others_and_other_classes_are_refused() {
    for (name, qtype, class) in [
        ("example.com", rtype::A, 1),
        ("internal", rtype::A, 1),
        ("", rtype::NS, 1),
        ("xsvc.internal", rtype::A, 1),
        ("version.bind", rtype::TXT, 3),
        ("web.svc.internal", rtype::A, 3),
        ("svc.internal", rtype::AXFR, 1),
        ("svc.internal", rtype::IXFR, 1),
    ] {
        let mut ask = Ask::new(name, qtype);
        ask.class = class;
        let reply = ask.of(&some_zones());
        assert_eq!(reply.rcode(), "REFUSED", "{name}");
        assert!(!reply.authoritative());
        assert_eq!(reply.message.queries.len(), 1);
    }
}

#[test]
fn a_query_for_all_types_gets_one_small_record() {
    let reply = Ask::new("web.svc.internal", rtype::ANY).of(&some_zones());
    assert_eq!(reply.message.answers.len(), 1);
    assert!(reply.bytes.ends_with(b"\x00\x09\x07RFC8482\x00"));
    let nothing = Ask::new("group.svc.internal", rtype::ANY).of(&some_zones());
    assert_eq!(nothing.message.answers.len(), 0);
    assert_eq!(nothing.authorities(), [SOA]);
    assert_eq!(
        Ask::new("x.svc.internal", rtype::ANY)
            .of(&some_zones())
            .rcode(),
        "NXDOMAIN"
    );
}

#[test]
fn the_case_of_the_question_is_kept() {
    let ask = Ask::new("_wEB._Tcp.sVc.inTERnal", rtype::SRV);
    let reply = ask.of(&some_zones());
    assert_eq!(reply.message.answers.len(), 2);
    assert_eq!(
        &reply.bytes[HEADER_BYTES..][..ask.name.len()],
        &ask.name[..]
    );
}

#[test]
fn flags_are_repeated_as_they_should_be() {
    for (flags, expected) in [
        (0x0100, 0x8500), // RD
        (0x0000, 0x8400),
        (0x0010, 0x8410), // CD
        (0x0630, 0x8410), // AA, TC and AD mean nothing in a query
    ] {
        let mut ask = Ask::new("web.svc.internal", rtype::A);
        ask.flags = flags;
        let reply = ask.of(&some_zones());
        assert_eq!(
            u16::from_be_bytes([reply.bytes[2], reply.bytes[3]]),
            expected,
            "{flags:x}"
        );
    }
}

#[test]
fn other_opcodes_are_not_implemented() {
    for opcode in [1, 2, 4, 5, 6, 15] {
        let mut ask = Ask::new("svc.internal", rtype::SOA);
        ask.flags = opcode << 11;
        let reply = ask.of(&some_zones());
        assert_eq!(reply.rcode(), "NOTIMP");
        assert_eq!(u16::from(reply.bytes[2] >> 3 & 15), opcode);
        assert!(!reply.authoritative());
        // As a probe of RFC 8906, section 8.1 has it: nothing but a header.
        ask.counts = [0; 4];
        let bytes = &ask.bytes()[..HEADER_BYTES];
        let reply = reply_to(bytes).unwrap();
        assert_eq!((reply.rcode(), reply.bytes.len()), ("NOTIMP", HEADER_BYTES));
    }
}

fn reply_to(bytes: &[u8]) -> Option<crate::testing::Reply> {
    reply(&some_zones(), bytes, Transport::Udp, 1)
}

#[test]
fn what_cannot_be_read_is_a_format_error() {
    let web = || Ask::new("web.svc.internal", rtype::A);
    let with = |change: &dyn Fn(&mut Ask)| {
        let mut ask = web();
        change(&mut ask);
        ask.bytes()
    };
    let two_opts = web().edns(1232, 0, 0, &[]).edns(1232, 0, 0, &[]).bytes();
    let short_option = web().edns(1232, 0, 0, &[0, 10, 0, 8, 1]).bytes();
    let mut opt_with_owner = web().edns(1232, 0, 0, &[]);
    opt_with_owner.rest.splice(0..1, *b"\x01a\x00");
    let cases = [
        ("no question", with(&|ask| ask.counts[0] = 0)),
        ("two questions", with(&|ask| ask.counts[0] = 2)),
        ("an answer that isn't there", with(&|ask| ask.counts[1] = 1)),
        (
            "an authority that isn't there",
            with(&|ask| ask.counts[2] = 1),
        ),
        (
            "an additional that isn't there",
            with(&|ask| ask.counts[3] = 1),
        ),
        (
            "a pointer in the name",
            with(&|ask| ask.name = vec![0xc0, 12]),
        ),
        (
            "a reserved kind of label",
            with(&|ask| ask.name = vec![0x41, 0]),
        ),
        ("a name without an end", web().bytes()[..20].to_vec()),
        (
            "a question without a class",
            web().bytes()[..web().bytes().len() - 1].to_vec(),
        ),
        (
            "a name that is too long",
            with(&|ask| {
                ask.name = [&[63][..], &[b'x'; 63]].concat().repeat(4);
                ask.name.push(0);
            }),
        ),
        ("two OPT records", two_opts),
        ("an option that is cut", short_option),
        ("an OPT record with an owner", opt_with_owner.bytes()),
        (
            "OPT as a type",
            Ask::new("web.svc.internal", rtype::OPT).bytes(),
        ),
    ];
    for (what, bytes) in cases {
        let reply = reply_to(&bytes).unwrap();
        assert_eq!(reply.rcode(), "FORMERR", "{what}");
        assert_eq!(reply.bytes[..2], bytes[..2]);
        assert_eq!(reply.message.answers.len(), 0);
    }
}

#[test]
fn answers_and_stumps_are_dropped() {
    let mut ask = Ask::new("web.svc.internal", rtype::A);
    ask.flags = 0x8000;
    assert!(reply_to(&ask.bytes()).is_none());
    assert!(reply_to(&[]).is_none());
    assert!(reply_to(&[0; HEADER_BYTES - 1]).is_none());
}

#[test]
fn bytes_behind_the_message_are_ignored() {
    let mut bytes = Ask::new("web.svc.internal", rtype::A).bytes();
    bytes.extend([0xff; 9]);
    assert_eq!(reply_to(&bytes).unwrap().answers().len(), 2);
}

/// A service with so many instances.
fn crowd(count: usize) -> Zones {
    let instance = |n: usize| {
        let host = format!("10.1.{}.{}", n / 250, n % 250 + 1);
        testing::instance(&format!("instance-{n:04}"), &host, 80)
    };
    zones([testing::service_of("web", (0..count).map(instance))])
}

#[test]
fn a_large_answer_is_cut_between_records_and_says_so() {
    let zones = crowd(200);
    let plain = Ask::new("web.svc.internal", rtype::A);
    let reply = plain.of(&zones);
    assert!(reply.truncated());
    assert_eq!(
        reply.message.answers.len(),
        (512 - plain.bytes().len()) / 16
    );
    let reply = plain.clone().edns(4096, 0, 0, &[]).of(&zones);
    assert!(reply.truncated() && reply.bytes.len() > 1232 - EXTENDED_ERROR_BYTES - 16);
    let reply = plain.by(&zones, Transport::Tcp, 1);
    assert!(!reply.truncated());
    assert_eq!(reply.message.answers.len(), 200);
}

#[test]
fn additional_records_are_cut_first_and_silently() {
    let zones = crowd(8);
    let ask = Ask::new("_web._tcp.svc.internal", rtype::SRV);
    let reply = ask.of(&zones);
    assert_eq!(reply.message.answers.len(), 8);
    assert!(!reply.truncated() && reply.message.additionals.len() < 8);
    let reply = ask.clone().edns(1232, 0, 0, &[]).of(&zones);
    assert_eq!(reply.message.additionals.len(), 8);
    let cut = ask.of(&crowd(40));
    assert!(cut.truncated() && cut.message.additionals.is_empty());
    assert!(!cut.message.answers.is_empty());
}

#[test]
fn targets_too_far_behind_for_a_pointer_are_spelled_out() {
    let reply = Ask::new("_web._tcp.svc.internal", rtype::SRV).by(&crowd(700), Transport::Tcp, 3);
    assert!(reply.bytes.len() > 0x4000);
    assert_eq!(reply.message.answers.len(), 700);
    assert_eq!(reply.message.additionals.len(), 700);
    let mut owners: Vec<_> = reply
        .message
        .additionals
        .iter()
        .map(|r| r.name.to_string())
        .collect();
    owners.sort();
    owners.dedup();
    assert_eq!(owners.len(), 700);
}

#[test]
fn equal_instances_take_turns() {
    let zones = crowd(4);
    let ask = Ask::new("web.svc.internal", rtype::A);
    let mut seeds = fastrand::Rng::with_seed(1);
    let mut firsts = std::collections::BTreeMap::<_, u32>::new();
    for _ in 0..400 {
        let order = ask.by(&zones, Transport::Udp, seeds.u64(..)).order();
        assert_eq!(order.len(), 4);
        *firsts.entry(order[0].clone()).or_default() += 1;
    }
    assert_eq!(firsts.len(), 4);
    assert!(
        firsts.values().all(|count| (60..140).contains(count)),
        "{firsts:?}"
    );
}

#[test]
fn heavy_instances_come_first_more_often() {
    let zones = zones([testing::service("web", &[("a", 1), ("b", 3), ("c", 0)])]);
    let ask = Ask::new("web.svc.internal", rtype::A);
    let mut seeds = fastrand::Rng::with_seed(1);
    let mut first = |_| ask.by(&zones, Transport::Udp, seeds.u64(..)).order()[0].clone();
    let firsts: Vec<_> = (0..1000).map(&mut first).collect();
    let count = |address: &str| firsts.iter().filter(|first| *first == address).count();
    assert!((200..300).contains(&count("127.0.0.1")));
    assert!((700..800).contains(&count("127.0.0.2")));
    assert!(count("127.0.0.3") < 20);
}

#[test]
fn instances_at_one_address_are_one_record_with_their_weight() {
    let at = |id: &str, host: &str, port| testing::instance(id, host, port);
    let instances = [
        at("a", "10.0.0.1", 1),
        at("b", "10.0.0.1", 2),
        at("c", "10.0.0.2", 1),
    ];
    let zones = zones([testing::service_of("web", instances)]);
    let ask = Ask::new("web.svc.internal", rtype::A);
    let mut seeds = fastrand::Rng::with_seed(1);
    let mut first = |_| ask.by(&zones, Transport::Udp, seeds.u64(..)).order()[0].clone();
    let shared = (0..900)
        .map(&mut first)
        .filter(|first| first == "10.0.0.1")
        .count();
    assert!((540..660).contains(&shared), "{shared}");
    assert_eq!(ask.of(&zones).answers().len(), 2);
}

#[test]
fn where_two_services_claim_a_name_the_one_called_so_goes_first() {
    let instance = |host: &str, port: Port| {
        let mut instance = testing::instance("a", host, 80);
        instance.ports.insert(0, port);
        instance.attributes.insert("of".into(), host.into());
        instance
    };
    let parent = instance("10.0.0.1", named("http", 81));
    let mut child: Instance = instance("10.0.0.2", Port::tcp(82));
    let services = |child: &Instance| {
        [
            testing::service_of("web", [parent.clone()]),
            testing::service_of("a.web", [child.clone()]),
            testing::service_of("http.web", [child.clone()]),
        ]
    };
    let zones = zones(services(&child));
    let ask = |name: &str, qtype| Ask::new(name, qtype).of(&zones).order();
    assert_eq!(ask("a.web.svc.internal", rtype::A), ["10.0.0.2"]);
    assert_eq!(ask("a.web.svc.internal", rtype::TXT), ["of=10.0.0.1"]);
    assert_eq!(
        ask("_http._tcp.web.svc.internal", rtype::SRV),
        ["0 1 82 a.http.web.svc.internal."]
    );
    // Even when it has nobody: the others are no substitute.
    child.state = State::Down;
    let zones = zones.update(&testing::snapshot(8, services(&child)));
    let ask = |name: &str, qtype| Ask::new(name, qtype).of(&zones).order().len();
    assert_eq!(ask("a.web.svc.internal", rtype::A), 0);
    assert_eq!(ask("_http._tcp.web.svc.internal", rtype::SRV), 0);
}

#[test]
fn a_reverse_name_inside_a_label_is_refused() {
    let mut ask = Ask::new("", rtype::PTR);
    ask.name = b"\x012\x010\x010\x0210\x0d\x07in-addr\x04arpa\x00".to_vec();
    let reply = ask.of(&some_zones());
    assert_eq!(reply.rcode(), "REFUSED");
    assert!(!reply.authoritative());
}

/// Names made of what is in `some_zones` and of what isn't.
fn any_name() -> impl Strategy<Value = String> {
    let label = prop::sample::select(vec![
        "a", "B", "web", "Gone", "_web", "_tcp", "_udp", "group", "_metrics", "_APP", "app", "x",
        "ns",
    ]);
    let domain = prop::sample::select(vec![
        "svc.internal",
        "SVC.Internal",
        "2.0.0.10.in-addr.arpa",
        "com",
    ]);
    (prop::collection::vec(label, 0..4), domain)
        .prop_map(|(labels, domain)| [labels, vec![domain]].concat().join("."))
}

pub(super) fn any_query() -> impl Strategy<Value = Vec<u8>> {
    let qtype = prop_oneof![
        prop::sample::select(vec![1_u16, 2, 6, 12, 16, 28, 33, 255, 252, 41]),
        any::<u16>()
    ];
    let edns = prop::option::of((any::<u16>(), prop::bool::weighted(0.1), any::<u16>()));
    (any_name(), qtype, edns, any::<u16>()).prop_map(|(name, qtype, edns, flags)| {
        let mut ask = Ask::new(&name, qtype);
        ask.flags = flags & 0x07ff;
        if let Some((payload, odd, flags)) = edns {
            ask = ask.edns(payload, u8::from(odd), flags, &[]);
        }
        ask.bytes()
    })
}

/// A query with some of its bytes changed and its end cut.
pub(super) fn broken_query(
    query: impl Strategy<Value = Vec<u8>>,
) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (
        query,
        changes,
        prop::option::of(any::<prop::sample::Index>()),
    )
        .prop_map(|(mut bytes, changes, cut)| {
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes
        })
}

pub(super) fn limit(query: &[u8], transport: Transport) -> usize {
    match transport {
        Transport::Tcp => 65_535,
        Transport::Udp => {
            let edns = Query::parse(query).and_then(|query| query.edns);
            usize::from(edns.map_or(512, |edns| edns.payload.clamp(512, 1232)))
        }
    }
}

proptest! {
    #[test]
    fn every_answer_can_be_read_and_is_short_enough(
        query in prop_oneof![
            any_query(),
            broken_query(any_query()),
            prop::collection::vec(any::<u8>(), 0..600),
        ],
        tcp: bool,
        seed: u64,
    ) {
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        for zones in [some_zones(), crowd(100)] {
            let Some(reply) = reply(&zones, &query, transport, seed) else {
                prop_assert!(query.len() < HEADER_BYTES || query[2] & 0x80 != 0);
                continue;
            };
            prop_assert!(query.len() >= HEADER_BYTES && query[2] & 0x80 == 0);
            prop_assert!(reply.bytes.len() <= limit(&query, transport));
            prop_assert_eq!(&reply.bytes[..2], &query[..2]);
        }
    }

    #[test]
    fn no_buffer_is_too_short_to_be_safe(query in broken_query(any_query()), len in 0..600_usize) {
        let mut out = vec![0; len];
        let request = Request {
            message: &query,
            client: CLIENT,
            transport: Transport::Tcp,
            keepalive: Some(1),
            now: NOW,
            seed: 1,
        };
        if let Outcome::Answered { bytes, .. } = respond(&crowd(20), &request, &mut out) {
            prop_assert!(bytes <= len);
        }
    }

    #[test]
    fn a_seed_changes_the_order_and_nothing_else(query in any_query(), seed: u64) {
        let zones = some_zones();
        let Some(one) = reply(&zones, &query, Transport::Tcp, 0) else {
            return Ok(());
        };
        let other = reply(&zones, &query, Transport::Tcp, seed).unwrap();
        prop_assert_eq!(one.answers(), other.answers());
        prop_assert_eq!(one.additionals(), other.additionals());
        prop_assert_eq!(one.rcode(), other.rcode());
    }
}
