//! The route table: which service a request goes to.

pub(crate) mod conditions;
pub(crate) mod coverage;
pub(crate) mod facets;
mod index;
pub(crate) mod path;
pub(crate) mod pattern;
mod routes;
pub(crate) mod rule;

use std::sync::Arc;

use foldhash::fast::RandomState;
use imbl::{GenericHashMap, shared_ptr::DefaultSharedPtr};
use registry::{Change, Service, ServiceName, Snapshot};
use smallvec::SmallVec;

use self::{facets::Facets, routes::Routes, rule::Rule};
use crate::{Balancer, Config, Endpoint, config, pool::Pool};

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

/// Says where a request goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matched<'t> {
    /// The route; `None` when the host named the service.
    pub(crate) rule: Option<&'t Rule>,
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
                (name.clone(), pool(&routes, service, before))
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
                    let pool = pool(&self.routes, service, self.pools.get(name));
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
    pub(crate) fn find(&self, host: &str, path: &str, facets: &Facets<'_>) -> Option<Matched<'_>> {
        let mut lower: SmallVec<[u8; 256]> = SmallVec::new();
        if host.len() <= HOST_BYTES_MAX {
            lower.extend_from_slice(host.as_bytes());
            lower.make_ascii_lowercase();
        }
        let host = std::str::from_utf8(&lower).expect("lower case of a string is a string");
        if let Some(rule) = self.routes.find(host, path, facets) {
            return Some(Matched {
                rule: Some(rule),
                service: &rule.service,
                pool: self.pools.get(&rule.service),
                balancer: rule.balancer,
                timeouts: rule.timeouts,
            });
        }
        let mut names = self.routes.names(host);
        let pool = names.find_map(|name| self.pools.get(name))?;
        Some(Matched {
            rule: None,
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

/// Builds a service's pool with the balancers that its routes ask for.
fn pool(routes: &Routes, service: &Service, previous: Option<&Arc<Pool>>) -> Arc<Pool> {
    let kinds = routes.balancers(&service.name);
    Arc::new(Pool::build(service, &kinds, previous.map(Arc::as_ref)))
}

/// Tells whether a path is `prefix` or lies below it; `prefix` has no final slash.
pub(crate) fn is_below(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
