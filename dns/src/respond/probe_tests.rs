//! The probes of RFC 8906, section 8, and whatever else may come.

use std::sync::Arc;

use proptest::prelude::*;

use super::{
    tests::{any_query, broken_query, limit, some_zones},
    *,
};
use crate::{
    Config, Cookies,
    testing::{Ask, Reply, option, reply},
};

const RD: u16 = 0x0100;
const Z: u16 = 0x0040;
const AD: u16 = 0x0020;
const CD: u16 = 0x0010;

/// An option that nobody has defined.
const UNKNOWN: u16 = 100;

/// A flag of EDNS that nobody has defined.
const UNKNOWN_FLAG: u16 = 0x0040;

const DO: u16 = 0x8000;

/// Zones with everything that EDNS has.
fn full_zones(required: bool) -> Zones {
    let text = format!(
        "nsid = \"ns-1\"\ncookies.required = {required}\nchaos = {{ version = \"1\", id = \"2\" }}"
    );
    let config: Config = toml::from_str(&text).unwrap();
    let zones = Zones::build(&config, some_zones().snapshot());
    zones.with_cookies(Arc::new(Cookies::new([7; 16])))
}

/// A question about the top of the zone without flags.
fn top(qtype: u16) -> Ask {
    let mut ask = Ask::new("svc.internal", qtype);
    ask.flags = 0;
    ask
}

/// Probes with a query by both transports and from zones with and without options; returns the
/// answers, of which all have to have QR.
fn probe(ask: &Ask) -> Vec<Reply> {
    let transports = [Transport::Udp, Transport::Tcp];
    let zones = [some_zones(), full_zones(false)];
    let both = transports
        .iter()
        .flat_map(|one| zones.iter().map(move |zones| (*one, zones)));
    both.map(|(transport, zones)| {
        let reply = ask.by(zones, transport, 1);
        assert_eq!(flags(&reply) & 0x8000, 0x8000);
        reply
    })
    .collect()
}

fn flags(reply: &Reply) -> u16 {
    u16::from_be_bytes([reply.bytes[2], reply.bytes[3]])
}

fn has_soa(reply: &Reply) -> bool {
    matches!(&reply.answers()[..], [one] if one.contains(" SOA "))
}

/// The flags of the answer's OPT record, which must be of version 0.
fn edns_flags(reply: &Reply) -> u16 {
    let edns = reply.message.edns.as_ref().unwrap();
    assert_eq!(edns.version(), 0);
    u16::from(*edns.flags())
}

/// Checks that the answer to a query about the top of the zone is its SOA record.
fn expect_soa(ask: &Ask, what: &str) -> Vec<Reply> {
    let replies = probe(ask);
    for reply in &replies {
        assert_eq!(reply.rcode(), "NOERROR", "{what}");
        assert!(has_soa(reply) && reply.authoritative(), "{what}");
    }
    replies
}

#[test]
fn plain_queries_are_answered() {
    // Sections 8.1.1 and 8.1.5.
    for reply in expect_soa(&top(rtype::SOA), "plain") {
        assert!(reply.message.edns.is_none());
    }
}

#[test]
fn an_unknown_type_is_one_that_the_name_does_not_have() {
    // Section 8.1.2.
    for reply in probe(&top(1000)) {
        assert_eq!(reply.rcode(), "NOERROR");
        assert!(reply.answers().is_empty() && reply.authoritative());
        assert_eq!(reply.authorities().len(), 1);
    }
}

#[test]
fn flags_do_no_harm_and_only_those_that_must_are_repeated() {
    // Section 8.1.3. Of AD nothing is known here, and Z is always 0.
    for (sent, repeated) in [
        (CD, CD),
        (AD, 0),
        (Z, 0),
        (RD, RD),
        (CD | AD | Z | RD, CD | RD),
    ] {
        let mut ask = top(rtype::SOA);
        ask.flags = sent;
        for reply in expect_soa(&ask, "flags") {
            assert_eq!(flags(&reply) & (RD | Z | AD | CD), repeated, "{sent:04x}");
        }
    }
}

#[test]
fn an_unknown_opcode_is_not_implemented() {
    // Section 8.1.4: nothing but a header.
    let mut ask = top(0);
    ask.flags = 15 << 11;
    ask.counts = [0; 4];
    for transport in [Transport::Udp, Transport::Tcp] {
        for zones in [some_zones(), full_zones(true)] {
            let bytes = &ask.bytes()[..HEADER_BYTES];
            let reply = reply(&zones, bytes, transport, 1).unwrap();
            assert_eq!(reply.rcode(), "NOTIMP");
            assert!(!reply.authoritative());
        }
    }
}

#[test]
fn edns_is_answered_whatever_options_and_flags_there_are() {
    // Sections 8.2.1, 8.2.3, 8.2.4 and 8.2.8.
    let unknown = option(UNKNOWN, b"what");
    for (what, flags, options) in [
        ("minimal", 0, &[][..]),
        ("an unknown option", 0, &unknown[..]),
        ("an unknown flag", UNKNOWN_FLAG, &[]),
        ("DO", DO, &[]),
    ] {
        let ask = top(rtype::SOA).edns(4096, 0, flags, options);
        for reply in expect_soa(&ask, what) {
            assert_eq!(edns_flags(&reply), flags & DO, "{what}");
            assert_eq!(reply.options(), []);
        }
    }
}

#[test]
fn an_unknown_version_of_edns_is_told_the_one_that_is_known() {
    // Sections 8.2.2, 8.2.5, 8.2.6 and 8.2.9.
    let unknown = option(UNKNOWN, b"what");
    for (what, flags, options) in [
        ("version 1", 0, &[][..]),
        ("an unknown flag", UNKNOWN_FLAG, &[]),
        ("an unknown option", 0, &unknown[..]),
        ("DO", DO, &[]),
    ] {
        for reply in probe(&top(rtype::SOA).edns(4096, 1, flags, options)) {
            assert_eq!(reply.rcode(), "BADVERS", "{what}");
            assert!(reply.answers().is_empty() && !reply.authoritative());
            assert_eq!(edns_flags(&reply), flags & DO, "{what}");
            assert_eq!(reply.options(), []);
        }
    }
}

#[test]
fn an_answer_that_is_cut_has_an_opt_record() {
    // Section 8.2.7, with what is too large here.
    let instance = |n: u32| {
        let host = format!("10.0.1.{n}");
        registry::testing::instance(&format!("i{n}"), &host, 80)
    };
    let zones =
        crate::testing::zones([registry::testing::service_of("web", (1..99).map(instance))]);
    let ask = Ask::new("web.svc.internal", rtype::A).edns(512, 0, DO, &[]);
    let reply = ask.of(&zones);
    assert_eq!(reply.rcode(), "NOERROR");
    assert!(reply.truncated() && edns_flags(&reply) == DO);
    assert!(reply.bytes.len() <= 512);
    let reply = ask.by(&zones, Transport::Tcp, 1);
    assert!(!reply.truncated() && edns_flags(&reply) == DO);
    assert_eq!(reply.message.answers.len(), 98);
}

#[test]
fn several_options_are_answered_each_by_itself() {
    // Section 8.2.10: a cookie, NSID, EXPIRE and a client subnet.
    let ask = top(rtype::SOA).options(&[(10, &[1; 8]), (3, &[]), (9, &[]), (8, &[0, 1, 0, 0])]);
    for reply in expect_soa(&ask, "several options") {
        assert_eq!(edns_flags(&reply), 0);
        let codes: Vec<_> = reply.options().iter().map(|(code, _)| *code).collect();
        assert!(codes == [8] || codes == [3, 8, 10], "{codes:?}");
    }
}

#[test]
fn the_probes_pass_over_tcp_where_cookies_are_required() {
    for ask in [top(rtype::SOA), top(rtype::SOA).edns(4096, 0, 0, &[])] {
        let reply = ask.by(&full_zones(true), Transport::Tcp, 1);
        assert!(has_soa(&reply) && reply.authoritative());
    }
}

/// Options that are known, by and large with a content that makes sense.
fn any_options() -> impl Strategy<Value = Vec<u8>> {
    let bytes = |len| prop::collection::vec(any::<u8>(), len);
    let subnet = (1..3_u8, 0..129_u8).prop_map(|(family, bits)| {
        [
            &[0, family, bits, 0][..],
            &vec![0; usize::from(bits.div_ceil(8))],
        ]
        .concat()
    });
    let content = prop_oneof![
        bytes(0..1),
        bytes(8..9),
        bytes(16..41),
        subnet,
        bytes(0..50)
    ];
    let code = prop::sample::select(vec![3, 8, 9, 10, 11, 12, 15, UNKNOWN]);
    let options = prop::collection::vec((code, content), 0..5);
    options.prop_map(|options| {
        let options = options.iter().map(|(code, content)| option(*code, content));
        options.collect::<Vec<_>>().concat()
    })
}

/// A query in any class with options.
fn query_with_options() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec![
        "web.svc.internal",
        "_web._tcp.svc.internal",
        "none.svc.internal",
        "example.com",
        "version.bind",
        "id.server",
    ]);
    let parts = (
        name,
        prop::sample::select(vec![1_u16, 6, 16, 33, 255]),
        1..4_u16,
    );
    (parts, any::<u16>(), any_options()).prop_map(|((name, qtype, class), payload, options)| {
        let mut ask = Ask::new(name, qtype).edns(payload, 0, 0, &options);
        ask.class = class;
        ask.bytes()
    })
}

proptest! {
    #[test]
    fn with_all_options_too_every_answer_can_be_read_and_is_short_enough(
        query in prop_oneof![
            query_with_options(),
            any_query(),
            broken_query(query_with_options()),
            prop::collection::vec(any::<u8>(), 0..600),
        ],
        tcp: bool,
        required: bool,
    ) {
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        let Some(reply) = reply(&full_zones(required), &query, transport, 1) else {
            prop_assert!(query.len() < HEADER_BYTES || query[2] & 0x80 != 0);
            return Ok(());
        };
        prop_assert_eq!(&reply.bytes[..2], &query[..2]);
        prop_assert!(flags(&reply) & 0x8000 != 0);
        prop_assert!(reply.bytes.len() <= limit(&query, transport));
        prop_assert_eq!(
            reply.message.edns.is_some(),
            Query::parse(&query).is_some_and(|query| query.edns.is_some())
        );
    }
}
