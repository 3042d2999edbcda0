//! What the registry keeps of an entry.

use std::sync::Arc;

use crate::{About, Instance, Key, ServiceName};

/// An entry with its instances ready to be shared with snapshots.
#[derive(Debug, PartialEq)]
pub(super) struct Record {
    pub(super) service: ServiceName,
    pub(super) instances: Box<[Arc<Instance>]>,
    pub(super) about: About,
}

impl Record {
    /// Makes a record of an entry of `source`, whose service is called `service`.
    ///
    /// There may be millions, for months: none has room to grow, and a text that is kept elsewhere is
    /// shared with it, as are the name of the service, the source's and the record's own.
    pub(super) fn new(
        source: &Arc<str>,
        key: &Key,
        service: ServiceName,
        instances: Vec<Instance>,
    ) -> Self {
        let keep = |mut instance: Instance| {
            instance.addresses.shrink_to_fit();
            instance.ports.shrink_to_fit();
            let origin = &mut instance.origin;
            if *origin.source == **source {
                origin.source = Arc::clone(source);
            }
            if *origin.path == *key.as_str() {
                origin.path = key.into();
            }
            Arc::new(instance)
        };
        Self {
            service,
            instances: instances.into_iter().map(keep).collect(),
            about: About::NOTHING,
        }
    }

    /// Adds what the entry says of the service itself.
    pub(super) fn with(self, about: About) -> Self {
        Self { about, ..self }
    }

    /// Lists the host names that stand where addresses could.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &Arc<str>> {
        self.instances.iter().filter_map(|one| one.host.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn texts_that_are_known_are_shared_and_nothing_has_room_to_grow() {
        let key = Key::new("/a");
        let mut instance = testing::instance("a", "10.0.0.1", 80);
        instance.ports.reserve(10);
        instance.origin.source = "s".into();
        instance.origin.path = "/a".into();
        let source = "s".into();
        let service = "web".parse().unwrap();
        let record = Record::new(&source, &key, service, vec![instance.clone()]);
        let kept = &record.instances[0];
        assert_eq!(**kept, instance);
        assert!(Arc::ptr_eq(&kept.origin.source, &source));
        assert!(std::ptr::eq(&*kept.origin.path, key.as_str()));
        assert_eq!(kept.ports.capacity(), 1);
    }
}
