//! What EDNS options do to an answer.

use registry::Snapshot;

use super::{tests::some_zones, *};
use crate::{
    Config,
    testing::{Ask, Reply},
};

const SUBNET: u16 = 8;
const EXTENDED_ERROR: u16 = 15;

fn web() -> Ask {
    Ask::new("web.svc.internal", rtype::A)
}

fn with(options: &[(u16, &[u8])]) -> Reply {
    web().options(options).of(&some_zones())
}

#[test]
fn a_client_subnet_comes_back_and_the_answer_is_for_everybody() {
    for subnet in [
        &[0, 1, 0, 0][..],
        &[0, 1, 24, 0, 192, 0, 2],
        &[0, 1, 25, 0, 192, 0, 2, 0x80],
        &[0, 1, 32, 0, 192, 0, 2, 1],
        &[0, 2, 0, 0],
        &[0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 1, 2, 3],
    ] {
        let reply = with(&[(SUBNET, subnet)]);
        assert_eq!(reply.rcode(), "NOERROR", "{subnet:?}");
        assert_eq!(reply.options(), [(SUBNET, subnet.to_vec())]);
        assert_eq!(reply.answers().len(), 2);
    }
}

#[test]
fn a_client_subnet_that_makes_no_sense_is_a_format_error() {
    for subnet in [
        &[][..],
        &[0, 1, 0],
        &[0, 0, 0, 0],
        &[0, 3, 0, 0],
        &[1, 1, 0, 0],
        &[0, 1, 24, 1, 192, 0, 2],
        &[0, 1, 24, 0, 192, 0],
        &[0, 1, 24, 0, 192, 0, 2, 0],
        &[0, 1, 25, 0, 192, 0, 2, 0x81],
        &[0, 1, 33, 0, 192, 0, 2, 1, 0],
        &[
            0, 2, 129, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ],
    ] {
        let reply = with(&[(SUBNET, subnet)]);
        assert_eq!(reply.rcode(), "FORMERR", "{subnet:?}");
        assert_eq!(reply.options(), []);
        assert!(reply.message.answers.is_empty());
    }
}

#[test]
fn the_first_of_two_options_holds() {
    let subnet = [0, 1, 8, 0, 10];
    let reply = with(&[(SUBNET, &subnet), (SUBNET, &[9]), (12, &[0; 9])]);
    assert_eq!(reply.rcode(), "NOERROR");
    assert_eq!(reply.options(), [(SUBNET, subnet.to_vec())]);
}

#[test]
fn what_is_broken_before_the_opt_record_is_told_with_edns() {
    let with = |change: &dyn Fn(&mut Ask)| {
        let mut ask = web().edns(1232, 0, 0, &[]);
        change(&mut ask);
        ask
    };
    let record = [&[0, 0, 16, 0, 1][..], &[0; 6]].concat();
    let before_opt = |ask: &mut Ask| ask.rest = [&record, &ask.rest[..]].concat();
    let cases = [
        with(&|ask| {
            ask.counts[0] = 2;
            ask.rest = [&[0, 0, 1, 0, 1], &ask.rest[..]].concat();
        }),
        with(&|ask| {
            ask.counts[1] = 1;
            before_opt(ask);
        }),
        with(&|ask| {
            ask.counts[2] = 1;
            before_opt(ask);
        }),
        with(&|ask| ask.name = vec![0xc0, 12]),
        web().edns(1232, 0, 0, &[0, 9, 0, 8, 1]),
        web().edns(1232, 0, 0, &[0]),
    ];
    for ask in cases {
        let reply = ask.of(&some_zones());
        assert_eq!(reply.rcode(), "FORMERR", "{ask:?}");
        assert_eq!(reply.options(), []);
    }
}

#[test]
fn another_version_may_have_another_form_of_options() {
    let reply = web().edns(1232, 1, 0, &[0, 8, 0]).of(&some_zones());
    assert_eq!(reply.rcode(), "BADVERS");
    assert_eq!(reply.options(), []);
}

fn extended_error(ask: &Ask, zones: &Zones) -> Option<u16> {
    assert!(ask.of(zones).message.edns.is_none());
    match &ask.clone().edns(512, 0, 0, &[]).of(zones).options()[..] {
        [] => None,
        [(EXTENDED_ERROR, number)] => Some(u16::from_be_bytes(number[..].try_into().unwrap())),
        other => panic!("{other:?}"),
    }
}

#[test]
fn clients_that_speak_edns_are_told_why_there_is_no_answer() {
    let zones = some_zones();
    let error = |name: &str, qtype| extended_error(&Ask::new(name, qtype), &zones);
    assert_eq!(error("web.svc.internal", rtype::A), None);
    assert_eq!(error("none.svc.internal", rtype::A), None);
    assert_eq!(error("example.com", rtype::A), Some(20));
    assert_eq!(error("svc.internal", rtype::AXFR), Some(18));
    let mut hesiod = web();
    hesiod.class = 4;
    assert_eq!(extended_error(&hesiod, &zones), Some(20));
    let waiting = Snapshot::new(1, Default::default(), ["main".into()].into());
    let waiting = Zones::build(&Config::default(), &waiting);
    assert_eq!(extended_error(&web(), &waiting), Some(14));
}
