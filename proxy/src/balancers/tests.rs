//! The battery that every balancer passes.

use registry::InstanceId;

use super::*;

fn members(weights: &[u16]) -> Vec<Member> {
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

/// Counts how often each member is chosen in `picks` requests.
fn shares(balancer: &dyn Balance, members: &[Member], picks: u64) -> Vec<u64> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut counts = vec![0; members.len()];
    for turn in 0..picks {
        let request = Request {
            turn,
            seed: random.u64(..),
            tried: &[],
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
    for kind in Balancer::ALL {
        let request = Request {
            turn: 3,
            seed: 5,
            tried: &[],
        };
        assert!(kind.build(&[]).pick(&request).is_none(), "{kind:?}");
    }
}

#[test]
fn the_only_one_gets_all() {
    for kind in Balancer::ALL {
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
    for kind in Balancer::ALL {
        let members = members(&[0, 0, 0, 0]);
        for share in shares(&*kind.build(&members), &members, 4_000) {
            assert!((850..=1_150).contains(&share), "{kind:?}: {share}");
        }
    }
}

#[test]
fn shares_follow_the_weights() {
    for kind in Balancer::ALL {
        let members = members(&[1, 3, 0, 6]);
        let counts = shares(&*kind.build(&members), &members, 10_000);
        for (count, expected) in counts.iter().zip([1_000_u64, 3_000, 0, 6_000]) {
            assert!(
                count.abs_diff(expected) <= expected / 10,
                "{kind:?}: {counts:?}"
            );
        }
    }
}

#[test]
fn a_retry_repeats_none_and_reaches_all() {
    let mut random = fastrand::Rng::with_seed(11);
    for kind in Balancer::ALL {
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
                    };
                    let picked = Arc::clone(balancer.pick(&request).unwrap());
                    assert!(!request.has_tried(&picked), "{kind:?} {weights:?}");
                    tried.push(picked);
                }
                let request = Request {
                    turn,
                    seed: random.u64(..),
                    tried: &tried,
                };
                assert!(balancer.pick(&request).is_none(), "{kind:?} {weights:?}");
            }
        }
    }
}

#[test]
fn weight_zero_comes_last() {
    for kind in Balancer::ALL {
        let members = members(&[1, 0, 1]);
        let balancer = kind.build(&members);
        let tried = [Arc::clone(&members[0].endpoint)];
        for turn in 0..20 {
            let request = Request {
                turn,
                seed: turn.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                tried: &tried,
            };
            let picked = balancer.pick(&request).unwrap();
            assert!(Arc::ptr_eq(picked, &members[2].endpoint), "{kind:?}");
        }
    }
}

#[test]
fn who_is_gone_is_never_chosen() {
    for kind in Balancer::ALL {
        let all = members(&[1, 2, 3]);
        let balancer = kind.build(&all[..2]);
        assert_eq!(shares(&*balancer, &all, 300)[2], 0, "{kind:?}");
    }
}
