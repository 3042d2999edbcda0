//! All zones at one version.

use std::{net::IpAddr, sync::Arc, time::Duration};

use registry::{Change, Instance, Service, Snapshot};

use crate::{
    Config, Cookies, Forwarder, Metrics,
    name::{Name, relative},
    policy::Policy,
    reverse::{Found, Reverse},
    table::Node,
    ttl::Ttls,
    zone::Zone,
};

/// Holds all zones and the reverse names at one version of the registry, each answer already
/// encoded.
///
/// Immutable: a change makes new ones, which share with the old all that hasn't changed.
#[derive(Debug, Clone)]
pub struct Zones {
    /// As in the configuration.
    zones: Vec<Zone>,
    /// The places in `zones`, those of the longest domains first.
    most_specific_first: Vec<usize>,
    /// The names of instances by address, each in the first zone that has it.
    reverse: Reverse,
    /// Whether any of the zones is stale, for the reverse names are theirs.
    stale_anywhere: bool,
    snapshot: Snapshot,
    policy: Arc<Policy>,
}

impl Zones {
    /// Builds the zones of a configuration and fills them with everything in a snapshot.
    pub fn build(config: &Config, snapshot: &Snapshot) -> Self {
        let ttls = Arc::new(Ttls::new(&config.ttl));
        let zones: Vec<_> = config
            .zones
            .iter()
            .map(|zone| Zone::build(zone, config, &ttls))
            .collect();
        let mut most_specific_first: Vec<_> = (0..zones.len()).collect();
        let length = |index: &usize| zones[*index].words.domain.as_bytes().len();
        most_specific_first.sort_by_key(|index| std::cmp::Reverse(length(index)));
        let empty = Self {
            reverse: Reverse::build(&config.reverse, &zones),
            zones,
            most_specific_first,
            stale_anywhere: false,
            snapshot: Snapshot::default(),
            policy: Arc::new(Policy::new(config)),
        };
        empty.update(snapshot)
    }

    /// Has names that are nobody's here asked for by `forwarder`; without one nobody is asked.
    #[must_use]
    pub fn with_forwarder(mut self, forwarder: Arc<Forwarder>) -> Self {
        Arc::make_mut(&mut self.policy).forwarder = Some(forwarder);
        self
    }

    /// Has cookies made and checked; without this there are none.
    #[must_use]
    pub fn with_cookies(mut self, cookies: Arc<Cookies>) -> Self {
        Arc::make_mut(&mut self.policy).cookies = Some(cookies);
        self
    }

    /// Has queries counted for the zones' domains; without this all are counted together.
    #[must_use]
    pub fn counted_by(mut self, metrics: &Metrics) -> Self {
        for zone in &mut self.zones {
            let slot = metrics.slot(&zone.words.domain);
            Arc::make_mut(&mut zone.words).slot = slot;
        }
        self.reverse.count_by(metrics);
        self
    }

    /// Returns the zones of the same configuration at another snapshot.
    ///
    /// Costs what has changed since the snapshot that these were made from, however much there is.
    #[must_use]
    pub fn update(&self, snapshot: &Snapshot) -> Self {
        let mut zones = self.clone();
        for change in snapshot.changes_since(&self.snapshot) {
            let old = self.snapshot.service(change.name().as_str());
            match change {
                Change::Put(_, new) => zones.change(old.map(AsRef::as_ref), Some(new)),
                Change::Remove(_) => zones.change(old.map(AsRef::as_ref), None),
            }
        }
        for zone in &mut zones.zones {
            zone.settle(snapshot.stale());
        }
        zones.stale_anywhere = zones.zones.iter().any(|zone| zone.stale);
        zones.snapshot = snapshot.clone();
        zones
    }

    /// Returns the version of the snapshot that the answers are made from.
    pub fn version(&self) -> u64 {
        self.snapshot.version()
    }

    /// Returns the serial number in SOA records: the low 32 bits of the version.
    pub fn serial(&self) -> u32 {
        self.version() as u32
    }

    /// Returns how long clients may keep what they are told of a service: the longest of the zones that
    /// have it, and `None` where no zone does.
    pub fn ttl_of(&self, service: &Service) -> Option<Duration> {
        let zones = self.zones.iter().filter(|zone| {
            let has = |one: &Arc<Instance>| zone.words.takes(&one.origin.source);
            service.instances.iter().any(has)
        });
        let longest = zones.map(|zone| zone.words.ttl_of(service)).max();
        longest.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// Returns the longest that clients may keep what they are told of any service.
    pub fn ttl_max(&self) -> Duration {
        let longest = self.zones.iter().map(|zone| zone.words.ttl_max()).max();
        Duration::from_secs(longest.unwrap_or_default().into())
    }

    /// Finds the most specific zone that a name is in, and the name relative to its domain.
    pub(crate) fn zone_of<'a>(&self, name: &'a [u8]) -> Option<(&Zone, &'a [u8])> {
        self.most_specific_first.iter().find_map(|index| {
            let zone = &self.zones[*index];
            Some((zone, relative(name, zone.words.domain.as_bytes())?))
        })
    }

    /// Finds a reverse name that is ours.
    pub(crate) fn reverse_of(&self, name: &[u8]) -> Option<Found<'_>> {
        self.reverse.find(name)
    }

    pub(crate) fn reverse(&self) -> &Reverse {
        &self.reverse
    }

    /// Lists the names of the instances that are told at an address.
    pub(crate) fn told_at(&self, address: IpAddr) -> impl Iterator<Item = &Name> {
        self.reverse.told_at(address)
    }

    /// Tells whether what isn't known at a name, where `node` stands if anything, doesn't exist.
    ///
    /// While a source of the zone has yet to speak that isn't so: the name may come to be, or a
    /// service may get its first address. A name that leads somewhere is taken as whole, for a
    /// client that asks for A and AAAA would give up both for the sake of one.
    pub(crate) fn knows_all(&self, zone: &Zone, node: Option<&Node>) -> bool {
        self.awaited(zone).next().is_none() || node.is_some_and(Node::leads_somewhere)
    }

    /// Lists the sources of a zone that have yet to speak.
    pub(crate) fn awaited<'a>(&'a self, zone: &'a Zone) -> impl Iterator<Item = &'a Arc<str>> {
        taken(std::slice::from_ref(zone), self.snapshot.unsynced())
    }

    /// Lists the sources that have yet to speak, of which an instance in any zone could come.
    pub(crate) fn awaited_anywhere(&self) -> impl Iterator<Item = &Arc<str>> {
        taken(&self.zones, self.snapshot.unsynced())
    }

    /// Tells whether any of the zones is stale.
    pub(crate) fn is_stale_anywhere(&self) -> bool {
        self.stale_anywhere
    }

    /// Lists the sources of a zone that have lost their stores.
    pub(crate) fn lost<'a>(&'a self, zone: &'a Zone) -> impl Iterator<Item = &'a Arc<str>> {
        taken(std::slice::from_ref(zone), self.snapshot.stale())
    }

    /// Lists the sources that have lost their stores, of which an instance in any zone could come.
    pub(crate) fn lost_anywhere(&self) -> impl Iterator<Item = &Arc<str>> {
        taken(&self.zones, self.snapshot.stale())
    }

    pub(crate) fn zones(&self) -> &[Zone] {
        &self.zones
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    fn change(&mut self, old: Option<&Service>, new: Option<&Service>) {
        for zone in &mut self.zones {
            zone.change(old, new);
        }
        self.reverse.change(&self.zones, old, new);
    }
}

/// Lists those of the sources of which any of the zones has instances.
fn taken<'a>(
    zones: &'a [Zone],
    sources: &'a [Arc<str>],
) -> impl Iterator<Item = &'a Arc<str>> + use<'a> {
    let takes = |source: &&Arc<str>| zones.iter().any(|zone| zone.words.takes(source));
    sources.iter().filter(move |source| takes(source))
}

#[cfg(test)]
mod option_tests;
#[cfg(test)]
pub(crate) mod tests;
