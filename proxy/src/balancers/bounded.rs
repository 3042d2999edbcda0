//! A bound for what a member may have to do (Mirrokni and others, 2016: consistent hashing with
//! bounded loads).

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Balance, BoundedLoad, Member, Request, effective_weights};
use crate::Endpoint;

/// Passes over members that have more to do than a multiple of their share, and asks another
/// balancer for the next.
///
/// Looks at the counters of all members for each request.
#[derive(Debug)]
pub(super) struct Bounded {
    balance: Box<dyn Balance>,
    bound: BoundedLoad,
    /// Sorted by id.
    members: Vec<Member>,
    weights: Vec<u64>,
    /// Their sum, at least 1.
    all: u64,
}

impl Bounded {
    pub(super) fn build(balance: Box<dyn Balance>, bound: BoundedLoad, members: &[Member]) -> Self {
        let weights: Vec<_> = effective_weights(members).map(u64::from).collect();
        Self {
            balance,
            bound,
            members: members.to_vec(),
            all: weights.iter().sum::<u64>().max(1),
            weights,
        }
    }

    /// Returns how many requests a member may have of `total`.
    fn most(&self, endpoint: &Endpoint, total: u64) -> u64 {
        let id = |member: &Member| member.endpoint.id.cmp(&endpoint.id);
        let Ok(place) = self.members.binary_search_by(id) else {
            return 0;
        };
        let weight = u128::from(self.weights[place]);
        let share = u128::from(self.bound.percent()) * u128::from(total) * weight;
        let most = share.div_ceil(100 * u128::from(self.all));
        u64::try_from(most).unwrap_or(u64::MAX)
    }
}

impl Balance for Bounded {
    fn pick(&self, request: &Request<'_>) -> Option<&Arc<Endpoint>> {
        let loads = self
            .members
            .iter()
            .map(|member| member.endpoint.in_flight());
        let total = loads.sum::<u64>() + 1;
        let mut passed: SmallVec<[Arc<Endpoint>; 8]> = request.tried.into();
        loop {
            let next = Request {
                tried: &passed,
                ..*request
            };
            let Some(endpoint) = self.balance.pick(&next) else {
                // All have too much to do, or were tried: then the bound counts for nothing.
                return self.balance.pick(request);
            };
            if endpoint.in_flight() < self.most(endpoint, total) {
                return Some(endpoint);
            }
            passed.push(Arc::clone(endpoint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancers::{Algorithm, Balancer, tests::members};

    #[test]
    fn nobody_gets_more_than_its_bound_whatever_the_hash() {
        for algorithm in [Algorithm::RingHash, Algorithm::Maglev] {
            let balancer = Balancer {
                algorithm,
                bounded_load: Some(BoundedLoad::try_from(1.25).unwrap()),
            };
            let members = members(&[1, 1, 2]);
            let balance = balancer.build(&members);
            let request = Request {
                hash: Some(77),
                ..Request::default()
            };
            let busy: Vec<_> = (0..100)
                .map(|_| balance.pick(&request).unwrap().begin())
                .collect();
            let loads = members.iter().map(|member| member.endpoint.in_flight());
            let loads: Vec<_> = loads.collect();
            // 1.25 of a quarter and of a half of a hundred, rounded up.
            assert!(
                loads[0] <= 32 && loads[1] <= 32 && loads[2] <= 63,
                "{loads:?}"
            );
            drop(busy);
            // And all that have the same hash are together again when there is little to do.
            let again = || Arc::as_ptr(balance.pick(&request).unwrap());
            assert_eq!(again(), again());
        }
    }
}
