//! The one owner of every entry.

mod overlay;
mod record;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use imbl::OrdMap;

use crate::{
    About, Addresses, Entry, InstanceId, Key, Limits, Observation, Refusal, Service, ServiceName,
    Snapshot, Update, merge::merge,
};
use overlay::Overlay;
use record::Record;

/// Holds what every source has said, and makes snapshots of it.
///
/// Pure: it knows no clock, no store and no task. [`Registry::apply`] takes what a source says,
/// [`Registry::observe`] and [`Registry::drain`] what others know of an instance or wish for it,
/// [`Registry::publish`] gives the next snapshot if anything has changed.
#[derive(Debug, Default)]
pub struct Registry {
    limits: Limits,
    version: u64,
    sources: BTreeMap<Arc<str>, Held>,
    /// Which records speak of a service; their order is the order of merging.
    records: HashMap<ServiceName, BTreeSet<(Arc<str>, Key)>>,
    hosts: HashMap<Arc<str>, Host>,
    /// Whether other host names are in use than when somebody last asked.
    hosts_changed: bool,
    /// What lies over the instances of a service; those that have nothing aren't in it.
    overlays: HashMap<ServiceName, Overlay>,
    services: OrdMap<ServiceName, Arc<Service>>,
    unsynced: Arc<[Arc<str>]>,
    given_up: Arc<[Arc<str>]>,
    stale: Arc<[Arc<str>]>,
    dirty: BTreeSet<ServiceName>,
    /// How many instances are left out of services that have too many.
    limited: BTreeMap<ServiceName, usize>,
}

/// What one source has said.
#[derive(Debug, Default)]
struct Held {
    standing: Standing,
    entries: HashMap<Key, Record>,
    /// The first that came, up to `refusals_kept_max`; the others are only counted.
    refused: BTreeMap<Key, String>,
    refused_more: usize,
}

/// How far what a source has said can be taken for all there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Standing {
    /// It hasn't told all it has yet.
    #[default]
    Awaited,
    /// It still hasn't, and is waited for no longer.
    GivenUp,
    /// It has, and says what changes.
    Synced,
    /// It has, and can't say now what has changed since.
    Stale,
}

/// A host name that records use instead of an address.
#[derive(Debug, Default)]
struct Host {
    addresses: Addresses,
    /// How many instances of each service use it.
    users: HashMap<ServiceName, usize>,
}

impl Registry {
    /// Creates a registry without sources, whose first snapshot gets the version after `version`.
    pub fn new(version: u64, limits: Limits) -> Self {
        Self {
            version,
            limits,
            ..Self::default()
        }
    }

    /// Adds a source that hasn't said anything yet; does nothing when there is one of this name.
    pub fn add_source(&mut self, name: &Arc<str>) {
        self.sources.entry(Arc::clone(name)).or_default();
    }

    /// Removes a source and all that it said.
    pub fn remove_source(&mut self, name: &str) {
        let Some((name, held)) = self.sources.remove_entry(name) else {
            return;
        };
        for (key, record) in held.entries {
            self.forget(&name, &key, &record);
        }
    }

    /// Takes what a source says; nothing is done for a source that isn't there.
    pub fn apply(&mut self, source: &str, update: Update) {
        let Some((source, _)) = self.sources.get_key_value(source) else {
            return;
        };
        let source = Arc::clone(source);
        match update {
            Update::Put(entry) => self.put(&source, entry),
            Update::Remove(key) => self.remove(&source, &key),
            Update::Refuse(refusal) => self.refuse(&source, refusal),
            Update::Reset { entries, refused } => self.reset(&source, entries, refused),
        }
    }

    /// Stops waiting for a source's first `Reset`: what it doesn't say is taken as absent from now on.
    pub fn stop_waiting(&mut self, source: &str) {
        if let Some(held) = self.sources.get_mut(source)
            && held.standing == Standing::Awaited
        {
            held.standing = Standing::GivenUp;
        }
    }

    /// Notes that a source can't reach its store, until its next `Reset`; what it said stays.
    ///
    /// Of a source that has said nothing yet there is nothing that could be old.
    pub fn lose(&mut self, source: &str) {
        if let Some(held) = self.sources.get_mut(source)
            && held.standing == Standing::Synced
        {
            held.standing = Standing::Stale;
        }
    }

    /// Takes the addresses of a host name.
    pub fn resolve(&mut self, host: &str, mut addresses: Vec<IpAddr>) {
        addresses.sort_unstable();
        addresses.dedup();
        if let Some(host) = self.hosts.get_mut(host)
            && host.addresses[..] != addresses
        {
            host.addresses = addresses.into_iter().collect();
            self.dirty.extend(host.users.keys().cloned());
        }
    }

    /// Takes what is observed of an instance; it is forgotten when the instance is gone.
    pub fn observe(&mut self, service: ServiceName, id: InstanceId, observation: Observation) {
        self.note(service, |overlay| overlay.observe(id, observation));
    }

    /// Has an instance drain whatever its record says, or no longer; forgotten when it is gone.
    pub fn drain(&mut self, service: ServiceName, id: InstanceId, drained: bool) {
        self.note(service, |overlay| overlay.drain(id, drained));
    }

    /// Gives the next snapshot, or `None` when clients could tell no difference from the last one.
    pub fn publish(&mut self) -> Option<Snapshot> {
        let mut changed = false;
        for name in std::mem::take(&mut self.dirty) {
            changed |= self.rebuild(name);
        }
        let unsynced = self.standing_at(Standing::Awaited);
        if *unsynced != *self.unsynced {
            self.unsynced = unsynced.into();
            changed = true;
        }
        let given_up = self.standing_at(Standing::GivenUp);
        if *given_up != *self.given_up {
            self.given_up = given_up.into();
            changed = true;
        }
        let stale = self.standing_at(Standing::Stale);
        if *stale != *self.stale {
            self.stale = stale.into();
            changed = true;
        }
        changed.then(|| {
            self.version += 1;
            self.snapshot()
        })
    }

    /// Tells whether the last snapshot has this instance.
    pub fn has_instance(&self, service: &ServiceName, id: &InstanceId) -> bool {
        let service = self.services.get(service);
        service.is_some_and(|service| service.instance(id).is_some())
    }

    /// Returns the version of the last snapshot.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the last snapshot.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(
            self.version,
            self.services.clone(),
            Arc::clone(&self.unsynced),
        )
        .with_given_up(Arc::clone(&self.given_up))
        .with_stale(Arc::clone(&self.stale))
    }

    /// Tells whether host names have come or gone since the last call.
    pub fn take_hosts_changed(&mut self) -> bool {
        std::mem::take(&mut self.hosts_changed)
    }

    /// Returns the host names that need addresses.
    pub fn hosts(&self) -> impl Iterator<Item = &Arc<str>> {
        self.hosts.keys()
    }

    /// Tells whether any record uses this host name.
    pub fn has_host(&self, host: &str) -> bool {
        self.hosts.contains_key(host)
    }

    /// Counts what a source has: entries, instances, refused records.
    pub fn counts(&self, source: &str) -> (usize, usize, usize) {
        self.sources.get(source).map_or((0, 0, 0), |held| {
            let instances = held.entries.values().map(|record| record.instances.len());
            let refused = held.refused.len() + held.refused_more;
            (held.entries.len(), instances.sum(), refused)
        })
    }

    /// Lists records of a source that can't be read, sorted by key.
    pub fn refused(&self, source: &str) -> impl Iterator<Item = Refusal> {
        let refused = self.sources.get(source).map(|held| held.refused.iter());
        refused.into_iter().flatten().map(|(key, reason)| Refusal {
            key: key.clone(),
            reason: reason.clone(),
        })
    }

    /// Lists services with more instances than the limit, with how many are left out.
    pub fn limited(&self) -> &BTreeMap<ServiceName, usize> {
        &self.limited
    }

    /// Tells whether any record of this source speaks of the service.
    pub fn speaks_of(&self, source: &str, service: &ServiceName) -> bool {
        let records = self.records.get(service);
        records.is_some_and(|records| records.iter().any(|(of, _)| **of == *source))
    }

    /// Changes what lies over the instances of a service.
    fn note(&mut self, service: ServiceName, change: impl FnOnce(&mut Overlay) -> bool) {
        let overlay = self.overlays.entry(service.clone()).or_default();
        let changed = change(overlay);
        if overlay.is_empty() {
            self.overlays.remove(&service);
        }
        if changed {
            self.dirty.insert(service);
        }
    }

    fn put(&mut self, source: &Arc<str>, entry: Entry) {
        let Some(held) = self.sources.get_mut(source) else {
            return;
        };
        let max = self.limits.entries_per_source_max;
        if held.entries.len() >= max && !held.entries.contains_key(&entry.key) {
            let reason = format!("the source has {max} records already (entries_per_source_max)");
            let key = entry.key;
            self.refuse(source, Refusal { key, reason });
            return;
        }
        held.refused.remove(&entry.key);
        // Texts that are known already are kept, and no second time.
        let known = held.entries.get_key_value(&entry.key);
        let key = known.map_or(entry.key, |(key, _)| key.clone());
        let named = self.records.get_key_value(&entry.service);
        let service = named.map_or(entry.service, |(name, _)| name.clone());
        let record = Record::new(source, &key, service, entry.instances).with(entry.about);
        if known.is_some_and(|(_, old)| *old == record) {
            // The same to clients; the newer revision is kept for `explain`.
            held.entries.insert(key, record);
            return;
        }
        self.remember(source, &key, &record);
        if let Some(old) = self.held(source).entries.insert(key.clone(), record) {
            self.forget_replaced(source, &key, &old);
        }
    }

    fn remove(&mut self, source: &Arc<str>, key: &Key) {
        let held = self.held(source);
        held.refused.remove(key);
        if let Some(old) = held.entries.remove(key) {
            self.forget(source, key, &old);
        }
    }

    fn refuse(&mut self, source: &Arc<str>, refusal: Refusal) {
        let max = self.limits.refusals_kept_max;
        let held = self.held(source);
        if held.refused.len() < max || held.refused.contains_key(&refusal.key) {
            held.refused.insert(refusal.key, refusal.reason);
        } else {
            held.refused_more += 1;
        }
    }

    fn reset(&mut self, source: &Arc<str>, entries: Vec<Entry>, refused: Vec<Refusal>) {
        let held = self.held(source);
        held.standing = Standing::Synced;
        held.refused.clear();
        held.refused_more = 0;
        let mut gone: BTreeSet<Key> = held.entries.keys().cloned().collect();
        for refusal in refused {
            gone.remove(&refusal.key);
            self.refuse(source, refusal);
        }
        for entry in &entries {
            gone.remove(&entry.key);
        }
        // First what goes: a full source has to make room for what comes.
        for key in &gone {
            self.remove(source, key);
        }
        for entry in entries {
            self.put(source, entry);
        }
    }

    /// Lists the names of the sources that stand so, in order.
    fn standing_at(&self, standing: Standing) -> Vec<Arc<str>> {
        let sources = self.sources.iter();
        let sources = sources.filter(|(_, held)| held.standing == standing);
        sources.map(|(name, _)| Arc::clone(name)).collect()
    }

    fn held(&mut self, source: &Arc<str>) -> &mut Held {
        self.sources.entry(Arc::clone(source)).or_default()
    }

    fn remember(&mut self, source: &Arc<str>, key: &Key, record: &Record) {
        self.dirty.insert(record.service.clone());
        self.records
            .entry(record.service.clone())
            .or_default()
            .insert((Arc::clone(source), key.clone()));
        for host in record.hosts() {
            self.hosts_changed |= !self.hosts.contains_key(host);
            let host = self.hosts.entry(Arc::clone(host)).or_default();
            *host.users.entry(record.service.clone()).or_default() += 1;
        }
    }

    /// Undoes `remember` for a record whose key says something else now.
    fn forget_replaced(&mut self, source: &Arc<str>, key: &Key, old: &Record) {
        let still = self.sources[source].entries[key].service == old.service;
        if still {
            self.forget_hosts(old);
        } else {
            self.forget(source, key, old);
        }
    }

    fn forget(&mut self, source: &Arc<str>, key: &Key, record: &Record) {
        self.dirty.insert(record.service.clone());
        if let Some(records) = self.records.get_mut(&record.service) {
            records.remove(&(Arc::clone(source), key.clone()));
            if records.is_empty() {
                self.records.remove(&record.service);
            }
        }
        self.forget_hosts(record);
    }

    fn forget_hosts(&mut self, record: &Record) {
        for name in record.hosts() {
            let Some(host) = self.hosts.get_mut(name) else {
                continue;
            };
            match host.users.get_mut(&record.service) {
                Some(users) if *users > 1 => *users -= 1,
                _ => drop(host.users.remove(&record.service)),
            }
            if host.users.is_empty() {
                self.hosts.remove(name);
                self.hosts_changed = true;
            }
        }
    }

    /// Merges a service anew; returns whether clients could tell a difference.
    fn rebuild(&mut self, name: ServiceName) -> bool {
        let Some(records) = self.records.get(&name) else {
            self.limited.remove(&name);
            self.overlays.remove(&name);
            return self.services.remove(&name).is_some();
        };
        let records = records
            .iter()
            .filter_map(|(source, key)| self.sources.get(source)?.entries.get(key));
        let all = records.clone().map(|record| &record.about);
        let about = all.fold(About::NOTHING, About::and);
        let instances = records.flat_map(|record| record.instances.iter());
        let resolve = |host: &str| self.hosts.get(host).map(|host| host.addresses.clone());
        let mut service = merge(
            &name,
            instances,
            |host| resolve(host).unwrap_or_default(),
            self.limits.instances_per_service_max,
            self.version + 1,
        );
        service.about = about;
        if let Some(overlay) = self.overlays.get_mut(&name) {
            overlay.lay_over(&mut service);
            if overlay.is_empty() {
                self.overlays.remove(&name);
            }
        }
        match service.left_out {
            0 => drop(self.limited.remove(&name)),
            left_out => drop(self.limited.insert(name.clone(), left_out)),
        }
        if self.services.get(&name).map(|old| &**old) == Some(&service) {
            return false;
        }
        self.services.insert(name, Arc::new(service));
        true
    }
}

#[cfg(test)]
mod tests;
