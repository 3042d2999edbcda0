//! The battery that every balancer passes.

use registry::InstanceId;

use super::*;

pub(super) fn members(weights: &[u16]) -> Vec<Member> {
    (1..)
        .zip(weights)
        .map(|(n, weight)| Member {
            endpoint: Arc::new(Endpoint::new(
                InstanceId::from_text(&format!("i{n}")),
                format!("127.0.0.1:{n}").parse().unwrap(),
            )),
            weight: *weight,
        })
        .collect()
}

/// Every algorithm, without a bound and with one where it takes one.
fn all() -> Vec<Balancer> {
    let bounded = Algorithm::ALL.into_iter().filter(|one| !one.heeds_load());
    let bounded = bounded.map(|algorithm| Balancer {
        algorithm,
        bounded_load: Some(BoundedLoad::try_from(1.25).unwrap()),
    });
    let plain = Algorithm::ALL.into_iter().map(Balancer::from);
    plain.chain(bounded).collect()
}

/// Returns how far shares may be from what weights say, in percent of it: for those that draw, chance is
/// enough for some; on a ring, points are where they are.
fn spread(kind: Balancer) -> u64 {
    match kind.algorithm {
        Algorithm::RingHash => 25,
        _ => 10,
    }
}

/// Counts how often each member is chosen in `picks` requests.
fn shares(balancer: &dyn Balance, members: &[Member], picks: u64) -> Vec<u64> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut counts = vec![0; members.len()];
    for turn in 0..picks {
        let request = Request {
            turn,
            seed: random.u64(..),
            ..Request::default()
        };
        let picked = balancer.pick(&request).unwrap();
        let place = members
            .iter()
            .position(|one| Arc::ptr_eq(&one.endpoint, picked));
        counts[place.unwrap()] += 1;
    }
    counts
}

#[test]
fn of_none_none_is_chosen() {
    for kind in all() {
        let request = Request {
            turn: 3,
            seed: 5,
            ..Request::default()
        };
        assert!(kind.build(&[]).pick(&request).is_none(), "{kind:?}");
    }
}

#[test]
fn the_only_one_gets_all() {
    for kind in all() {
        let members = members(&[3]);
        assert_eq!(
            shares(&*kind.build(&members), &members, 50),
            [50],
            "{kind:?}"
        );
    }
}

#[test]
fn with_all_weights_zero_all_get_the_same() {
    for kind in all() {
        let members = members(&[0, 0, 0, 0]);
        for share in shares(&*kind.build(&members), &members, 10_000) {
            let most = 2_500 * spread(kind) / 100;
            assert!(share.abs_diff(2_500) <= most, "{kind:?}: {share}");
        }
    }
}

#[test]
fn shares_follow_the_weights() {
    for kind in all() {
        let members = members(&[1, 3, 0, 6]);
        let counts = shares(&*kind.build(&members), &members, 10_000);
        for (count, expected) in counts.iter().zip([1_000_u64, 3_000, 0, 6_000]) {
            assert!(
                count.abs_diff(expected) <= expected * spread(kind) / 100,
                "{kind:?}: {counts:?}"
            );
        }
    }
}

#[test]
fn a_retry_repeats_none_and_reaches_all() {
    let mut random = fastrand::Rng::with_seed(11);
    for kind in all() {
        for weights in [&[1, 1, 1][..], &[5, 0, 1, 0], &[0, 0], &[1]] {
            let members = members(weights);
            let balancer = kind.build(&members);
            for turn in 0..50 {
                let mut tried = Vec::new();
                for _ in &members {
                    let request = Request {
                        turn,
                        seed: random.u64(..),
                        tried: &tried,
                        ..Request::default()
                    };
                    let picked = Arc::clone(balancer.pick(&request).unwrap());
                    assert!(!request.has_tried(&picked), "{kind:?} {weights:?}");
                    tried.push(picked);
                }
                let request = Request {
                    turn,
                    seed: random.u64(..),
                    tried: &tried,
                    ..Request::default()
                };
                assert!(balancer.pick(&request).is_none(), "{kind:?} {weights:?}");
            }
        }
    }
}

#[test]
fn weight_zero_comes_last() {
    for kind in all() {
        let members = members(&[1, 0, 1]);
        let balancer = kind.build(&members);
        let tried = [Arc::clone(&members[0].endpoint)];
        for turn in 0..20 {
            let request = Request {
                turn,
                seed: turn.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                tried: &tried,
                ..Request::default()
            };
            let picked = balancer.pick(&request).unwrap();
            assert!(Arc::ptr_eq(picked, &members[2].endpoint), "{kind:?}");
        }
    }
}

#[test]
fn who_is_gone_is_never_chosen() {
    for kind in all() {
        let all = members(&[1, 2, 3]);
        let balancer = kind.build(&all[..2]);
        assert_eq!(shares(&*balancer, &all, 300)[2], 0, "{kind:?}");
    }
}

#[test]
fn the_same_request_goes_to_the_same_one() {
    for kind in all() {
        let members = members(&[1, 2, 3, 4]);
        let pick = |hash| {
            let request = Request {
                turn: 5,
                seed: mix(hash),
                hash: Some(mix(hash)),
                ..Request::default()
            };
            Arc::as_ptr(kind.build(&members).pick(&request).unwrap())
        };
        for hash in 0..20 {
            assert_eq!(pick(hash), pick(hash), "{kind:?}");
        }
    }
}

/// Returns which member gets each of many keys.
fn places(balancer: &dyn Balance) -> Vec<String> {
    let keys = (0..20_000).map(|key| Request {
        hash: Some(mix(key)),
        ..Request::default()
    });
    keys.map(|request| balancer.pick(&request).unwrap().id.to_string())
        .collect()
}

#[test]
fn with_a_member_go_and_come_its_own_requests_and_hardly_any_others() {
    // Of 20,000 keys, 2 % for the table.
    for (algorithm, most) in [(Algorithm::RingHash, 0), (Algorithm::Maglev, 400)] {
        for weights in [[1; 10], [9, 2, 5, 3, 1, 4, 1, 8, 7, 9]] {
            let moved = moved_without(algorithm, &members(&weights), "i4");
            assert!(moved <= most, "{algorithm:?} {weights:?}: {moved}");
        }
    }
}

/// Counts the keys that are at another member with all than without one of them, but for its own; as
/// many move when it goes and when it comes.
fn moved_without(algorithm: Algorithm, all: &[Member], gone: &str) -> usize {
    let kind = Balancer::from(algorithm);
    let whole = places(&*kind.build(all));
    let left: Vec<_> = all
        .iter()
        .filter(|one| one.endpoint.id.as_str() != gone)
        .cloned()
        .collect();
    let rest = places(&*kind.build(&left));
    whole
        .iter()
        .zip(&rest)
        .filter(|(before, after)| {
            assert_ne!(*after, gone);
            before != after && *before != gone
        })
        .count()
}

#[test]
fn only_hashes_keep_requests_together() {
    for algorithm in [Algorithm::RingHash, Algorithm::Maglev] {
        let members = members(&[1, 1, 1]);
        let balance = Balancer::from(algorithm).build(&members);
        let counts = shares(&*balance, &members, 3_000);
        assert!(
            counts.iter().all(|count| *count > 500),
            "{algorithm:?}: {counts:?}"
        );
    }
}

#[test]
fn a_table_with_more_members_than_slots_is_filled() {
    let endpoint = |n: usize| Member {
        endpoint: Arc::new(Endpoint::new(
            InstanceId::from_text(&format!("i{n}")),
            "127.0.0.1:1".parse().unwrap(),
        )),
        weight: 1,
    };
    let all: Vec<_> = (0..70_000).map(endpoint).collect();
    let balance = Balancer::from(Algorithm::Maglev).build(&all);
    let request = Request {
        hash: Some(u64::MAX),
        ..Request::default()
    };
    assert!(balance.pick(&request).is_some());
}
