//! The APIs of systems that signpost replaces, for programs that have learned to ask them.
//!
//! One room for each; each has a listener of its own, and there is none unless it is configured.

mod acl;
mod bamboo;
mod dynamic;
mod marathon_lb;
mod mesos_dns;

pub(crate) use self::dynamic::{Dynamic, Follower};
pub(crate) use self::mesos_dns::{Imported, MesosDns, import as import_mesos_dns};
pub use self::{
    bamboo::Config as BambooConfig, marathon_lb::Config as MarathonLbConfig,
    mesos_dns::Config as MesosDnsConfig,
};

use ::config::Problem;
use dns::ZoneConfig;
use serde::Deserialize;

/// Configures the APIs: the table `[compat]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The API of Mesos-DNS.
    pub mesos_dns: Option<MesosDnsConfig>,
    /// Routes by the labels of marathon-lb.
    pub marathon_lb: Option<MarathonLbConfig>,
    /// Routes by Bamboo's rules, and its API.
    pub bamboo: Option<BambooConfig>,
}

impl Config {
    /// Lists what is wrong beyond what the types can tell; keys are those at the top.
    pub(crate) fn problems(&self, zones: &[ZoneConfig]) -> Vec<Problem> {
        let mesos_dns = self.mesos_dns.iter();
        let problems = mesos_dns.flat_map(|one| one.problems(zones));
        let mesos_dns = problems.map(|problem| problem.within("compat.mesos_dns"));
        let labels = self.marathon_lb.iter();
        let labels = labels.flat_map(MarathonLbConfig::problems);
        let labels = labels.map(|problem| problem.within("compat.marathon_lb"));
        mesos_dns.chain(labels).collect()
    }
}
