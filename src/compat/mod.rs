//! The APIs of systems that signpost replaces, for programs that have learned to ask them.
//!
//! One room for each; each has a listener of its own, and there is none unless it is configured.

mod acl;
mod bamboo;
mod dynamic;
mod marathon_lb;
mod mesos_dns;

pub(crate) use self::mesos_dns::{Imported, MesosDns, import as import_mesos_dns};
pub(crate) use self::{
    bamboo::Bamboo,
    dynamic::{Dynamic, Follower},
};
pub use self::{
    bamboo::Config as BambooConfig, marathon_lb::Config as MarathonLbConfig,
    mesos_dns::Config as MesosDnsConfig,
};

use std::collections::BTreeMap;

use ::config::Problem;
use dns::ZoneConfig;
use registry::sources;
use serde::Deserialize;

use crate::http_server::Access;

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
    /// Returns who may change something by the API of Bamboo.
    ///
    /// # Errors
    ///
    /// Returns that the token can't be read, by its key.
    pub(crate) fn bamboo_access(&self) -> Result<Access, Problem> {
        let Some(bamboo) = &self.bamboo else {
            return Ok(Access::default());
        };
        let access = bamboo.access();
        access.map_err(|reason| Problem::new("compat.bamboo.token_file", reason))
    }

    /// Lists what is wrong beyond what the types can tell; keys are those at the top.
    pub(crate) fn problems(
        &self,
        zones: &[ZoneConfig],
        sources: &BTreeMap<String, sources::Config>,
    ) -> Vec<Problem> {
        let mesos_dns = self.mesos_dns.iter();
        let problems = mesos_dns.flat_map(|one| one.problems(zones));
        let mesos_dns = problems.map(|problem| problem.within("compat.mesos_dns"));
        let labels = self.marathon_lb.iter();
        let labels = labels.flat_map(MarathonLbConfig::problems);
        let labels = labels.map(|problem| problem.within("compat.marathon_lb"));
        let bamboo = self.bamboo.iter();
        let bamboo = bamboo.flat_map(|one| one.problems(sources));
        let bamboo = bamboo.map(|problem| problem.within("compat.bamboo"));
        mesos_dns.chain(labels).chain(bamboo).collect()
    }
}
