use std::collections::BTreeSet;

use hickory_proto::serialize::txt::Parser;
use proptest::prelude::*;
use registry::{Instance, Port, Protocol, Snapshot, State, testing};

use super::*;
use crate::{
    Config, Transport,
    name::NameBuf,
    testing::{Ask, zones, zones_by},
    wire::rtype,
    zones::tests::{CONFIGS, services},
};

/// The records of a file as an independent parser reads them, as `name ttl type content`.
fn parsed(file: &str) -> BTreeSet<String> {
    let (_, sets) = Parser::new(file, None, None).parse().expect(file);
    let records = sets.values().flat_map(|set| set.records_without_rrsigs());
    let lines = records.map(|r| format!("{} {} {} {}", r.name, r.ttl, r.record_type(), r.data));
    lines.collect()
}

/// What is asked for at every name.
const TYPES: [u16; 10] = [
    rtype::A,
    rtype::NS,
    rtype::CNAME,
    rtype::SOA,
    rtype::PTR,
    rtype::TXT,
    rtype::AAAA,
    rtype::SRV,
    rtype::SVCB,
    rtype::HTTPS,
];

/// All that is answered at a zone's names.
fn answered(zones: &Zones, contents: Contents<'_>) -> BTreeSet<String> {
    let names = contents.names(zones).into_iter().map(|(name, _)| name);
    let mut answered = BTreeSet::new();
    for name in names.chain([contents.words().domain.clone()]) {
        for qtype in TYPES {
            let reply = Ask::new(&name.to_string(), qtype).by(zones, Transport::Tcp, 1);
            answered.extend(reply.answers());
        }
    }
    answered
}

proptest! {
    // Each case asks for everything.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_says_what_is_answered(
        config in prop::sample::select(&CONFIGS[..]),
        wildcard: bool,
        services in services(),
    ) {
        // A limit is about answers.
        let config = config.replace("max_answers = 1", "");
        let mut config: Config = toml::from_str(&config).unwrap();
        for zone in &mut config.zones {
            zone.wildcard = wildcard;
        }
        let snapshot = testing::snapshot(7, services.into_values());
        let zones = Zones::build(&config, &snapshot);
        prop_assert_eq!(zones.all_contents().count(), zones.summaries().len());
        for (contents, summary) in zones.all_contents().zip(zones.summaries()) {
            let file = zones.export(&summary.domain).unwrap();
            let records = parsed(&file);
            prop_assert_eq!(summary.records, records.len());
            let owners: BTreeSet<_> = records.iter().map(|line| line.split(' ').next()).collect();
            prop_assert_eq!(summary.names, owners.len());
            prop_assert_eq!(records, answered(&zones, contents), "{}", file);
        }
    }

    #[test]
    fn names_are_in_canonical_order(services in services()) {
        let file = zones(services.into_values()).export("svc.internal").unwrap();
        let names = file.lines().skip(5).map(|line| {
            let line = line.trim_start_matches("; ");
            let mut labels: Vec<_> = line.split(' ').next().unwrap().split('.').collect();
            labels.reverse();
            labels
        });
        prop_assert!(names.is_sorted(), "{}", file);
    }
}

proptest! {
    #[test]
    fn names_are_compared_by_their_labels_from_the_right(
        names in prop::collection::vec(prop::collection::vec("[a-c\\x00.*-]{1,3}", 0..6), 2),
    ) {
        let [one, other] = [0, 1].map(|index: usize| {
            let mut name = NameBuf::default();
            let labels: &Vec<String> = &names[index];
            labels.iter().for_each(|label| name.push(label).unwrap());
            let labels: Vec<_> = labels.iter().rev().map(|label| label.as_bytes()).collect();
            (name.finish(), labels)
        });
        prop_assert_eq!(canonical(&one.0, &other.0), one.1.cmp(&other.1));
    }
}

#[test]
fn names_are_sorted_as_in_the_rfc() {
    let rfc = [
        "example",
        "a.example",
        "yljkjljk.a.example",
        "z.a.example",
        "zabc.a.example",
        "z.example",
        "\u{1}.z.example",
        "*.z.example",
        "\u{7f}.z.example",
    ];
    let names = rfc.map(|name| Name::parse(name).unwrap());
    assert!(names.is_sorted_by(|one, other| canonical(one, other).is_lt()));
    let most = Name::parse(&["a"; 127].join(".")).unwrap();
    assert_eq!(canonical(&most, &most), Ordering::Equal);
    assert_eq!(canonical(&most, &names[0]), Ordering::Less);
}

fn some_zones() -> Zones {
    let mut a = testing::instance("a", "10.0.0.1", 80);
    a.addresses.push("2001:db8::1".parse().unwrap());
    a.priority = 3;
    for (key, value) in [("path", "C:\\x"), ("say", "\"a; b\""), ("umlaut", "ä\n")] {
        a.attributes.insert(key.into(), value.into());
    }
    a.ports.push(Port {
        name: Some("h2".parse().unwrap()),
        number: 443,
        protocol: Protocol::Tcp,
    });
    let gone = Instance {
        state: State::Down,
        ..testing::instance("b", "10.0.0.2", 80)
    };
    let config = "[[zones]]\ndomain = 'svc.internal'\nmax_answers = 2\n\
        ttl = '30s'\nhostmaster = 'jane.doe@example.com'\n";
    zones_by(
        config,
        [
            testing::service_of("web", [a]),
            testing::service_of("gone", [gone]),
        ],
    )
}

/// The parameters of HTTPS and SVCB records, where the file has `{}`.
const PARAMETERS: &str = "alpn=h2 no-default-alpn port=443 ipv4hint=10.0.0.1 ipv6hint=2001:db8::1";

const EXPECTED: &str = r#"; svc.internal. at version 7 of what is known
; an answer has 2 of a name's records of a type (max_answers)
$ORIGIN svc.internal.
$TTL 30
svc.internal. 30 IN SOA ns.svc.internal. jane\.doe.example.com. 7 3600 600 604800 5
svc.internal. 30 IN NS ns.svc.internal.
_gone._tcp.svc.internal. exists without a record
_h2._tcp.svc.internal. 30 IN PTR a._h2._tcp.web.svc.internal.
_web._tcp.svc.internal. 30 IN SRV 3 1 80 a.web.svc.internal.
_services._dns-sd._udp.svc.internal. 30 IN PTR _h2._tcp.svc.internal.
gone.svc.internal. exists without a record
b.gone.svc.internal. exists without a record
ns.svc.internal. 30 IN A 127.0.0.1
web.svc.internal. 30 IN A 10.0.0.1
web.svc.internal. 30 IN AAAA 2001:db8::1
web.svc.internal. 30 IN HTTPS 4 a.web.svc.internal. {}
_h2._tcp.web.svc.internal. 30 IN SRV 3 1 443 a.web.svc.internal.
_h2._tcp.web.svc.internal. 30 IN SVCB 4 a.web.svc.internal. {}
a._h2._tcp.web.svc.internal. 30 IN SRV 3 1 443 a.web.svc.internal.
a._h2._tcp.web.svc.internal. 30 IN TXT "path=C:\\x" "say=\"a; b\"" "umlaut=\195\164\010"
a.web.svc.internal. 30 IN A 10.0.0.1
a.web.svc.internal. 30 IN AAAA 2001:db8::1
a.web.svc.internal. 30 IN TXT "path=C:\\x" "say=\"a; b\"" "umlaut=\195\164\010"
"#;

#[test]
fn a_file_is_read_by_people_too() {
    let expected = EXPECTED
        .replace("{}", PARAMETERS)
        .replace("_gone._tcp.svc", "; _gone._tcp.svc")
        .replace("\ngone.svc", "\n; gone.svc")
        .replace("\nb.gone.svc", "\n; b.gone.svc");
    assert_eq!(some_zones().export("SVC.internal.").unwrap(), expected);
}

#[test]
fn other_domains_have_no_file() {
    for domain in ["web.svc.internal", "internal", "", "2.0.0.10.in-addr.arpa"] {
        assert_eq!(some_zones().export(domain), None, "{domain}");
    }
}

#[test]
fn what_is_not_known_yet_is_said_to_be_missing() {
    let unsynced = Snapshot::new(1, Default::default(), ["zk".into()].into());
    let file = Zones::build(&Config::default(), &unsynced).export("svc.internal");
    assert!(file.unwrap().contains("\n; not complete: waiting for zk\n"));
}

#[test]
fn names_that_another_zone_answers_are_left_out() {
    let config = toml::from_str(CONFIGS[0]).unwrap();
    let snapshot = testing::snapshot(7, [testing::service("a.b", &[("x", 1)])]);
    let zones = Zones::build(&config, &snapshot);
    let outer = zones.export("svc.internal").unwrap();
    assert!(!outer.contains("\na.b.svc.internal. "), "{outer}");
    assert!(
        outer.contains("\n; b.svc.internal. is a zone of its own\n"),
        "{outer}"
    );
    let inner = zones.export("b.svc.internal").unwrap();
    assert!(inner.contains("\na.b.b.svc.internal. "), "{inner}");
}

#[test]
fn a_network_has_a_file_too() {
    let config = "[reverse]\nnetworks = ['10.0.0.0/8', '2001:db8::/32']\nttl = '9s'\n\
        [[zones]]\ndomain = 'svc.internal'\n";
    let mut a = testing::instance("a", "10.0.0.1", 80);
    a.addresses.push("2001:db8::1".parse().unwrap());
    let services = [testing::service_of(
        "web",
        [a, testing::instance("b", "192.0.2.1", 1)],
    )];
    let zones = zones_by(config, services);
    let expected = "; 10.in-addr.arpa. at version 7 of what is known\n$ORIGIN 10.in-addr.arpa.\n\
        $TTL 9\n10.in-addr.arpa. 9 IN SOA ns.svc.internal. hostmaster.svc.internal. 7 3600 600 604800 5\n\
        10.in-addr.arpa. 9 IN NS ns.svc.internal.\n\
        1.0.0.10.in-addr.arpa. 9 IN PTR a.web.svc.internal.\n";
    assert_eq!(zones.export("10.in-addr.arpa").unwrap(), expected);
    let v6 = zones.export("8.b.d.0.1.0.0.2.ip6.arpa").unwrap();
    assert!(v6.contains("\n1.0.0.0.0.0.0.0.0.0.0.0."), "{v6}");
    let summaries = zones.summaries().into_iter();
    let sizes: Vec<_> = summaries.map(|zone| (zone.names, zone.records)).collect();
    assert_eq!(sizes, [(6, 11), (2, 3), (2, 3)]);
}

#[test]
fn a_wildcard_is_a_record_below_its_service() {
    let config = "[[zones]]\ndomain = 'svc.internal'\nwildcard = true\n";
    let services = [
        testing::service("web", &[("a", 1)]),
        testing::service("gone", &[]),
    ];
    let file = zones_by(config, services).export("svc.internal").unwrap();
    assert!(
        file.contains("\n*.web.svc.internal. 5 IN A 127.0.0.1\n"),
        "{file}"
    );
    assert!(
        file.contains("\n; *.gone.svc.internal. exists without"),
        "{file}"
    );
    assert!(!file.contains("\n*.a.web"), "{file}");
}

#[test]
fn what_has_no_form_of_its_own_is_written_in_numbers() {
    let text = |rtype, content: &[u8]| text::Record(rtype, content).to_string();
    assert_eq!(text(rtype::CNAME, b"\x01a\x01.\x00"), r"CNAME a.\..");
    assert_eq!(text(rtype::PTR, b"\x03\x01 @\x00"), r"PTR \001\032\@.");
    assert_eq!(text(rtype::NS, b"\x00"), "NS .");
    assert_eq!(text(65_280, &[]), r"TYPE65280 \# 0");
    assert_eq!(text(rtype::HINFO, &[1, 0xab]), r"TYPE13 \# 2 01ab");
    for (rtype, malformed) in [
        (rtype::A, &[1, 2, 3][..]),
        (rtype::NS, b"\x01"),
        (rtype::PTR, b"\x00\x00"),
        (rtype::SRV, &[0; 5]),
        (rtype::TXT, &[2, b'a']),
        (rtype::SVCB, &[0, 1, 0, 0]),
        (rtype::SVCB, &[0, 1, 0, 0, 4, 0, 0]),
        (rtype::SVCB, &[0, 1, 0, 0, 1, 0, 3, 2, b'a', b',']),
        (rtype::HTTPS, &[0, 1, 0, 0, 7, 0, 0]),
    ] {
        let start = format!("TYPE{rtype} \\# {} ", malformed.len());
        assert!(text(rtype, malformed).starts_with(&start), "{malformed:?}");
    }
}
