//! The APIs of systems that signpost replaces, for programs that have learned to ask them.
//!
//! One room for each; each has a listener of its own, and there is none unless it is configured.

mod acl;
mod apis;
mod bamboo;
mod dynamic;
mod marathon_lb;
mod mesos_dns;

pub(crate) use self::mesos_dns::{Imported, import as import_mesos_dns};
pub(crate) use self::{
    apis::{Accesses, Apis},
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

/// Lists the sources of rules that are for no app, as those have other names.
pub(crate) fn lonely_rules(sources: &BTreeMap<String, sources::Config>) -> Vec<Problem> {
    let suffixes = sources.values().filter_map(|source| match source {
        sources::Config::Marathon(marathon) => Some(&marathon.suffix),
        _ => None,
    });
    let suffixes: Vec<_> = suffixes.collect();
    let rules = sources.iter().filter_map(|(name, source)| match source {
        sources::Config::Bamboo(rules) if !suffixes.contains(&&rules.suffix) => {
            let reason = match suffixes.first() {
                None => "there is no source `marathon`, for whose apps the rules could be".to_owned(),
                Some(suffix) => format!(
                    "`{}` is the suffix of no source `marathon`, so that the rules are for no app; there is `{suffix}`",
                    rules.suffix
                ),
            };
            Some(Problem::new(format!("sources.{name}.bamboo.suffix"), reason))
        }
        _ => None,
    });
    rules.collect()
}
