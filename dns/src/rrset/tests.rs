use std::collections::BTreeMap;

use super::*;
use crate::{
    name::Name,
    wire::{Query, rtype},
};

/// The set alone in an answer of at most `limit` bytes: its length and whether it was cut.
fn write(set: &RrSet, limit: usize) -> (usize, bool) {
    write_by(set, limit, 9)
}

fn write_by(set: &RrSet, limit: usize, seed: u64) -> (usize, bool) {
    let query = crate::testing::Ask::new("a", 1).bytes();
    let query = Query::parse(&query).unwrap();
    let mut out = [0; 2000];
    let mut answer = Answer::start(&query, None, &mut out, limit).unwrap();
    let start = answer.position();
    set.write(&mut answer, seed);
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
fn no_answer_is_empty_where_one_of_the_records_fits() {
    let names = [vec!["x"; 60].join("."), "y".to_owned()].map(|name| Name::parse(&name).unwrap());
    let set = ptr(names.iter(), 5).unwrap();
    let question = 12 + 3 + 4;
    // Either is the first.
    for seed in [0, u64::from(u32::MAX)] {
        assert_eq!(write_by(&set, question + 100, seed), (12 + 3, true));
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
            100 * (u32::from(u16::MAX) - n % 2),
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
    let target = Name::parse("a.b").unwrap();
    let one = Srv {
        priority: 0,
        weight: 1,
        port: 80,
        target,
        addresses: &[],
    };
    assert_eq!(srv(&[one], 5).unwrap().count(), 1);
    assert_eq!(svcb(rtype::HTTPS, &[], 5), None);
}

/// SRV records of instances with these priorities and weights; their ports count from 1.
fn ports(priorities_and_weights: &[(u16, u16)]) -> RrSet {
    let records = (1..)
        .zip(priorities_and_weights)
        .map(|(port, (priority, weight))| Srv {
            priority: *priority,
            weight: *weight,
            port,
            target: Name::parse(&format!("p{port}.b")).unwrap(),
            addresses: &[],
        });
    srv(&records.collect::<Vec<_>>(), 5).unwrap()
}

/// The places of the records that an answer has, by seed.
fn chosen(set: &RrSet, seed: u64) -> Vec<usize> {
    let mut chosen = Vec::new();
    set.each(seed, &mut |index| {
        chosen.push(index);
        true
    });
    chosen
}

#[test]
fn a_limit_leaves_records_out_and_is_no_truncation() {
    let hosts = (1..=3).map(|n| (format!("10.0.0.{n}").parse().unwrap(), n));
    let weighted = addresses(hosts.clone(), 5).remove(0);
    let equal = addresses(hosts.map(|(address, _)| (address, 4)), 5).remove(0);
    let question = 12 + 3 + 4;
    for mut set in [weighted, equal] {
        set.set_limit(2);
        assert_eq!((set.count(), set.answered()), (3, 2));
        for (room, expected) in [(48, (32, false)), (32, (32, false)), (31, (16, true))] {
            assert_eq!(write(&set, question + room), expected);
        }
        for no_limit in [0, 3, 4] {
            set.set_limit(no_limit);
            assert_eq!(set.answered(), 3);
            assert_eq!(write(&set, question + 48), (48, false));
        }
    }
}

#[test]
fn a_limited_answer_has_each_record_as_often_as_its_weight_says() {
    let weights = [1, 2, 7];
    let hosts = (1..).zip(weights);
    let hosts = hosts.map(|(n, weight)| (format!("10.0.0.{n}").parse().unwrap(), weight));
    let mut set = addresses(hosts, 5).remove(0);
    set.set_limit(1);
    let rounds = 10_000;
    let mut seeds = fastrand::Rng::with_seed(3);
    let mut counts = [0; 3];
    for _ in 0..rounds {
        let [one] = chosen(&set, seeds.u64(..))[..] else {
            panic!("not one");
        };
        counts[one] += 1;
    }
    for (count, weight) in counts.into_iter().zip(weights) {
        let ratio = f64::from(count) / (f64::from(weight) / 10.0 * f64::from(rounds));
        assert!((0.9..1.1).contains(&ratio), "{counts:?}");
    }
}

#[test]
fn a_limited_answer_has_spare_ports_only_behind_the_first() {
    let mut set = ports(&[(1, 1), (0, 0), (1, 9), (0, 3), (2, 1)]);
    for seed in 0..100 {
        let firsts = |max| {
            let mut set = set.clone();
            set.set_limit(max);
            let mut chosen = chosen(&set, seed << 20);
            chosen.sort_unstable();
            chosen
        };
        assert!([[1], [3]].iter().any(|one| firsts(1) == one));
        assert_eq!(firsts(2), [1, 3]);
        assert!([[0, 1, 3], [1, 2, 3]].iter().any(|some| firsts(3) == some));
        assert_eq!(firsts(4), [0, 1, 2, 3]);
    }
    set.set_limit(1);
    let heavy = (0..1000).filter(|seed| chosen(&set, seed << 22) == [3]);
    assert!(heavy.count() > 950, "weight 3 against 0");
}
