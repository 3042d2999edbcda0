//! What the configuration says of routes, ready for use.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use ipnet::IpNet;
use registry::ServiceName;
use smallvec::SmallVec;

use super::{facets::Facets, index::Index, rule::Rule};
use crate::{
    Balancer, Config,
    config::{self, PathRules},
};

/// Holds all routes.
#[derive(Debug)]
pub(crate) struct Routes {
    /// As they stand in the configuration.
    pub(crate) all: Vec<config::Route>,
    /// In the order in which they are used.
    rules: Vec<Rule>,
    index: Index,
    /// What the pools of services are asked for.
    wants: HashMap<ServiceName, Wants, RandomState>,
    /// The domains in which services have names, the longest first; `None` without host routing.
    domains: Option<Vec<String>>,
    /// In which form paths are looked up.
    pub(crate) path: PathRules,
    /// Who is believed who the client is.
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) default_balancer: Balancer,
}

/// Says what routes want of a service's pool besides the default.
#[derive(Debug, Default)]
struct Wants {
    balancers: SmallVec<[Balancer; 2]>,
}

impl Routes {
    pub(super) fn build(config: &Config, domains: &[String]) -> Self {
        let prepare = |(place, route)| Rule::of(place, route, config.path, config.balancer);
        let mut rules: Vec<_> = config
            .routes
            .iter()
            .enumerate()
            .filter_map(prepare)
            .collect();
        rules.sort_by_cached_key(Rule::order);
        let mut routes = Self {
            all: config.routes.clone(),
            index: Index::build(&rules),
            wants: HashMap::default(),
            domains: config.host_routing.then(|| normal_domains(domains)),
            path: config.path,
            trusted_proxies: config.trusted_proxies.clone(),
            default_balancer: config.balancer,
            rules,
        };
        for rule in &routes.rules {
            let wants = routes.wants.entry(rule.service.clone()).or_default();
            if !wants.balancers.contains(&rule.balancer) {
                wants.balancers.push(rule.balancer);
            }
        }
        routes
    }

    /// Returns the rules in the order in which they are used.
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// Lists the balancers that a service's pool is asked for.
    pub(super) fn balancers(&self, service: &ServiceName) -> SmallVec<[Balancer; 2]> {
        let mut kinds = SmallVec::from_slice(&[self.default_balancer]);
        let wanted = self.wants.get(service).map(|wants| &wants.balancers);
        let others = wanted.into_iter().flatten().copied();
        kinds.extend(others.filter(|kind| *kind != self.default_balancer));
        kinds
    }

    /// Finds the rule that is used for a request.
    ///
    /// `host` is in lower case, `path` in its normal form.
    pub(super) fn find(&self, host: &str, path: &str, facets: &Facets<'_>) -> Option<&Rule> {
        if self.rules.is_empty() {
            return None;
        }
        let rule = |rank| &self.rules[rank as usize];
        let found = self.index.find(host, path, |rank| rule(rank).holds(facets));
        found.map(rule)
    }

    /// Lists the services that a host may name: without a domain that it ends in, then as it is.
    pub(super) fn names<'h>(&self, host: &'h str) -> impl Iterator<Item = &'h str> {
        let domains = self.domains.as_deref();
        let without = domains.unwrap_or_default().iter().filter_map(|domain| {
            let name = host.strip_suffix(domain.as_str())?;
            name.strip_suffix('.')
        });
        without.chain(domains.map(|_| host))
    }
}

/// Puts the domains into the form in which hosts are compared, the longest first.
fn normal_domains(domains: &[String]) -> Vec<String> {
    let normal = |domain: &String| domain.trim_end_matches('.').to_ascii_lowercase();
    let mut domains: Vec<_> = domains.iter().map(normal).collect();
    domains.sort_by_key(|domain| std::cmp::Reverse(domain.len()));
    domains
}
