//! The member with the least to do.

use std::sync::Arc;

use super::{Balance, Member, Request, draw::scale, effective_weights, first_untried, mix};
use crate::Endpoint;

/// The step between random bits of one request (2^64 divided by the golden ratio).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Looks at all members and takes the one with the fewest requests under way, relative to its
/// weight; among equals it draws by weight.
#[derive(Debug)]
pub(super) struct LeastRequest {
    members: Vec<Member>,
    /// Those to use, which aren't 0 for all.
    weights: Vec<u64>,
}

impl LeastRequest {
    pub(super) fn build(members: &[Member]) -> Self {
        Self {
            members: members.to_vec(),
            weights: effective_weights(members).map(u64::from).collect(),
        }
    }

    /// Lists the members with a weight that haven't been tried, with their load and weight.
    fn candidates(&self, request: &Request<'_>) -> impl Iterator<Item = (&Member, u64, u64)> {
        let all = self.members.iter().zip(&self.weights);
        all.filter(|(member, weight)| **weight > 0 && !request.has_tried(&member.endpoint))
            .map(|(member, weight)| (member, member.endpoint.in_flight(), *weight))
    }
}

impl Balance for LeastRequest {
    fn pick(&self, request: &Request<'_>) -> Option<&Arc<Endpoint>> {
        // As loads change meanwhile, what is least is looked for once.
        let mut least: Option<(u64, u64)> = None;
        let mut sum = 0;
        let mut chosen = None;
        let mut bits = request.seed;
        for (member, load, weight) in self.candidates(request) {
            let order = least.map(|(other, other_weight)| {
                (u128::from(load) * u128::from(other_weight))
                    .cmp(&(u128::from(other) * u128::from(weight)))
            });
            match order {
                Some(std::cmp::Ordering::Greater) => continue,
                Some(std::cmp::Ordering::Equal) => {}
                Some(std::cmp::Ordering::Less) | None => {
                    least = Some((load, weight));
                    sum = 0;
                }
            }
            // Each of the equals is kept with the likelihood of its weight among those so far.
            sum += weight;
            bits = mix(bits.wrapping_add(GOLDEN));
            if scale((bits >> 32) as u32, sum) < weight {
                chosen = Some(&member.endpoint);
            }
        }
        // Those without weight come last.
        chosen.or_else(|| first_untried(&self.members, 0, request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancers::tests::members;

    #[test]
    fn the_least_busy_one_by_weight_is_chosen() {
        let members = members(&[1, 4, 1]);
        let balancer = LeastRequest::build(&members);
        let busy = |member: &Member, requests: usize| {
            let endpoint = &member.endpoint;
            (0..requests).map(|_| endpoint.begin()).collect::<Vec<_>>()
        };
        let _first = busy(&members[0], 1);
        let _second = busy(&members[1], 3);
        let _third = busy(&members[2], 2);
        for seed in 0..50 {
            let request = Request {
                seed: mix(seed),
                ..Request::default()
            };
            // Three for a weight of four is less than one for one.
            let picked = balancer.pick(&request).unwrap();
            assert!(Arc::ptr_eq(picked, &members[1].endpoint));
        }
    }
}
