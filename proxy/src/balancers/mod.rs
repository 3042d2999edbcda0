//! The balancers: each one file, and one line in each list here.

mod bounded;
mod config;
mod draw;
mod least_request;
mod maglev;
mod p2c;
mod random;
mod ring_hash;
mod round_robin;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

pub use self::config::BoundedLoad;
use crate::Endpoint;

/// Names a way to choose among the instances of a service.
///
/// In the configuration it is the name of the algorithm, or a table with what it is to heed besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Balancer {
    /// How the choice is made.
    pub algorithm: Algorithm,
    /// How much more than its share an instance may have to do.
    pub bounded_load: Option<BoundedLoad>,
}

/// Names an algorithm that chooses among instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Of two drawn at random by weight, the one that promises to answer sooner; the default.
    #[default]
    P2c,
    /// One after the other, each as often as its weight says, evenly spread.
    RoundRobin,
    /// At random by weight.
    Random,
    /// The one with the fewest requests under way, relative to its weight.
    LeastRequest,
    /// By a ring of hashes: requests with the same hash go to the same instance.
    RingHash,
    /// By a table of hashes: as with a ring, faster and more evenly spread.
    Maglev,
}

impl Algorithm {
    /// Every algorithm, for tests of what all have in common.
    pub const ALL: [Self; 6] = [
        Self::P2c,
        Self::RoundRobin,
        Self::Random,
        Self::LeastRequest,
        Self::RingHash,
        Self::Maglev,
    ];

    /// Tells whether it looks at what instances have to do, so that a bound would add nothing.
    pub(crate) fn heeds_load(self) -> bool {
        matches!(self, Self::P2c | Self::LeastRequest)
    }

    fn build(self, members: &[Member]) -> Box<dyn Balance> {
        match self {
            Self::P2c => Box::new(p2c::P2c::build(members)),
            Self::RoundRobin => Box::new(round_robin::RoundRobin::build(members)),
            Self::Random => Box::new(random::Random::build(members)),
            Self::LeastRequest => Box::new(least_request::LeastRequest::build(members)),
            Self::RingHash => Box::new(ring_hash::RingHash::build(members)),
            Self::Maglev => Box::new(maglev::Maglev::build(members)),
        }
    }
}

impl From<Algorithm> for Balancer {
    fn from(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            bounded_load: None,
        }
    }
}

impl Balancer {
    /// Prepares the choice among `members`, which are sorted by id.
    pub(crate) fn build(self, members: &[Member]) -> Box<dyn Balance> {
        let balance = self.algorithm.build(members);
        match self.bounded_load {
            None => balance,
            Some(bound) => Box::new(bounded::Bounded::build(balance, bound, members)),
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
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Request<'a> {
    /// How many requests the service has got before.
    pub(crate) turn: u64,
    /// Random bits.
    pub(crate) seed: u64,
    /// Stands for what should stay together, such as a client; `None` where nothing should.
    pub(crate) hash: Option<u64>,
    /// The time, in milliseconds since some moment; it may wrap.
    pub(crate) now: u32,
    /// The endpoints that have been tried for this request, by address of the allocation.
    pub(crate) tried: &'a [Arc<Endpoint>],
}

impl Request<'_> {
    /// Tells whether an endpoint has been tried.
    fn has_tried(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.tried.iter().any(|tried| Arc::ptr_eq(tried, endpoint))
    }

    /// Returns bits that are the same for requests that should stay together.
    pub(crate) fn key(&self) -> u64 {
        self.hash.unwrap_or(self.seed)
    }
}

/// Chooses one of the members it was built from.
///
/// Pure but for the endpoints' counters: it keeps nothing from one request to the next.
pub(crate) trait Balance: fmt::Debug + Send + Sync {
    /// Returns an endpoint that hasn't been tried, or `None` when there is none.
    fn pick(&self, request: &Request<'_>) -> Option<&Arc<Endpoint>>;
}

/// Makes other bits of bits, which depend on all of them (the last step of SplitMix64).
pub(crate) fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
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
