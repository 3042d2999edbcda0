//! The balancers: each one file, and one line in each list here.

mod p2c;
mod round_robin;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Endpoint;

/// Names a way to choose among the instances of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balancer {
    /// The less busy one of two drawn at random by weight; the default.
    #[default]
    P2c,
    /// One after the other, each as often as its weight says, evenly spread.
    RoundRobin,
}

impl Balancer {
    /// Every balancer, for tests of what all have in common.
    pub const ALL: [Self; 2] = [Self::P2c, Self::RoundRobin];

    /// Prepares the choice among `members`.
    pub(crate) fn build(self, members: &[Member]) -> Box<dyn Balance> {
        match self {
            Self::P2c => Box::new(p2c::P2c::build(members)),
            Self::RoundRobin => Box::new(round_robin::RoundRobin::build(members)),
        }
    }
}

/// Holds an endpoint and the share of requests that it should get.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) endpoint: Arc<Endpoint>,
    /// Relative to the other members; 0 for hardly any.
    pub(crate) weight: u16,
}

/// Describes a request as far as a choice may depend on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// How many requests the service has got before.
    pub(crate) turn: u64,
    /// Random bits.
    pub(crate) seed: u64,
    /// The endpoints that have been tried for this request, by address of the allocation.
    pub(crate) tried: &'a [Arc<Endpoint>],
}

impl Request<'_> {
    /// Tells whether an endpoint has been tried.
    fn has_tried(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.tried.iter().any(|tried| Arc::ptr_eq(tried, endpoint))
    }
}

/// Chooses one of the members it was built from.
///
/// Pure but for the endpoints' counters: it keeps nothing from one request to the next.
pub(crate) trait Balance: fmt::Debug + Send + Sync {
    /// Returns an endpoint that hasn't been tried, or `None` when there is none.
    fn pick(&self, request: &Request<'_>) -> Option<&Arc<Endpoint>>;
}

/// Returns the weights to use: where all are zero all are equal.
fn effective_weights(members: &[Member]) -> impl Iterator<Item = u16> {
    let all_zero = members.iter().all(|member| member.weight == 0);
    members
        .iter()
        .map(move |member| if all_zero { 1 } else { member.weight })
}

/// Returns the first member from `start` on, around the end, that hasn't been tried.
///
/// Those of weight 0 come after all others.
fn first_untried<'m>(
    members: &'m [Member],
    start: usize,
    request: &Request<'_>,
) -> Option<&'m Arc<Endpoint>> {
    let around = || members[start..].iter().chain(&members[..start]);
    let untried = |member: &&Member| !request.has_tried(&member.endpoint);
    around()
        .filter(|member| member.weight > 0)
        .find(untried)
        .or_else(|| around().find(untried))
        .map(|member| &member.endpoint)
}

#[cfg(test)]
mod tests;
