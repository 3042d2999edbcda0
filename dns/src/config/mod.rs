//! What the DNS part is configured by.

mod domain;
mod zone;

pub use domain::{Domain, Mailbox};
pub use zone::{AllDown, ZoneConfig};

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
    /// The domains that are answered for, none of them below another.
    pub zones: Vec<ZoneConfig>,
    /// How long clients may keep the records of services whose names match, in all zones: `web`,
    /// `*.batch`, `api-*`. The name goes before the longest pattern, both before a zone's own.
    pub ttl: BTreeMap<String, Duration>,
    /// The longest answer over UDP in bytes, 512 to 4096, also for clients that could take more.
    pub udp_payload_max: u16,
    /// How long a TCP connection may stay without a whole query.
    pub tcp_idle_timeout: Duration,
    /// How many TCP connections each listener of each worker keeps; more have to wait.
    pub tcp_connections_max: usize,
    /// How many queries are answered on a TCP connection before it is closed; 0 is no limit.
    pub tcp_queries_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 5300))],
            zones: vec![ZoneConfig::new(
                "svc.internal".parse().expect("is a domain"),
            )],
            ttl: BTreeMap::new(),
            udp_payload_max: 1232,
            tcp_idle_timeout: Duration::from_secs(10),
            tcp_connections_max: 1000,
            tcp_queries_max: 0,
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
        problems
    }

    fn find_in_zones(&self, problem: &mut impl FnMut(String, String)) {
        for (index, zone) in self.zones.iter().enumerate() {
            if let Some(reason) = self.overlap(index) {
                problem(format!("zones[{index}].domain"), reason);
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

    /// Says what is wrong with the domain of the zone at `index` next to those of the others.
    ///
    /// Below a domain, names are made of services; a zone there would answer in their stead, and
    /// SRV and PTR records would lead to names that it knows nothing of.
    fn overlap(&self, index: usize) -> Option<String> {
        let domain = &self.zones[index].domain;
        let mut earlier = self.zones[..index].iter();
        if let Some(first) = earlier.position(|other| other.domain == *domain) {
            return Some(format!(
                "`{domain}` overlaps: it is the domain of zones[{first}] too"
            ));
        }
        let mut others = self.zones.iter().map(|zone| &zone.domain);
        let outer = others.position(|other| domain.is_below(other))?;
        let outer_domain = &self.zones[outer].domain;
        Some(format!(
            "`{domain}` overlaps: names of zones[{outer}] (`{outer_domain}`) below it are hidden"
        ))
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
