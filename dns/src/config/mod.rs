//! What the DNS part is configured by.

mod chaos;
mod cookies;
mod domain;
mod forward;
mod rate_limit;
mod reverse;
mod text;
mod zone;

pub use chaos::ChaosConfig;
pub use cookies::CookiesConfig;
pub use domain::{Domain, Mailbox};
pub use forward::{ForwardConfig, Upstream};
pub use rate_limit::RateLimitConfig;
pub use reverse::{Network, ReverseConfig};
pub use zone::{AllDown, Compat, ZoneConfig};

use std::{collections::BTreeMap, net::SocketAddr};

use config::{Duration, Problem};
use serde::Deserialize;

use crate::ttl;

/// The longest TTL, one week: longer ones are mistakes, and outlive any instance.
const TTL_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// The smallest answer that every client takes over UDP (RFC 1035, section 4.2.1).
pub(crate) const UDP_PAYLOAD_MIN: u16 = 512;

/// The largest value of `udp_payload_max`: beyond it datagrams are sure to be fragmented.
pub(crate) const UDP_PAYLOAD_LIMIT: u16 = 4096;

/// Holds the section `[dns]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The addresses at which queries are taken, over UDP and TCP; none switches DNS off.
    pub listen: Vec<SocketAddr>,
    /// The domains that are answered for; of one below another the more specific one answers.
    pub zones: Vec<ZoneConfig>,
    /// How long clients may keep the records of services whose names match, in all zones: `web`,
    /// `*.batch`, `api-*`. The name goes before the longest pattern, both before a zone's own.
    pub ttl: BTreeMap<String, Duration>,
    /// The names of addresses.
    pub reverse: ReverseConfig,
    /// The longest answer over UDP in bytes, 512 to 4096, also for clients that could take more.
    pub udp_payload_max: u16,
    /// How long a TCP connection may stay without a whole query.
    pub tcp_idle_timeout: Duration,
    /// How many TCP connections each listener of each worker keeps; for one more the one that has
    /// been idle longest is closed.
    pub tcp_connections_max: usize,
    /// How many queries are answered on a TCP connection before it is closed; 0 is no limit.
    pub tcp_queries_max: u64,
    /// Cookies, by which clients show that they have been reached at their address.
    pub cookies: CookiesConfig,
    /// The name of this server for clients that ask for it (NSID, RFC 5001), at most 64 bytes;
    /// empty, it isn't told.
    pub nsid: String,
    /// What is told of the server in class CH.
    pub chaos: ChaosConfig,
    /// How many answers a network gets over UDP.
    pub rate_limit: RateLimitConfig,
    /// Where queries for other names go.
    pub forward: ForwardConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 5300))],
            zones: vec![ZoneConfig::new(
                "svc.internal".parse().expect("is a domain"),
            )],
            ttl: BTreeMap::new(),
            reverse: ReverseConfig::default(),
            udp_payload_max: 1232,
            tcp_idle_timeout: Duration::from_secs(10),
            tcp_connections_max: 1000,
            tcp_queries_max: 0,
            cookies: CookiesConfig::default(),
            nsid: String::new(),
            chaos: ChaosConfig::default(),
            rate_limit: RateLimitConfig::default(),
            forward: ForwardConfig::default(),
        }
    }
}

impl Config {
    /// Lists what is wrong with the values; the keys are relative to the section.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |key: String, reason: String| problems.push(Problem::new(key, reason));
        for (index, address) in self.listen.iter().enumerate() {
            if address.port() != 0 && self.listen[..index].contains(address) {
                problem(
                    format!("listen[{index}]"),
                    format!("{address} is listed twice"),
                );
            }
        }
        self.find_in_zones(&mut problem);
        self.find_in_ttl(&mut problem);
        if self.zones.is_empty() && !self.reverse.networks.is_empty() {
            let reason = "there is no zone whose names they could lead to";
            problem("reverse.networks".to_owned(), reason.to_owned());
        }
        for Problem { key, reason } in self.reverse.problems() {
            problem(format!("reverse.{key}"), reason);
        }
        let payload = self.udp_payload_max;
        if !(UDP_PAYLOAD_MIN..=UDP_PAYLOAD_LIMIT).contains(&payload) {
            let reason =
                format!("{payload} is not between {UDP_PAYLOAD_MIN} and {UDP_PAYLOAD_LIMIT}");
            problem("udp_payload_max".to_owned(), reason);
        }
        if self.tcp_connections_max == 0 {
            problem(
                "tcp_connections_max".to_owned(),
                "0 would refuse everybody".to_owned(),
            );
        }
        if self.tcp_idle_timeout.get().is_zero() {
            problem(
                "tcp_idle_timeout".to_owned(),
                "0s would refuse everybody".to_owned(),
            );
        }
        if let Err(reason) = self.cookies.load() {
            problem("cookies.secret_file".to_owned(), reason);
        }
        if let Some(reason) = chaos::nsid_problem(&self.nsid) {
            problem("nsid".to_owned(), reason);
        }
        for (key, reason) in self.chaos.problems() {
            problem(format!("chaos.{key}"), reason);
        }
        let found = self.rate_limit.problems().into_iter();
        problems.extend(found.map(|problem| problem.within("rate_limit")));
        let found = self.forward.problems().into_iter();
        problems.extend(found.map(|problem| problem.within("forward")));
        problems
    }

    fn find_in_zones(&self, problem: &mut impl FnMut(String, String)) {
        for (index, zone) in self.zones.iter().enumerate() {
            let mut earlier = self.zones[..index].iter();
            if let Some(first) = earlier.position(|other| other.domain == zone.domain) {
                let reason = format!("`{}` is the domain of zones[{first}] too", zone.domain);
                problem(format!("zones[{index}].domain"), reason);
            }
            if zone.sources.as_ref().is_some_and(Vec::is_empty) {
                let reason = "without a source the zone has nothing; without the key it has all";
                problem(format!("zones[{index}].sources"), reason.to_owned());
            }
            if zone.rfc952 && !zone.scheme.has_rfc952() {
                let reason = "the zone's scheme knows no such labels; `mesos` does";
                problem(format!("zones[{index}].rfc952"), reason.to_owned());
            }
            let ttls = [("ttl", zone.ttl), ("negative_ttl", zone.negative_ttl)];
            for (key, ttl) in ttls {
                if let Err(reason) = check_ttl(ttl) {
                    problem(format!("zones[{index}].{key}"), reason);
                }
            }
        }
    }

    fn find_in_ttl(&self, problem: &mut impl FnMut(String, String)) {
        for (index, (pattern, ttl)) in self.ttl.iter().enumerate() {
            let same = |other: &&String| other.eq_ignore_ascii_case(pattern);
            let twice = match self.ttl.keys().take(index).find(same) {
                Some(other) => Err(format!("`{pattern}` means the same as `{other}`")),
                None => Ok(()),
            };
            for found in [ttl::check(pattern), twice, check_ttl(*ttl)] {
                if let Err(reason) = found {
                    problem(format!("ttl.\"{pattern}\""), reason);
                }
            }
        }
    }

    /// Lists what may not be meant so, although it works; the keys are relative to the section.
    ///
    /// Below a domain, names are made of services; a zone there answers in their stead.
    pub fn warnings(&self) -> Vec<Problem> {
        let mut warnings = Vec::new();
        for (inner, zone) in self.zones.iter().enumerate() {
            for (outer, other) in self.zones.iter().enumerate() {
                if zone.domain.is_below(&other.domain) {
                    let reason = format!(
                        "names of zones[{outer}] (`{}`) at and below `{}` are hidden by this zone",
                        other.domain, zone.domain
                    );
                    let key = format!("zones[{inner}].domain");
                    warnings.push(Problem::new(key, reason));
                }
            }
        }
        warnings
    }
}

fn check_ttl(ttl: Duration) -> Result<(), String> {
    match ttl > TTL_MAX || ttl.as_ttl() == 0 {
        true => Err(format!("{ttl} is not between 1s and {TTL_MAX}")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
