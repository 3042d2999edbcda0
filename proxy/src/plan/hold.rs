//! What keeps a client at one instance.

use std::{
    hash::Hasher,
    net::IpAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use siphasher::sip::SipHasher13;

use super::decision::pool;
use crate::{
    Endpoint, RouteTable, Worker,
    balancers::mix,
    config::Sticky,
    error::Error,
    pool::Pool,
    route::{action::Targets, facets::Facets},
    sticky::cookies,
};

/// Says what keeps a request's client at one instance.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// Stands for the client: equal ones should come to one instance.
    pub(crate) hash: Option<u64>,
    /// Where it is, as its cookie says.
    pub(crate) seated: Option<Seated>,
}

impl Hold {
    /// Tells whether the request belongs to one instance more than to others.
    pub(crate) fn is_somewhere(&self) -> bool {
        self.hash.is_some() || self.seated.is_some()
    }
}

/// Names the instance at which a client is.
#[derive(Debug)]
pub(crate) struct Seated {
    pub(crate) endpoint: Arc<Endpoint>,
    /// Its cookie will be over soon.
    pub(crate) renews: bool,
}

/// Finds the pool for a request and what keeps it there.
///
/// A cookie counts for as long as its instance can be asked, and its target gets requests.
pub(super) fn find<'t>(
    table: &'t RouteTable,
    targets: &Targets,
    sticky: &Sticky,
    facets: &Facets<'_>,
    worker: &Worker,
) -> Result<(&'t Arc<Pool>, Hold), Error> {
    if let Some((pool, seated)) = seated(table, targets, sticky, facets, worker) {
        let seated = Some(seated);
        return Ok((pool, Hold { hash: None, seated }));
    }
    let hash = match &sticky.header {
        Some(name) => facets.values(name).next().map(hash),
        None if sticky.client => Some(match facets.client() {
            IpAddr::V4(address) => hash(&address.octets()),
            IpAddr::V6(address) => hash(&address.octets()),
        }),
        None => None,
    };
    // Mixed, as a balancer's choice in the pool depends on the hash itself.
    let draw = || hash.map_or_else(|| worker.random(), mix);
    let pool = pool(table, targets, draw)?;
    Ok((pool, Hold { hash, seated: None }))
}

/// Returns the time in seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Finds the instance that a cookie names.
fn seated<'t>(
    table: &'t RouteTable,
    targets: &Targets,
    sticky: &Sticky,
    facets: &Facets<'_>,
    worker: &Worker,
) -> Option<(&'t Arc<Pool>, Seated)> {
    let name = sticky.cookie.as_deref()?;
    let (now, ttl) = (unix_seconds(), sticky.ttl.get().as_secs());
    let mut values = cookies(facets.values("cookie"), name);
    values.find_map(|value| {
        let seat = worker.with_sticky_keys(|keys| keys.read(name, value, now))?;
        let targets = targets.all().iter();
        let mut targets = targets.filter(|target| target.service.as_str() == seat.service);
        targets.find_map(|target| {
            let pool = table.pool_of(target)?;
            let endpoint = Arc::clone(pool.named(seat.instance)?);
            let renews = seat.expires - now <= ttl / 2;
            Some((pool, Seated { endpoint, renews }))
        })
    })
}

/// Hashes what stands for a client, in every process alike.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}
