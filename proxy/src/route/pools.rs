//! The pools of one service: the whole, and the subsets that routes lead to.

use std::sync::Arc;

use registry::{About, Service};

use super::routes::Routes;
use crate::{circuit::Circuit, config::Subset, pool::Pool};

/// Holds the pools of one service; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Pools {
    pub(super) whole: Arc<Pool>,
    /// In the order in which routes want them; mostly there is none.
    subsets: Option<Arc<[Part]>>,
}

/// A subset and its pool.
type Part = (Arc<Subset>, Arc<Pool>);

impl Pools {
    /// Builds the pools that are wanted; what was in `previous` keeps counters and turns.
    pub(super) fn build(service: &Service, routes: &Routes, previous: Option<&Self>) -> Self {
        let wants = routes.wants(&service.name);
        let before = previous.map(|pools| &*pools.whole);
        let circuit = Circuit::of(
            routes.limits(&service.name),
            before.and_then(|pool| pool.circuit.as_ref()),
        );
        let whole = Pool::build(service, routes.wish(wants), before).within(circuit);
        let whole = Arc::new(whole);
        let subset = |subset: &Arc<Subset>| {
            let instances = service.instances.iter();
            let chosen = instances.filter(|instance| subset.contains(instance));
            let part = Service {
                name: service.name.clone(),
                instances: chosen.cloned().collect(),
                about: About::NOTHING,
                left_out: 0,
                version: service.version,
            };
            let before = previous
                .and_then(|pools| pools.same(subset))
                .map(|pool| &**pool);
            let pool = Pool::of_subset(&part, subset, routes.wish(wants), &whole, before);
            let pool = pool.within(whole.circuit.clone());
            (Arc::clone(subset), Arc::new(pool))
        };
        let subsets = wants.subsets.iter().map(subset);
        Self {
            subsets: (!wants.subsets.is_empty()).then(|| subsets.collect()),
            whole: Arc::clone(&whole),
        }
    }

    /// Returns the pool of the subset at a place among those that are wanted.
    pub(super) fn subset(&self, place: usize) -> Option<&Arc<Pool>> {
        let (_, pool) = self.subsets.as_deref()?.get(place)?;
        Some(pool)
    }

    /// Returns the pool of the same subset, wherever it is.
    pub(super) fn same(&self, subset: &Subset) -> Option<&Arc<Pool>> {
        let mut all = self.subsets.as_deref()?.iter();
        let (_, pool) = all.find(|(one, _)| **one == *subset)?;
        Some(pool)
    }
}
