//! What EDNS options do to an answer.

use std::sync::Arc;

use registry::Snapshot;

use super::{
    tests::{EXTENDED_ERROR_BYTES, some_zones},
    *,
};
use crate::{
    Config, Cookies,
    testing::{Ask, KEEPALIVE, Reply, option, reply},
};

const SUBNET: u16 = 8;
pub(super) const EXTENDED_ERROR: u16 = 15;

fn web() -> Ask {
    Ask::new("web.svc.internal", rtype::A)
}

fn with(options: &[(u16, &[u8])]) -> Reply {
    web().options(options).of(&some_zones())
}

#[test]
fn edns_is_answered_with_edns() {
    let ask = Ask::new("web.svc.internal", rtype::A);
    assert!(ask.of(&some_zones()).message.edns.is_none());
    let cookie = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    let reply = ask.clone().edns(4096, 0, 0x8000, &cookie).of(&some_zones());
    let edns = reply.message.edns.as_ref().unwrap();
    assert_eq!((edns.max_payload(), edns.version()), (1232, 0));
    assert!(edns.flags().dnssec_ok);
    assert!(
        edns.options().as_ref().is_empty(),
        "options we don't know are ignored"
    );
    assert_eq!(reply.answers().len(), 2);
    let reply = ask.edns(1232, 1, 0, &[]).of(&some_zones());
    assert_eq!(reply.rcode(), "BADVERS");
    assert_eq!(reply.message.edns.as_ref().unwrap().version(), 0);
    assert_eq!(reply.message.answers.len(), 0);
}

#[test]
fn a_message_without_a_question_still_gets_an_opt_for_its_own() {
    let mut ask = Ask::new("", 0).edns(1232, 0, 0, &[]);
    ask.counts[0] = 0;
    for (opcode, rcode) in [(0, "FORMERR"), (15, "NOTIMP")] {
        ask.flags = opcode << 11;
        let mut bytes = ask.bytes();
        bytes.drain(HEADER_BYTES..HEADER_BYTES + 5);
        let reply = reply(&some_zones(), &bytes, Transport::Udp, 1).unwrap();
        assert_eq!(reply.rcode(), rcode);
        assert!(reply.message.edns.is_some());
    }
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
    let nothing = with(&[(SUBNET, &[0; 4])]);
    assert_eq!((nothing.rcode(), nothing.options()), ("NOERROR", vec![]));
}

#[test]
fn a_client_subnet_that_makes_no_sense_is_a_format_error() {
    for subnet in [
        &[][..],
        &[0, 1, 0],
        &[0, 0, 8, 0, 0],
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

pub(super) fn extended_error(ask: &Ask, zones: &Zones) -> Option<u16> {
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

const COOKIE: u16 = 10;

/// `some_zones` with cookies.
fn with_cookies(config: &str) -> Zones {
    let config: Config = toml::from_str(config).unwrap();
    let zones = Zones::build(&config, some_zones().snapshot());
    zones.with_cookies(Arc::new(Cookies::new([7; 16])))
}

/// The code, how many records there are, and the cookie.
fn exchange(zones: &Zones, ask: &Ask, transport: Transport) -> (&'static str, usize, Vec<u8>) {
    let reply = ask.by(zones, transport, 1);
    let [(COOKIE, cookie)] = &reply.options()[..] else {
        panic!("{reply:?}");
    };
    (reply.rcode(), reply.message.answers.len(), cookie.clone())
}

fn cookie(zones: &Zones, cookie: &[u8]) -> (&'static str, usize, Vec<u8>) {
    exchange(zones, &web().options(&[(COOKIE, cookie)]), Transport::Udp)
}

fn kind(reply: &Reply) -> CookieKind {
    match reply.outcome {
        Outcome::Answered { cookie, .. } => cookie,
        Outcome::Forwarded { .. } | Outcome::Dropped => panic!("{reply:?}"),
    }
}

#[test]
fn who_sends_a_cookie_gets_one_and_is_known_by_it() {
    let zones = with_cookies("");
    let (rcode, answers, first) = cookie(&zones, &[1; 8]);
    assert_eq!((rcode, answers, first.len()), ("NOERROR", 2, 24));
    assert_eq!(first[..8], [1; 8]);
    for (sent, expected) in [
        (&[1; 8][..], CookieKind::ClientOnly),
        (&first, CookieKind::Valid),
        (&[1; 24], CookieKind::Invalid),
        (&[1; 16], CookieKind::Invalid),
        (&[1; 40], CookieKind::Invalid),
    ] {
        let reply = web().options(&[(COOKIE, sent)]).of(&zones);
        assert_eq!(kind(&reply), expected);
        assert_eq!(cookie(&zones, sent), ("NOERROR", 2, first.clone()));
    }
    assert_eq!(kind(&web().of(&zones)), CookieKind::Absent);
    assert_eq!(web().options(&[]).of(&zones).options(), []);
}

#[test]
fn without_a_secret_cookies_are_an_option_that_is_not_known() {
    let reply = with(&[(COOKIE, &[1; 8])]);
    assert_eq!((reply.rcode(), reply.options()), ("NOERROR", vec![]));
    assert_eq!(kind(&reply), CookieKind::Absent);
}

#[test]
fn a_cookie_of_a_length_that_cannot_be_is_a_format_error() {
    for len in [0, 7, 9, 15, 41] {
        let ask = web().options(&[(COOKIE, &vec![1; len]), (SUBNET, &[0, 1, 0, 0])]);
        let reply = ask.of(&with_cookies(""));
        assert_eq!(reply.rcode(), "FORMERR", "{len}");
        assert_eq!(reply.options(), [(SUBNET, vec![0, 1, 0, 0])]);
    }
}

#[test]
fn where_cookies_are_required_others_are_sent_for_one_or_to_tcp() {
    let zones = with_cookies("cookies = { required = true }");
    let (rcode, answers, first) = cookie(&zones, &[1; 8]);
    assert_eq!((rcode, answers), ("BADCOOKIE", 0));
    assert_eq!(cookie(&zones, &[1; 24]), ("BADCOOKIE", 0, first.clone()));
    assert_eq!(cookie(&zones, &first), ("NOERROR", 2, first));
    for ask in [web(), web().edns(4096, 0, 0, &[])] {
        let reply = ask.of(&zones);
        assert_eq!(reply.rcode(), "NOERROR");
        assert!(reply.truncated() && reply.message.answers.is_empty());
        let reply = ask.by(&zones, Transport::Tcp, 1);
        assert!(!reply.truncated() && reply.answers().len() == 2);
    }
    let bad = web().options(&[(COOKIE, &[1; 24])]);
    let (rcode, answers, _) = exchange(&zones, &bad, Transport::Tcp);
    assert_eq!((rcode, answers), ("NOERROR", 2));
}

#[test]
fn nothing_but_a_cookie_can_be_asked_for() {
    for config in ["", "cookies = { required = true }"] {
        let zones = with_cookies(config);
        let ask = |cookie: &[u8]| {
            let mut ask = web().options(&[(COOKIE, cookie)]);
            ask.counts[0] = 0;
            let mut bytes = ask.bytes();
            bytes.drain(HEADER_BYTES..HEADER_BYTES + ask.name.len() + 4);
            let reply = reply(&zones, &bytes, Transport::Udp, 1).unwrap();
            let [(COOKIE, cookie)] = &reply.options()[..] else {
                panic!("{reply:?}");
            };
            (reply.rcode(), cookie.clone())
        };
        let (rcode, first) = ask(&[1; 8]);
        assert_eq!(rcode, "NOERROR");
        assert_eq!(ask(&first), ("NOERROR", first.clone()));
        assert_eq!(ask(&[1; 24]), ("BADCOOKIE", first));
    }
}

const NSID: u16 = 3;

fn chaos(name: &str, qtype: u16) -> Ask {
    let mut ask = Ask::new(name, qtype);
    ask.class = 3;
    ask
}

#[test]
fn the_server_has_a_name_for_those_who_ask() {
    let named = with_cookies("nsid = \"ns-1\"");
    for content in [&[][..], b"ignored"] {
        let ask = web().options(&[(NSID, content)]);
        assert_eq!(ask.of(&named).options(), [(NSID, b"ns-1".to_vec())]);
        assert_eq!(ask.of(&some_zones()).options(), []);
    }
    assert_eq!(web().options(&[]).of(&named).options(), []);
}

#[test]
fn a_server_tells_of_itself_what_it_is_told_to() {
    let zones = with_cookies("[chaos]\nversion = \"7.1\"\nid = \"ns-1\"\n");
    for (name, text) in [
        ("version.bind", "7.1"),
        ("VERSION.server", "7.1"),
        ("id.Server", "ns-1"),
        ("hostname.bind", "ns-1"),
    ] {
        for qtype in [rtype::TXT, rtype::ANY] {
            let reply = chaos(name, qtype).of(&zones);
            assert_eq!(
                (reply.rcode(), reply.order()),
                ("NOERROR", vec![text.into()])
            );
            assert_eq!(u16::from(reply.message.answers[0].dns_class), 3);
            assert!(reply.authoritative());
        }
        let reply = chaos(name, rtype::A).of(&zones);
        assert_eq!((reply.rcode(), reply.order()), ("NOERROR", vec![]));
        let silent = chaos(name, rtype::TXT);
        assert_eq!(silent.of(&some_zones()).rcode(), "REFUSED");
        assert_eq!(extended_error(&silent, &some_zones()), Some(18));
    }
    let other = chaos("authors.bind", rtype::TXT);
    assert_eq!(other.of(&zones).rcode(), "REFUSED");
}

#[test]
fn the_longest_of_everything_has_room_in_the_smallest_answer() {
    let (nsid, text) = ("n".repeat(64), "v".repeat(255));
    let zones = with_cookies(&format!("nsid = \"{nsid}\"\nchaos.id = \"{text}\"\n"));
    let subnet = [&[0, 2, 128, 0][..], &[1; 16]].concat();
    let options: [(u16, &[u8]); 3] = [(NSID, &[]), (SUBNET, &subnet), (COOKIE, &[1; 8])];
    let options = options
        .map(|(code, content)| option(code, content))
        .concat();
    let reply = chaos("hostname.bind", rtype::TXT)
        .edns(512, 0, 0, &options)
        .of(&zones);
    assert_eq!((reply.truncated(), reply.order()), (false, vec![text]));
    assert_eq!(reply.options().len(), 3);
    let label = "x".repeat(60);
    let long = [&*label, &label, &label, &label[..57], "svc.internal"].join(".");
    let reply = Ask::new(&long, rtype::A)
        .edns(512, 0, 0, &options)
        .of(&zones);
    assert_eq!((reply.rcode(), reply.truncated()), ("NXDOMAIN", false));
    assert_eq!(reply.message.authorities.len(), 1);
    assert!(reply.bytes.len() <= 512 - EXTENDED_ERROR_BYTES);
}

#[test]
fn over_tcp_clients_are_told_how_long_a_connection_is_kept() {
    let asked: [(u16, &[u8]); 1] = [(11, &[])];
    let zones = with_cookies("");
    let options = |ask: Ask, transport| ask.by(&zones, transport, 1).options();
    assert_eq!(
        options(web().options(&asked), Transport::Tcp),
        [(11, KEEPALIVE.to_be_bytes().to_vec())]
    );
    assert_eq!(options(web().options(&asked), Transport::Udp), []);
    assert_eq!(options(web().options(&[]), Transport::Tcp), []);
}
