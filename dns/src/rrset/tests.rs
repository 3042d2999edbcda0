use std::collections::BTreeMap;

use registry::testing;

use super::*;
use crate::{
    name::Name,
    wire::{Query, rtype},
};

/// The set alone in an answer of at most `limit` bytes: its length and whether it was cut.
fn write(set: &RrSet, limit: usize) -> (usize, bool) {
    let query = crate::testing::Ask::new("a", 1).bytes();
    let query = Query::parse(&query).unwrap();
    let mut out = [0; 2000];
    let mut answer = Answer::start(&query, None, &mut out, limit).unwrap();
    let start = answer.position();
    set.write(&mut answer, 9);
    (answer.position() - start, answer.is_truncated())
}

#[test]
fn a_set_is_written_as_far_as_whole_records_go() {
    let hosts = (1..=3).map(|n| (format!("10.0.0.{n}").parse().unwrap(), n));
    let weighted = &addresses(hosts.clone(), 5)[0];
    let equal = &addresses(hosts.map(|(address, _)| (address, 4)), 5)[0];
    let question = 12 + 3 + 4;
    for set in [weighted, equal] {
        for (room, expected) in [
            (48, (48, false)),
            (47, (32, true)),
            (16, (16, true)),
            (15, (0, true)),
        ] {
            assert_eq!(write(set, question + room), expected);
        }
    }
}

#[test]
fn addresses_are_split_by_family_and_each_comes_once() {
    let hosts = ["10.0.0.1", "::1", "10.0.0.1"].map(|host| (host.parse().unwrap(), 1));
    let sets = addresses(hosts.into_iter(), 5);
    let kinds: Vec<_> = sets.iter().map(|set| (set.rtype, set.count())).collect();
    assert_eq!(kinds, [(rtype::A, 1), (rtype::AAAA, 1)]);
    let back: Vec<_> = sets.iter().flat_map(RrSet::addresses).collect();
    assert_eq!(
        back,
        ["10.0.0.1", "::1"].map(|host| host.parse::<IpAddr>().unwrap())
    );
    assert_eq!(addresses(std::iter::empty(), 5), []);
}

#[test]
fn huge_weights_do_not_overflow() {
    let hosts = (0..2000_u32).map(|n| {
        (
            std::net::Ipv4Addr::from(n).into(),
            u16::MAX - (n % 2) as u16,
        )
    });
    let sets = addresses(hosts, 5);
    assert_eq!(write(&sets[0], 19 + 1600), (1600, true));
}

#[test]
fn attributes_that_cannot_be_written_are_left_out() {
    let text = |attributes: &[(&str, &str)]| {
        let attributes: BTreeMap<_, _> = attributes
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect();
        let set = txt(&attributes, 5);
        set.record(0)[12..].to_vec()
    };
    assert_eq!(text(&[]), [0]);
    assert_eq!(text(&[("a", "1"), ("b", "é")]), "\x03a=1\x04b=é".as_bytes());
    let long = "v".repeat(253);
    assert_eq!(
        text(&[
            ("", "1"),
            ("a=b", "1"),
            ("é", "1"),
            ("k", &format!("{long}v"))
        ]),
        [0]
    );
    assert_eq!(text(&[("k", &long)]).len(), 256);
    let many: Vec<_> = (0..100).map(|n| format!("key{n:03}")).collect();
    let many: Vec<_> = many.iter().map(|key| (&key[..], &long[..200])).collect();
    assert!((8000..8193).contains(&text(&many).len()));
}

#[test]
fn empty_sets_are_none() {
    assert_eq!(srv(&[], 5), None);
    assert_eq!(ptr(std::iter::empty(), 5), None);
    let instance = testing::instance("a", "10.0.0.1", 80);
    let target = Name::parse("a.b").unwrap();
    let one = Srv {
        instance: &instance,
        port: 80,
        target,
    };
    assert_eq!(srv(&[one], 5).unwrap().count(), 1);
}
