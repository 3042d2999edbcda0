//! A service: a name and its instances.

use std::sync::Arc;

use serde::Serialize;

use crate::{App, Instance, InstanceId, ServiceName};

/// Holds all instances of one name, from all sources; shared between snapshots while nothing changes.
///
/// The version doesn't take part in comparisons: it follows from a difference.
#[derive(Debug, Clone, Eq, Serialize)]
pub struct Service {
    /// The name it is asked for by.
    pub name: ServiceName,
    /// Sorted by id, and each id once.
    pub instances: Vec<Arc<Instance>>,
    /// The application behind it, where a source tells of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<Arc<App>>,
    /// How many instances are left out because of the limit `instances_per_service_max`.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: usize,
    /// The version of the snapshot in which it last changed.
    pub version: u64,
}

impl PartialEq for Service {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.instances, &self.app, self.left_out)
            == (&other.name, &other.instances, &other.app, other.left_out)
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
