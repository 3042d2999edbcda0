//! Makes one service of all the entries that speak of it.

use std::{
    collections::{BTreeMap, btree_map},
    sync::Arc,
};

use crate::{About, Addresses, Instance, InstanceId, Service, ServiceName};

/// Merges instances of one service, given in order of their source and record.
///
/// The union of all is the service. Where two records give the same id, the first keeps it. If both mean
/// the same place (same addresses and ports, as when a service moves from one store to another and is
/// in both), the second adds nothing; else it gets an id made of its own and its record's path.
///
/// `resolve` gives the addresses of a host name. Of more than `instances_max` instances the first by id
/// are kept, so that the choice doesn't depend on the order in which they came.
pub(crate) fn merge<'a>(
    name: &ServiceName,
    instances: impl Iterator<Item = &'a Arc<Instance>>,
    resolve: impl Fn(&str) -> Addresses,
    instances_max: usize,
    version: u64,
) -> Service {
    let mut merged: BTreeMap<InstanceId, Arc<Instance>> = BTreeMap::new();
    for instance in instances {
        let instance = match &instance.host {
            Some(host) => with_addresses(instance, resolve(host)),
            None => Arc::clone(instance),
        };
        let instance = match merged.entry(instance.id.clone()) {
            btree_map::Entry::Vacant(vacant) => {
                vacant.insert(instance);
                continue;
            }
            btree_map::Entry::Occupied(held) if same_place(held.get(), &instance) => continue,
            btree_map::Entry::Occupied(_) => with_own_id(&instance),
        };
        merged.entry(instance.id.clone()).or_insert(instance);
    }
    let left_out = merged.len().saturating_sub(instances_max);
    Service {
        name: name.clone(),
        instances: merged.into_values().take(instances_max).collect(),
        about: About::NOTHING,
        left_out,
        version,
    }
}

fn same_place(a: &Instance, b: &Instance) -> bool {
    (&a.addresses, &a.host, &a.ports) == (&b.addresses, &b.host, &b.ports)
}

fn with_addresses(instance: &Instance, addresses: Addresses) -> Arc<Instance> {
    Arc::new(Instance {
        addresses,
        ..instance.clone()
    })
}

fn with_own_id(instance: &Instance) -> Arc<Instance> {
    let Instance { id, origin, .. } = instance;
    // The colon makes it no label, so that a hash of the whole is added.
    let text = format!("{id}:{}:{}", origin.source, origin.path);
    Arc::new(Instance {
        id: InstanceId::from_text(&text),
        ..instance.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn merge_all(instances: &[Arc<Instance>], max: usize) -> Service {
        let name = "web".parse().unwrap();
        merge(&name, instances.iter(), |_| Addresses::new(), max, 1)
    }

    fn instance(id: &str, host: &str, source: &str) -> Arc<Instance> {
        let mut instance = testing::instance(id, host, 80);
        instance.origin.source = source.into();
        instance.into()
    }

    #[test]
    fn the_same_place_in_two_sources_is_one_instance() {
        let both = [
            instance("a", "10.0.0.1", "one"),
            instance("a", "10.0.0.1", "two"),
        ];
        let service = merge_all(&both, 10);
        assert_eq!(service.instances.len(), 1);
        assert_eq!(&*service.instances[0].origin.source, "one");
    }

    #[test]
    fn the_same_id_for_two_places_is_two_instances() {
        let both = [
            instance("a", "10.0.0.1", "one"),
            instance("a", "10.0.0.2", "two"),
        ];
        let service = merge_all(&both, 10);
        let ids: Vec<_> = service.instances.iter().map(|i| i.id.as_str()).collect();
        assert_eq!(ids.len(), 2);
        assert_eq!(ids[0], "a");
        assert!(ids[1].starts_with("a-two--test-a-"), "{ids:?}");
    }

    #[test]
    fn the_limit_keeps_the_first_ids_in_any_order() {
        let mut three = ["c", "a", "b"].map(|id| instance(id, "10.0.0.1", "one"));
        let service = merge_all(&three, 2);
        three.reverse();
        assert_eq!(service, merge_all(&three, 2));
        assert_eq!(
            (service.instances[1].id.as_str(), service.left_out),
            ("b", 1)
        );
    }
}
