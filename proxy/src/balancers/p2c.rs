//! The power of two choices: of two members drawn by weight, the less busy one.

use std::sync::Arc;

use super::{Balance, Member, Request, effective_weights, first_untried};
use crate::Endpoint;

/// Draws two members and compares their requests in flight, relative to their weights.
#[derive(Debug)]
pub(super) struct P2c {
    members: Vec<Member>,
    /// The sums of the weights up to and with each member; empty when all are equal.
    sums: Vec<u64>,
}

impl P2c {
    pub(super) fn build(members: &[Member]) -> Self {
        let mut weights = effective_weights(members);
        let first = weights.next();
        let sums = match weights.all(|weight| Some(weight) == first) {
            true => Vec::new(),
            false => effective_weights(members)
                .scan(0, |sum, weight| {
                    *sum += u64::from(weight);
                    Some(*sum)
                })
                .collect(),
        };
        Self {
            members: members.to_vec(),
            sums,
        }
    }

    /// Turns 32 random bits into a member, by weight.
    fn draw(&self, bits: u32) -> usize {
        let scale = |range: u64| {
            usize::try_from((u128::from(bits) * u128::from(range)) >> 32)
                .expect("a product with a fraction of one is below the range")
        };
        match self.sums.last() {
            None => scale(self.members.len() as u64),
            Some(total) => {
                let at = scale(*total) as u64;
                self.sums.partition_point(|sum| *sum <= at)
            }
        }
    }

    /// Draws a member other than `first` where that is easy: comparing one with itself tells
    /// nothing.
    fn other_than(&self, first: usize, bits: u32) -> usize {
        let drawn = self.draw(bits);
        let next = (first + 1) % self.members.len();
        let may_be_next = self.sums.is_empty() || self.members[next].weight > 0;
        match drawn == first && may_be_next {
            true => next,
            false => drawn,
        }
    }
}

impl Balance for P2c {
    fn pick(&self, request: &Request<'_>) -> Option<&Arc<Endpoint>> {
        if self.members.is_empty() {
            return None;
        }
        let first = self.draw(request.seed as u32);
        let second = self.other_than(first, (request.seed >> 32) as u32);
        let (a, b) = (&self.members[first], &self.members[second]);
        // With nothing in flight the first one stays, and so do the shares of the draw.
        let load = |member: &Member| member.endpoint.in_flight();
        let share = |member: &Member| u64::from(member.weight.max(1));
        let a_is_busier = load(a) * share(b) > load(b) * share(a);
        let start = if a_is_busier { second } else { first };
        let chosen = &self.members[start].endpoint;
        match request.has_tried(chosen) {
            false => Some(chosen),
            true => first_untried(&self.members, start, request),
        }
    }
}

#[cfg(test)]
mod tests {
    use registry::InstanceId;

    use super::*;

    #[test]
    fn the_less_busy_one_is_chosen() {
        let members: Vec<_> = ["a", "b"]
            .into_iter()
            .map(|id| Member {
                endpoint: Arc::new(Endpoint::new(
                    InstanceId::from_text(id),
                    "127.0.0.1:1".parse().unwrap(),
                )),
                weight: 1,
            })
            .collect();
        let busy = members[0].endpoint.begin();
        let balancer = P2c::build(&members);
        let picked = |seed| {
            let request = Request {
                turn: 0,
                seed,
                tried: &[],
            };
            Arc::clone(balancer.pick(&request).unwrap())
        };
        // Low half: the first draw, high half: the second.
        for seed in [0x0000_0000_ffff_ffff, 0xffff_ffff_0000_0000] {
            assert_eq!(picked(seed).id.as_str(), "b");
        }
        drop(busy);
        assert_eq!(picked(0xffff_ffff_0000_0000).id.as_str(), "a");
    }
}
