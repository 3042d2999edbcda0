//! The APIs of systems that signpost replaces, for programs that have learned to ask them.
//!
//! One room for each; each has a listener of its own, and there is none unless it is configured.

mod mesos_dns;

pub use self::mesos_dns::Config as MesosDnsConfig;
pub(crate) use self::mesos_dns::{Imported, MesosDns, import as import_mesos_dns};

use ::config::Problem;
use dns::ZoneConfig;
use serde::Deserialize;

/// Configures the APIs: the table `[compat]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The API of Mesos-DNS.
    pub mesos_dns: Option<MesosDnsConfig>,
}

impl Config {
    /// Lists what is wrong beyond what the types can tell; keys are those at the top.
    pub(crate) fn problems(&self, zones: &[ZoneConfig]) -> Vec<Problem> {
        let mesos_dns = self.mesos_dns.iter();
        let problems = mesos_dns.flat_map(|one| one.problems(zones));
        problems
            .map(|problem| problem.within("compat.mesos_dns"))
            .collect()
    }
}
