//! Decides how many answers a network gets.
//!
//! Whoever sends queries in another's name has the answers sent there. So that nobody is flooded
//! by way of this server, answers to one network are limited; what is over the limit is left out,
//! but for some that are sent empty and truncated, by which real clients come to ask over TCP.
//!
//! A network's answers are counted by the one time at which it would have its full burst again
//! (the generic cell rate algorithm, a token bucket without a clock): each answer puts it off by
//! an answer's share of a second, and there is none that would put it off by more than the burst.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    time::Duration,
};

use ipnet::IpNet;
use table::Table;

use crate::config::RateLimitConfig;

mod table;

/// Says what is done with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is within the limit.
    Send,
    /// It goes out empty and truncated.
    Slip,
    /// It is left out.
    Drop,
}

/// Counts the answers to each network.
///
/// The memory is taken at once and never grows. Where in it a network is found is decided by a
/// hash with a secret seed, so that nobody can choose addresses that push another one out.
pub(crate) struct Limiter<S = RandomState> {
    /// An answer's share of a second, in nanoseconds, rounded up.
    share: u64,
    /// In nanoseconds.
    burst: u64,
    slip: u32,
    ipv4_prefix: u8,
    ipv6_prefix: u8,
    exempt: Vec<IpNet>,
    table: Table,
    seed: S,
}

impl<S: BuildHasher> Limiter<S> {
    /// Creates one in which every network has its full burst, or none when there is no limit.
    pub(crate) fn new(config: &RateLimitConfig, seed: S) -> Option<Self> {
        let rate = u64::from(config.responses_per_second);
        (rate > 0).then(|| Self {
            share: NANOS_PER_SECOND.div_ceil(rate),
            burst: nanos(config.burst.get()),
            slip: config.slip,
            ipv4_prefix: config.ipv4_prefix,
            ipv6_prefix: config.ipv6_prefix,
            exempt: config.exempt.clone(),
            table: Table::new(config.prefixes_max),
            seed,
        })
    }

    /// Decides about an answer to `client`, and counts it.
    ///
    /// `trusted` is a client that has shown that it is where it says, which is never limited. `now`
    /// is the time since some moment that is the same for all calls.
    pub(crate) fn check(&mut self, client: IpAddr, trusted: bool, now: Duration) -> Verdict {
        let client = client.to_canonical();
        if trusted || self.exempt.iter().any(|network| network.contains(&client)) {
            return Verdict::Send;
        }
        let now = nanos(now);
        let entry = self.table.entry(self.seed.hash_one(self.prefix(client)));
        let full_at = entry.full_at.max(now) + self.share;
        if full_at - now <= self.burst {
            entry.full_at = full_at;
            return Verdict::Send;
        }
        entry.limited = entry.limited.wrapping_add(1);
        match self.slip != 0 && entry.limited.is_multiple_of(self.slip) {
            true => Verdict::Slip,
            false => Verdict::Drop,
        }
    }

    /// Returns the network of an address: whether it is of IPv4, and its bits.
    fn prefix(&self, client: IpAddr) -> (bool, u128) {
        match client {
            IpAddr::V4(v4) => {
                let host = u32::BITS - u32::from(self.ipv4_prefix);
                (true, u128::from(v4.to_bits() >> host))
            }
            IpAddr::V6(v6) => {
                let host = u128::BITS - u32::from(self.ipv6_prefix);
                (false, v6.to_bits() >> host)
            }
        }
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Returns a time in nanoseconds, of which there is room for 584 years.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
