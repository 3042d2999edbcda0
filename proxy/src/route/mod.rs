//! The route table: which service a request goes to.

pub(crate) mod path;

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use imbl::{GenericHashMap, shared_ptr::DefaultSharedPtr};
use registry::{Change, Service, ServiceName, Snapshot};
use smallvec::SmallVec;

use crate::{Balancer, Config, Endpoint, config, config::PathRules, pool::Pool};

/// The longest host that is looked up, in bytes (RFC 1035, section 2.3.4).
const HOST_BYTES_MAX: usize = 255;

type Pools = GenericHashMap<ServiceName, Arc<Pool>, RandomState, DefaultSharedPtr>;

/// Leads from host and path to a service; immutable, made anew for every snapshot.
///
/// Tables share what they have in common, so a change costs what it changes; endpoints and their
/// counters are the same in all tables.
#[derive(Debug, Clone)]
pub struct RouteTable {
    version: u64,
    unsynced: bool,
    routes: Arc<Routes>,
    pools: Pools,
}

/// Holds what the configuration says of routes.
#[derive(Debug)]
pub(crate) struct Routes {
    /// As they stand in the configuration.
    pub(crate) all: Vec<config::Route>,
    /// Places in `all`, the longest path first.
    exact: HashMap<String, Vec<usize>, RandomState>,
    /// By what follows `*.`.
    below: HashMap<String, Vec<usize>, RandomState>,
    any: Vec<usize>,
    /// The domains in which services have names, the longest first; `None` without host routing.
    domains: Option<Vec<String>>,
    /// In which form paths are looked up.
    pub(crate) path: PathRules,
    default_balancer: Balancer,
}

/// Says where a request goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matched<'t> {
    /// The route's place in the configuration; `None` when the host named the service.
    pub(crate) route: Option<usize>,
    pub(crate) service: &'t ServiceName,
    /// Absent when no source knows the service.
    pub(crate) pool: Option<&'t Arc<Pool>>,
    pub(crate) balancer: Balancer,
    pub(crate) timeouts: config::RouteTimeouts,
}

impl RouteTable {
    /// Builds the table of a snapshot; endpoints that `previous` has too keep their counters.
    ///
    /// `domains` are those in which DNS gives services their names.
    pub fn build(
        config: &Config,
        domains: &[String],
        snapshot: &Snapshot,
        previous: Option<&Self>,
    ) -> Self {
        let routes = Arc::new(Routes::build(config, domains));
        let pools = snapshot
            .services()
            .iter()
            .map(|(name, service)| {
                let before = previous.and_then(|table| table.pools.get(name));
                (name.clone(), routes.pool(service, before))
            })
            .collect();
        Self {
            version: snapshot.version(),
            unsynced: !snapshot.unsynced().is_empty(),
            routes,
            pools,
        }
    }

    /// Makes the table of the snapshot `new` from this one, which is that of `old`.
    ///
    /// Costs what differs between the snapshots.
    #[must_use]
    pub fn update(&self, old: &Snapshot, new: &Snapshot) -> Self {
        let mut table = self.clone();
        table.version = new.version();
        table.unsynced = !new.unsynced().is_empty();
        for change in new.changes_since(old) {
            match change {
                Change::Put(name, service) => {
                    let pool = self.routes.pool(service, self.pools.get(name));
                    table.pools.insert(name.clone(), pool);
                }
                Change::Remove(name) => {
                    table.pools.remove(name);
                }
            }
        }
        table
    }

    /// Returns the version of the snapshot it was made of.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Tells whether a service that isn't here may still exist.
    pub(crate) fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    pub(crate) fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Finds where a request goes: a route first, else the service that the host names.
    ///
    /// `host` has no port and no final dot; its case doesn't matter. `path` is in its [normal
    /// form](path::normalize).
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<Matched<'_>> {
        let mut lower: SmallVec<[u8; 256]> = SmallVec::new();
        if host.len() <= HOST_BYTES_MAX {
            lower.extend_from_slice(host.as_bytes());
            lower.make_ascii_lowercase();
        }
        let host = std::str::from_utf8(&lower).expect("lower case of a string is a string");
        if let Some(place) = self.routes.find(host, path) {
            let route = &self.routes.all[place];
            return Some(Matched {
                route: Some(place),
                service: &route.service,
                pool: self.pools.get(&route.service),
                balancer: route.balancer.unwrap_or(self.routes.default_balancer),
                timeouts: route.timeouts,
            });
        }
        let mut names = self.routes.names(host);
        let pool = names.find_map(|name| self.pools.get(name))?;
        Some(Matched {
            route: None,
            service: &pool.service,
            pool: Some(pool),
            balancer: self.routes.default_balancer,
            timeouts: config::RouteTimeouts::default(),
        })
    }

    /// Tells whether an endpoint may get new requests.
    pub(crate) fn contains(&self, service: &ServiceName, endpoint: &Arc<Endpoint>) -> bool {
        let pool = self.pools.get(service);
        pool.is_some_and(|pool| pool.contains(endpoint))
    }
}

impl Routes {
    fn build(config: &Config, domains: &[String]) -> Self {
        let mut routes = Self {
            all: config.routes.clone(),
            exact: HashMap::default(),
            below: HashMap::default(),
            any: Vec::new(),
            domains: config.host_routing.then(|| normal_domains(domains)),
            path: config.path,
            default_balancer: config.balancer,
        };
        let mut places: Vec<usize> = (0..config.routes.len()).collect();
        // Stable: of two routes that match the same the first one is used.
        places.sort_by_key(|place| std::cmp::Reverse(config.routes[*place].normal_path().len()));
        for place in places {
            let list = match config.routes[place].normal_host() {
                None => &mut routes.any,
                Some(host) => match host.strip_prefix("*.") {
                    Some(below) => routes.below.entry(below.to_owned()).or_default(),
                    None => routes.exact.entry(host).or_default(),
                },
            };
            list.push(place);
        }
        routes
    }

    /// Builds a service's pool with the balancers that its routes ask for.
    fn pool(&self, service: &Service, previous: Option<&Arc<Pool>>) -> Arc<Pool> {
        let mut kinds: SmallVec<[Balancer; 2]> = SmallVec::new();
        kinds.push(self.default_balancer);
        for route in &self.all {
            let kind = route.balancer.filter(|_| route.service == service.name);
            if let Some(kind) = kind.filter(|kind| !kinds.contains(kind)) {
                kinds.push(kind);
            }
        }
        Arc::new(Pool::build(service, &kinds, previous.map(Arc::as_ref)))
    }

    /// Finds the most specific route: by host before by wildcard before any; then by the longest
    /// path.
    fn find(&self, host: &str, path: &str) -> Option<usize> {
        if self.all.is_empty() {
            return None;
        }
        let first = |places: &Vec<usize>| {
            let mut places = places.iter().copied();
            places.find(|place| is_below(path, self.all[*place].normal_path()))
        };
        self.exact
            .get(host)
            .and_then(first)
            .or_else(|| parents(host).find_map(|parent| self.below.get(parent).and_then(first)))
            .or_else(|| first(&self.any))
    }

    /// Lists the services that a host may name: without a domain that it ends in, then as it is.
    fn names<'h>(&self, host: &'h str) -> impl Iterator<Item = &'h str> {
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

/// Lists what a host is below of: for `a.b.c` it is `b.c`, then `c`.
fn parents(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').map(|(at, _)| &host[at + 1..])
}

/// Tells whether a path is `prefix` or lies below it; `prefix` has no final slash.
pub(crate) fn is_below(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
