//! A service: a name and its instances.

use std::sync::Arc;

use serde::Serialize;

use crate::{About, Instance, InstanceId, ServiceName};

/// Holds all instances of one name, from all sources; shared between snapshots while nothing changes.
///
/// The version doesn't take part in comparisons: it follows from a difference.
#[derive(Debug, Clone, Eq, Serialize)]
pub struct Service {
    /// The name it is asked for by.
    pub name: ServiceName,
    /// Sorted by id, and each id once.
    pub instances: Vec<Arc<Instance>>,
    /// What is said of it besides.
    #[serde(flatten)]
    pub about: About,
    /// How many instances are left out because of the limit `instances_per_service_max`.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: usize,
    /// The version of the snapshot in which it last changed.
    pub version: u64,
}

impl PartialEq for Service {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.instances, &self.about, self.left_out)
            == (&other.name, &other.instances, &other.about, other.left_out)
    }
}

impl Service {
    /// Returns the instance with this id.
    pub fn instance(&self, id: &InstanceId) -> Option<&Arc<Instance>> {
        let at = self.instances.binary_search_by(|one| one.id.cmp(id)).ok()?;
        Some(&self.instances[at])
    }

    /// Returns the instances that clients should be sent to.
    pub fn available(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.instances
            .iter()
            .filter(|instance| instance.exclusion().is_none())
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}
