//! Short ways to make services, for tests of this crate and of those that read snapshots.

use std::sync::Arc;

use crate::{Instance, InstanceId, Origin, Port, Service, Snapshot};

/// Creates an instance at `host:port` that comes from nowhere.
///
/// # Panics
///
/// Panics when `host` is no host.
pub fn instance(id: &str, host: &str, port: u16) -> Instance {
    let origin = Origin {
        source: "test".into(),
        path: format!("/test/{id}").into(),
        revision: None,
        since: None,
    };
    let mut instance = Instance::new(InstanceId::from_text(id), origin);
    instance.set_host(host).expect("a test names a good host");
    instance.ports.push(Port::tcp(port));
    instance
}

/// Creates a service whose n-th instance, with this id and weight, is at `127.0.0.n:9000+n`.
///
/// # Panics
///
/// Panics when `name` is no service name.
pub fn service(name: &str, ids_and_weights: &[(&str, u16)]) -> Service {
    let instances = (1..).zip(ids_and_weights).map(|(n, (id, weight))| {
        let host = format!("127.0.0.{n}");
        let mut instance = instance(id, &host, 9000 + n);
        instance.weight = *weight;
        instance
    });
    service_of(name, instances)
}

/// Creates a service from instances.
///
/// # Panics
///
/// Panics when `name` is no service name.
pub fn service_of(name: &str, instances: impl IntoIterator<Item = Instance>) -> Service {
    let mut instances: Vec<_> = instances.into_iter().map(Arc::new).collect();
    instances.sort_by(|a, b| a.id.cmp(&b.id));
    Service {
        name: name.parse().expect("a test names a good service"),
        instances,
        left_out: 0,
    }
}

/// Creates a snapshot of services, in which all sources have synced.
pub fn snapshot(version: u64, services: impl IntoIterator<Item = Service>) -> Snapshot {
    let services = services
        .into_iter()
        .map(|service| (service.name.clone(), Arc::new(service)))
        .collect();
    Snapshot::new(version, services, Arc::default())
}
