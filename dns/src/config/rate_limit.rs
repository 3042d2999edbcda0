//! How many answers a network gets over UDP.

use std::ops::RangeInclusive;

use config::{Duration, Problem};
use ipnet::IpNet;
use serde::Deserialize;

/// How many answers may be saved up, in time: less than a second's worth would hold back clients
/// that ask for several names at once, more than an hour's would hold back nobody.
const BURST_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// How many networks are watched: with fewer they would push each other out, and more would take
/// 256 MiB of each listener of each worker.
const PREFIXES_RANGE: RangeInclusive<usize> = 1024..=1 << 24;

/// Holds `[dns.rate_limit]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimitConfig {
    /// How many answers a second a network gets over UDP from each listener of each worker; 0
    /// switches the limit off.
    pub responses_per_second: u32,
    /// How long a network has to be quiet to have as many answers at once as it may, which is this
    /// time's worth of them.
    pub burst: Duration,
    /// Every how many answers that are over the limit one goes out empty and truncated, so that
    /// real clients ask again over TCP; 1 for all of them, 0 for none.
    pub slip: u32,
    /// How many bits of an IPv4 address name its network, 1 to 32.
    pub ipv4_prefix: u8,
    /// How many bits of an IPv6 address name its network, 1 to 128.
    pub ipv6_prefix: u8,
    /// Networks whose answers aren't limited.
    pub exempt: Vec<IpNet>,
    /// How many networks each listener of each worker remembers, 16 bytes each.
    ///
    /// Where there are more, the one that is nearest to its full burst is forgotten.
    pub prefixes_max: usize,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self {
            responses_per_second: 0,
            burst: Duration::from_secs(5),
            slip: 2,
            ipv4_prefix: 24,
            ipv6_prefix: 56,
            exempt: Vec::new(),
            prefixes_max: 1 << 16,
        }
    }
}

impl RateLimitConfig {
    /// Lists what is wrong with the values; the keys are relative to the table.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, value: &dyn std::fmt::Display, least: &str, most: &str| {
            let reason = format!("{value} is not between {least} and {most}");
            problems.push(Problem::new(key, reason));
        };
        if !BURST_RANGE.contains(&self.burst) {
            let (least, most) = (BURST_RANGE.start(), BURST_RANGE.end());
            problem("burst", &self.burst, &least.to_string(), &most.to_string());
        }
        if !(1..=32).contains(&self.ipv4_prefix) {
            problem("ipv4_prefix", &self.ipv4_prefix, "1", "32");
        }
        if !(1..=128).contains(&self.ipv6_prefix) {
            problem("ipv6_prefix", &self.ipv6_prefix, "1", "128");
        }
        if !PREFIXES_RANGE.contains(&self.prefixes_max) {
            let (least, most) = (PREFIXES_RANGE.start(), PREFIXES_RANGE.end());
            let (least, most) = (least.to_string(), most.to_string());
            problem("prefixes_max", &self.prefixes_max, &least, &most);
        }
        problems
    }
}
