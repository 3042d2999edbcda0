//! The route table: which service a request goes to.

pub(crate) mod action;
pub(crate) mod conditions;
pub(crate) mod coverage;
pub(crate) mod edits;
pub(crate) mod extras;
pub(crate) mod facets;
pub(crate) mod guard;
mod index;
pub(crate) mod path;
pub(crate) mod pattern;
mod pools;
pub(crate) mod redirect;
pub(crate) mod relocation;
pub(crate) mod routes;
pub(crate) mod rule;

use std::{net::Ipv4Addr, sync::Arc};

use foldhash::fast::RandomState;
use imbl::{GenericHashMap, shared_ptr::DefaultSharedPtr};
use registry::{Change, ServiceName, Snapshot};
use smallvec::SmallVec;

use self::{action::Target, facets::Facets, pools::Pools, routes::Routes, rule::Rule};
use crate::{Config, Endpoint, pool::Pool};

/// The longest host that is looked up, in bytes (RFC 1035, section 2.3.4).
const HOST_BYTES_MAX: usize = 255;

type AllPools = GenericHashMap<ServiceName, Pools, RandomState, DefaultSharedPtr>;

/// Leads from host and path to a service; immutable, made anew for every snapshot.
///
/// Tables share what they have in common, so a change costs what it changes; endpoints and their
/// counters are the same in all tables.
#[derive(Debug, Clone)]
pub struct RouteTable {
    version: u64,
    unsynced: bool,
    routes: Arc<Routes>,
    pools: AllPools,
}

/// Says what a request is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Matched<'t> {
    /// A route.
    Rule(&'t Rule),
    /// The service that its host names.
    Named(&'t Arc<Pool>),
}

impl<'t> Matched<'t> {
    /// Returns the route, if it is one.
    pub(crate) fn rule(self) -> Option<&'t Rule> {
        match self {
            Self::Rule(rule) => Some(rule),
            Self::Named(_) => None,
        }
    }
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
                (name.clone(), Pools::build(service, &routes, before))
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
                    let pools = Pools::build(service, &self.routes, self.pools.get(name));
                    table.pools.insert(name.clone(), pools);
                }
                Change::Remove(name) => {
                    table.pools.remove(name);
                }
            }
        }
        table
    }

    /// Returns the service to which a GET without headers goes; of several, the first.
    ///
    /// `host` has no port, and `path` is one that needs no change.
    pub fn service(&self, host: &str, path: &str) -> Option<&ServiceName> {
        let facets = Facets::new("GET", &[], None, Ipv4Addr::LOCALHOST.into(), &[]);
        match self.find(host, path, &facets)? {
            Matched::Rule(rule) => Some(&rule.action.targets().first()?.service),
            Matched::Named(pool) => Some(&pool.service),
        }
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
            return Some(Matched::Rule(rule));
        }
        let mut names = self.routes.names(host);
        let pools = names.find_map(|name| self.pools.get(name))?;
        Some(Matched::Named(&pools.whole))
    }

    /// Returns the pool that a route leads to; `None` when no source knows the service.
    pub(crate) fn pool_of(&self, target: &Target) -> Option<&Arc<Pool>> {
        let pools = self.pools.get(&target.service)?;
        match target.subset {
            None => Some(&pools.whole),
            Some(_) => pools.subset(target.place),
        }
    }

    /// Returns the pool that is now what another table's was; `None` when there is none such any more.
    pub(crate) fn successor(&self, pool: &Pool) -> Option<&Arc<Pool>> {
        let pools = self.pools.get(&pool.service)?;
        match &pool.subset {
            None => Some(&pools.whole),
            Some(subset) => pools.same(subset),
        }
    }

    /// Tells whether there is a service of this name.
    pub(crate) fn knows(&self, service: &ServiceName) -> bool {
        self.pools.contains_key(service)
    }

    /// Returns the pool of a service.
    pub(crate) fn pool(&self, service: &ServiceName) -> Option<&Arc<Pool>> {
        Some(&self.pools.get(service)?.whole)
    }

    /// Tells whether an endpoint may get new requests.
    pub(crate) fn contains(&self, service: &ServiceName, endpoint: &Arc<Endpoint>) -> bool {
        let pools = self.pools.get(service);
        pools.is_some_and(|pools| pools.whole.contains(endpoint))
    }
}

/// Tells whether a path is `prefix` or lies below it; `prefix` has no final slash.
pub(crate) fn is_below(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
