//! What the configuration says of routes, ready for use.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use foldhash::fast::RandomState;
use ipnet::IpNet;
use registry::{Instance, ServiceName};
use smallvec::SmallVec;

use super::{
    facets::Facets,
    index::{Index, Rank},
    pattern::{HostPattern, PathPattern},
    rule::Rule,
};
use crate::{
    Balancer, CircuitLimits, Config, Distance, Locality,
    config::{self, PathRules, Subset},
    pool::Wish,
};

/// Holds all routes.
#[derive(Debug)]
pub(crate) struct Routes {
    /// As they stand in the configuration.
    pub(crate) all: Vec<config::Route>,
    /// In the order in which they are used.
    rules: Vec<Rule>,
    /// Those for all ports.
    index: Index,
    /// Those for some ports, by these.
    by_port: HashMap<u16, Index, RandomState>,
    /// What the pools of services are asked for.
    wants: HashMap<ServiceName, Wants, RandomState>,
    /// What all other services' pools are asked for.
    wants_of_others: Wants,
    /// The domains in which services have names, the longest first; `None` without host routing.
    domains: Option<Vec<String>>,
    /// To which no host leads.
    unnamed: BTreeSet<ServiceName>,
    /// In which form paths are looked up.
    pub(crate) path: PathRules,
    /// Who is believed who the client is.
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) default_balancer: Balancer,
    /// Of services that the configuration names.
    limits: HashMap<ServiceName, CircuitLimits, RandomState>,
    limits_of_others: CircuitLimits,
    locality: Locality,
}

/// Says what routes want of a service.
#[derive(Debug, Clone)]
pub(super) struct Wants {
    /// The default one first.
    pub(super) balancers: SmallVec<[Balancer; 2]>,
    pub(super) subsets: Vec<Arc<Subset>>,
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
        let wants_of_others = Wants {
            balancers: SmallVec::from_slice(&[config.balancer]),
            subsets: Vec::new(),
        };
        let mut wants: HashMap<_, _, RandomState> = HashMap::default();
        for rule in &mut rules {
            let balancer = rule.balancer;
            for target in rule.targets_mut() {
                let wants = wants.entry(target.service.clone());
                let wants: &mut Wants = wants.or_insert_with(|| wants_of_others.clone());
                target.place = wants.add(balancer, target.subset.as_ref());
            }
        }
        Self {
            all: config.routes.clone(),
            index: Index::build(ranked(&rules, |rule| rule.ports.is_empty())),
            by_port: by_port(&rules),
            rules,
            wants,
            wants_of_others,
            domains: config.host_routing.then(|| normal_domains(domains)),
            unnamed: unnamed(config),
            path: config.path,
            trusted_proxies: config.trusted_proxies.clone(),
            default_balancer: config.balancer,
            limits: config
                .services
                .keys()
                .map(|name| (name.clone(), config.service(name.as_str()).limits))
                .collect(),
            limits_of_others: config.defaults.limits.unwrap_or_default(),
            locality: config.locality.clone(),
        }
    }

    /// Returns what pools are asked for that have these wants.
    pub(super) fn wish<'a>(&'a self, wants: &'a Wants) -> Wish<'a> {
        Wish {
            balancers: &wants.balancers,
            locality: &self.locality,
        }
    }

    /// Returns how near an instance is; `None` where nobody said where signpost stands.
    pub(crate) fn distance(&self, instance: &Instance) -> Option<Distance> {
        (!self.locality.is_nowhere()).then(|| self.locality.distance(instance))
    }

    /// Returns how much a service is given at a time.
    pub(super) fn limits(&self, service: &ServiceName) -> CircuitLimits {
        let own = self.limits.get(service);
        *own.unwrap_or(&self.limits_of_others)
    }

    /// Returns the rules in the order in which they are used.
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Lists the rules that are for all that another one is for, as far as that is easy to tell from
    /// ports, hosts and paths.
    pub(super) fn covering(
        &self,
        ports: &[u16],
        host: &HostPattern,
        path: &PathPattern,
    ) -> Vec<Rank> {
        let mut ranks = self.index.covering(host, path);
        if let Some(index) = ports.first().and_then(|port| self.by_port.get(port)) {
            let all = index.covering(host, path).into_iter();
            let is_at = |rank: &Rank| {
                let other = &self.rules[*rank as usize];
                ports.iter().all(|port| other.is_at(*port))
            };
            ranks.extend(all.filter(is_at));
        }
        ranks
    }

    /// Returns what routes want of a service.
    pub(super) fn wants(&self, service: &ServiceName) -> &Wants {
        self.wants.get(service).unwrap_or(&self.wants_of_others)
    }

    /// Finds the rule that is used for a request.
    ///
    /// `host` is in lower case, `path` in its normal form.
    pub(super) fn find(&self, host: &str, path: &str, facets: &Facets<'_>) -> Option<&Rule> {
        if self.rules.is_empty() {
            return None;
        }
        let rule = |rank: Rank| &self.rules[rank as usize];
        let find =
            |index: &Index| index.find(host, path, |rank| rule(rank).holds(host, path, facets));
        let found = find(&self.index);
        if self.by_port.is_empty() {
            return found.map(rule);
        }
        let at_port = self.by_port.get(&facets.port).and_then(find);
        at_port.into_iter().chain(found).min().map(rule)
    }

    /// Lists the services that a host may name: without a domain that it ends in, then as it is.
    pub(super) fn names<'h>(&self, host: &'h str) -> impl Iterator<Item = &'h str> {
        let domains = self.domains.as_deref();
        let without = domains.unwrap_or_default().iter().filter_map(|domain| {
            let name = host.strip_suffix(domain.as_str())?;
            name.strip_suffix('.')
        });
        let names = without.chain(domains.map(|_| host));
        names.filter(|name| !self.unnamed.contains(*name))
    }
}

impl Wants {
    /// Adds what one route wants; returns the place of the subset.
    fn add(&mut self, balancer: Balancer, subset: Option<&Arc<Subset>>) -> usize {
        if !self.balancers.contains(&balancer) {
            self.balancers.push(balancer);
        }
        let Some(subset) = subset else {
            return 0;
        };
        let place = self.subsets.iter().position(|one| one == subset);
        place.unwrap_or_else(|| {
            self.subsets.push(Arc::clone(subset));
            self.subsets.len() - 1
        })
    }
}

/// Lists the services to which no host leads by its name: those of routes that ask for a password, which
/// would be asked in vain, are among them.
fn unnamed(config: &Config) -> BTreeSet<ServiceName> {
    let guarded = config.routes.iter().filter(|route| route.auth.is_some());
    let guarded = guarded.flat_map(config::Route::services);
    let guarded = guarded.map(|(_, service)| service.clone());
    config.unnamed.iter().cloned().chain(guarded).collect()
}

/// Gives those rules that are wanted with their places among all.
fn ranked(rules: &[Rule], wanted: impl Fn(&Rule) -> bool) -> Vec<(Rank, &Rule)> {
    let ranked = (0..).zip(rules);
    ranked.filter(|(_, rule)| wanted(rule)).collect()
}

/// Makes an index for each port that rules name.
fn by_port(rules: &[Rule]) -> HashMap<u16, Index, RandomState> {
    let mut ranked: HashMap<u16, Vec<_>, RandomState> = HashMap::default();
    for (rank, rule) in (0..).zip(rules) {
        for port in &rule.ports {
            ranked.entry(*port).or_default().push((rank, rule));
        }
    }
    let ranked = ranked.into_iter();
    ranked
        .map(|(port, rules)| (port, Index::build(rules)))
        .collect()
}

/// Puts the domains into the form in which hosts are compared, the longest first.
fn normal_domains(domains: &[String]) -> Vec<String> {
    let normal = |domain: &String| domain.trim_end_matches('.').to_ascii_lowercase();
    let mut domains: Vec<_> = domains.iter().map(normal).collect();
    domains.sort_by_key(|domain| std::cmp::Reverse(domain.len()));
    domains
}
