//! Everything the registry knows at one version.

use std::sync::Arc;

use imbl::{OrdMap, ordmap::DiffItem};

use crate::{Service, ServiceName};

/// Holds every service at one version; immutable.
///
/// Snapshots share what they have in common: making the next one costs what changed, and so does
/// comparing two.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    version: u64,
    services: OrdMap<ServiceName, Arc<Service>>,
    unsynced: Arc<[Arc<str>]>,
    given_up: Arc<[Arc<str>]>,
    stale: Arc<[Arc<str>]>,
}

impl Snapshot {
    /// Creates a snapshot; `unsynced` names the sources that nothing is known from yet.
    pub fn new(
        version: u64,
        services: OrdMap<ServiceName, Arc<Service>>,
        unsynced: Arc<[Arc<str>]>,
    ) -> Self {
        Self {
            version,
            services,
            unsynced,
            given_up: Arc::default(),
            stale: Arc::default(),
        }
    }

    /// Says for which sources nobody waits any longer; without this there are none.
    #[must_use]
    pub fn with_given_up(self, given_up: Arc<[Arc<str>]>) -> Self {
        Self { given_up, ..self }
    }

    /// Says which sources have lost their stores; without this there are none.
    #[must_use]
    pub fn with_stale(self, stale: Arc<[Arc<str>]>) -> Self {
        Self { stale, ..self }
    }

    /// Returns the version: it grows with every change and never goes back, restarts included.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns all services, sorted by name.
    pub fn services(&self) -> &OrdMap<ServiceName, Arc<Service>> {
        &self.services
    }

    /// Returns the service of this name.
    pub fn service(&self, name: &str) -> Option<&Arc<Service>> {
        self.services.get(name)
    }

    /// Returns the names of the sources that haven't told all they have a first time.
    ///
    /// While there is one, a name that isn't here may still exist: ignorance is not absence.
    pub fn unsynced(&self) -> &[Arc<str>] {
        &self.unsynced
    }

    /// Tells whether a source has told all it has at least once.
    ///
    /// One that is waited for no longer hasn't: answers take what it knows for absent, but not who can't
    /// afford to be wrong.
    pub fn has_heard(&self, source: &str) -> bool {
        let mut silent = self.unsynced.iter().chain(&*self.given_up);
        !silent.any(|name| **name == *source)
    }

    /// Returns the names of the sources that have told all they had once, and can't reach their
    /// stores now.
    ///
    /// What they said is still there and still holds: it may be old, and nothing more is known.
    pub fn stale(&self) -> &[Arc<str>] {
        &self.stale
    }

    /// Lists the services that differ from those in `old`, in order of their names.
    ///
    /// Costs what differs, provided that one of the two was made from the other.
    pub fn changes_since<'a>(&'a self, old: &'a Self) -> impl Iterator<Item = Change<'a>> {
        old.services.diff(&self.services).map(|item| match item {
            DiffItem::Add(name, service) => Change::Put(name, service),
            DiffItem::Update { new, .. } => Change::Put(new.0, new.1),
            DiffItem::Remove(name, _) => Change::Remove(name),
        })
    }
}

/// Names one service that differs between two snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// The service is new or different.
    Put(&'a ServiceName, &'a Arc<Service>),
    /// The service is gone.
    Remove(&'a ServiceName),
}

impl<'a> Change<'a> {
    /// Returns the name of the service.
    pub fn name(&self) -> &'a ServiceName {
        match self {
            Self::Put(name, _) | Self::Remove(name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_map, prelude::*};

    use super::*;
    use crate::testing;

    fn services() -> impl Strategy<Value = OrdMap<ServiceName, Arc<Service>>> {
        btree_map("[a-f]", 0..3_u16, 0..6).prop_map(|services| {
            services
                .into_iter()
                .map(|(name, weight)| {
                    let service = testing::service(&name, &[("a", weight)]);
                    (service.name.clone(), Arc::new(service))
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn applying_the_changes_to_the_old_gives_the_new(old in services(), new in services()) {
            let old = Snapshot::new(1, old, Arc::default());
            let new = Snapshot::new(2, new, Arc::default());
            let mut applied = old.services.clone();
            for change in new.changes_since(&old) {
                match change {
                    Change::Put(name, service) => applied.insert(name.clone(), Arc::clone(service)),
                    Change::Remove(name) => applied.remove(name),
                };
            }
            prop_assert_eq!(&applied, &new.services);
        }

        #[test]
        fn a_snapshot_has_no_changes_since_itself(services in services()) {
            let snapshot = Snapshot::new(1, services, Arc::default());
            prop_assert_eq!(snapshot.changes_since(&snapshot.clone()).count(), 0);
        }
    }
}
