//! Instances as they are made of records.

use std::{collections::BTreeMap, sync::Arc};

use super::{config::IpSource, task::set_hosts};
use crate::{Entry, Instance, InstanceId, Key, Origin, Port, Refusal, State, Update};

/// How a cluster's records become instances.
#[derive(Debug, Clone)]
pub(super) struct Making {
    pub(super) source: Arc<str>,
    pub(super) ip_sources: Vec<IpSource>,
    pub(super) weight: u16,
}

/// An instance to be.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) service: String,
    pub(super) id: InstanceId,
    pub(super) state: State,
    pub(super) hosts: Vec<String>,
    pub(super) ports: Vec<Port>,
    /// The attribute `mesos`.
    pub(super) kind: Arc<str>,
    pub(super) attributes: BTreeMap<Arc<str>, Arc<str>>,
}

impl Draft {
    /// Makes the entry, or says why there can't be one.
    pub(super) fn finish(self, path: String, making: &Making) -> Update {
        let service = match self.service.parse() {
            Ok(service) => service,
            Err(error) => return refuse(&path, format!("{error}")),
        };
        let origin = Origin {
            source: Arc::clone(&making.source),
            path: path.as_str().into(),
            revision: None,
            since: None,
        };
        let mut instance = Instance::new(self.id, origin);
        // One that starts has no address as yet, and one that is lost may have none.
        if let Err(reason) = set_hosts(&mut instance, &self.hosts)
            && self.state == State::Up
        {
            return refuse(&path, reason);
        }
        instance.state = self.state;
        instance.weight = making.weight;
        instance.ports = self.ports.into_iter().collect();
        instance.attributes = self.attributes;
        instance.attributes.insert("mesos".into(), self.kind);
        Update::Put(Entry::new(Key::new(path), service, vec![instance]))
    }
}

/// Says that a record can't be what it wants to be.
pub(super) fn refuse(path: &str, reason: String) -> Update {
    Update::Refuse(Refusal {
        key: Key::new(path),
        reason,
    })
}
