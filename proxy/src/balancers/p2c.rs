//! The power of two choices: of two members drawn by weight, the one that promises to answer sooner.

use std::sync::Arc;

use super::{Balance, Member, Request, draw::Draw, effective_weights, first_untried};
use crate::Endpoint;

/// The latency, in microseconds, below which instances count as equally fast: such differences are
/// noise, and following them would crowd one of two that are as good.
const LATENCY_MIN: u64 = 1_000;

/// Draws two members and compares how long a request will probably take: the latency of late (peak
/// EWMA), times what they have to do relative to their weights.
#[derive(Debug)]
pub(super) struct P2c {
    members: Vec<Member>,
    draw: Draw,
    /// The mean weight of the members that have one, at least 1.
    mean: u64,
}

impl P2c {
    pub(super) fn build(members: &[Member]) -> Self {
        let weights = effective_weights(members).map(u64::from);
        let (count, sum) = weights
            .filter(|weight| *weight > 0)
            .fold((0, 0), |(count, sum), weight| (count + 1, sum + weight));
        Self {
            members: members.to_vec(),
            draw: Draw::build(members),
            mean: sum.checked_div(count).unwrap_or(1).max(1),
        }
    }

    /// Draws a member other than `first` where that is easy: comparing one with itself tells
    /// nothing.
    fn other_than(&self, first: usize, bits: u32) -> usize {
        let drawn = self.draw.at(bits);
        let next = (first + 1) % self.members.len();
        let may_be_next = self.draw.is_even() || self.members[next].weight > 0;
        match drawn == first && may_be_next {
            true => next,
            false => drawn,
        }
    }

    /// Tells whether a request will probably take longer with `a`, which was drawn first, than with `b`.
    ///
    /// With nothing to do and the same latency neither takes longer: the first one drawn stays, and
    /// so do the shares of the draw. To one of little weight a single request is much to do, so that it
    /// doesn't get every one for which it is drawn second.
    fn takes_longer(&self, a: &Member, b: &Member, now: u32) -> bool {
        let (a_weight, b_weight) = (weight(a), weight(b));
        let latency = |member: &Member| member.endpoint.latency(now);
        let (a_latency, b_latency) = match (latency(a), latency(b)) {
            (Some(a), Some(b)) => (a.max(LATENCY_MIN), b.max(LATENCY_MIN)),
            // Of one that is new nothing is known but what it has to do.
            _ => (1, 1),
        };
        let mean = u128::from(self.mean);
        let a_time = load(a) * mean + a_weight;
        let b_time = (load(b) * mean + b_weight).max((load(b) + 1) * mean);
        u128::from(a_latency) * a_time * b_weight > u128::from(b_latency) * b_time * a_weight
    }
}

fn weight(member: &Member) -> u128 {
    u128::from(member.weight.max(1))
}

fn load(member: &Member) -> u128 {
    u128::from(member.endpoint.in_flight())
}

impl Balance for P2c {
    fn pick(&self, request: &Request<'_>) -> Option<&Arc<Endpoint>> {
        if self.members.is_empty() {
            return None;
        }
        let first = self.draw.at(request.seed as u32);
        let second = self.other_than(first, (request.seed >> 32) as u32);
        let (a, b) = (&self.members[first], &self.members[second]);
        let start = match self.takes_longer(a, b, request.now) {
            true => second,
            false => first,
        };
        let chosen = &self.members[start].endpoint;
        match request.has_tried(chosen) {
            false => Some(chosen),
            true => first_untried(&self.members, start, request),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::balancers::tests::members;

    /// The low half is the first draw, the high half the second one.
    const SEEDS: [u64; 2] = [0x0000_0000_ffff_ffff, 0xffff_ffff_0000_0000];

    fn picked(balancer: &P2c, seed: u64, now: u32) -> String {
        let request = Request {
            seed,
            now,
            ..Request::default()
        };
        balancer.pick(&request).unwrap().id.as_str().to_owned()
    }

    #[test]
    fn the_less_busy_one_is_chosen() {
        let members = members(&[1, 1]);
        let busy = members[0].endpoint.begin();
        let balancer = P2c::build(&members);
        for seed in SEEDS {
            assert_eq!(picked(&balancer, seed, 0), "i2");
        }
        drop(busy);
        assert_eq!(picked(&balancer, SEEDS[1], 0), "i1");
    }

    #[test]
    fn the_faster_one_is_chosen_until_the_other_has_less_to_do_or_it_is_long_ago() {
        let members = members(&[1, 1]);
        let balancer = P2c::build(&members);
        let millis = Duration::from_millis;
        members[0].endpoint.speed().observe(1_000, millis(40));
        members[1].endpoint.speed().observe(1_000, millis(10));
        for seed in SEEDS {
            assert_eq!(picked(&balancer, seed, 1_000), "i2");
        }
        let _busy: Vec<_> = (0..5).map(|_| members[1].endpoint.begin()).collect();
        for seed in SEEDS {
            assert_eq!(picked(&balancer, seed, 1_000), "i1");
        }
        // Five times the time of what has become of both: a millisecond at the least.
        members[0].endpoint.speed().observe(1_000, millis(900));
        for seed in SEEDS {
            assert_eq!(picked(&balancer, seed, 1_000), "i2");
            assert_eq!(picked(&balancer, seed, 61_000), "i1");
        }
    }

    #[test]
    fn one_of_little_weight_gets_little_however_few_there_are() {
        for latency in [None, Some(Duration::from_millis(2))] {
            let members = members(&[100, 10]);
            let balancer = P2c::build(&members);
            for member in &members {
                latency
                    .into_iter()
                    .for_each(|latency| member.endpoint.speed().observe(0, latency));
            }
            for concurrency in [1, 2, 4, 8] {
                let mut random = fastrand::Rng::with_seed(7);
                let mut under_way = std::collections::VecDeque::new();
                let mut light = 0;
                for _ in 0..10_000 {
                    let request = Request {
                        seed: random.u64(..),
                        ..Request::default()
                    };
                    let chosen = balancer.pick(&request).unwrap();
                    light += usize::from(chosen.id.as_str() == "i2");
                    under_way.push_back(chosen.begin());
                    if under_way.len() == concurrency {
                        under_way.pop_front();
                    }
                }
                let share = (500..1_500).contains(&light);
                assert!(share, "{light} of 10000 with {concurrency} at a time");
            }
        }
    }

    #[test]
    fn differences_that_are_noise_are_not_followed() {
        let members = members(&[1, 1]);
        let balancer = P2c::build(&members);
        members[0]
            .endpoint
            .speed()
            .observe(0, Duration::from_micros(900));
        members[1]
            .endpoint
            .speed()
            .observe(0, Duration::from_micros(30));
        assert_eq!(picked(&balancer, SEEDS[1], 0), "i1");
        assert_eq!(picked(&balancer, SEEDS[0], 0), "i2");
    }
}
