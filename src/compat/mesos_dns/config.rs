//! How the API of Mesos-DNS is configured.

use std::net::SocketAddr;

use ::config::Problem;
use dns::{Domain, Scheme, ZoneConfig};
use serde::Deserialize;

/// Configures the API of Mesos-DNS: the table `[compat.mesos_dns]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The address it listens on.
    pub listen: SocketAddr,
    /// The domain of the zone that it tells of; the first with the scheme `mesos` when left out.
    pub zone: Option<Domain>,
    /// Whether everything can be listed, at `/v1/enumerate` and `/v1/axfr`.
    pub enumeration: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8123)),
            zone: None,
            enumeration: true,
        }
    }
}

impl Config {
    /// Lists what is wrong beyond what the types can tell; keys are relative to the table.
    pub(in crate::compat) fn problems(&self, zones: &[ZoneConfig]) -> Vec<Problem> {
        let problem = match (&self.zone, self.zone_of(zones)) {
            (_, Some(_)) => None,
            (Some(zone), None) => Some(format!("`{zone}` is no zone's domain")),
            (None, None) => Some("is missing, and no zone has the scheme `mesos`".to_owned()),
        };
        let problem = problem.map(|reason| Problem::new("zone", reason));
        problem.into_iter().collect()
    }

    /// Finds the zone that it tells of.
    pub(super) fn zone_of<'a>(&self, zones: &'a [ZoneConfig]) -> Option<&'a ZoneConfig> {
        let mut zones = zones.iter();
        match &self.zone {
            Some(domain) => zones.find(|zone| zone.domain == *domain),
            None => zones.find(|zone| zone.scheme == Scheme::Mesos),
        }
    }
}
