//! Which instances are at an address: PTR records.

mod block;
mod entry;

pub(crate) use block::Block;
pub(crate) use entry::Pointers;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use entry::Entry;
use imbl::OrdMap;
use registry::{Exclusion, Instance, Service, State};

use crate::{
    Metrics, ZoneSlot,
    config::ReverseConfig,
    excerpt::Excerpt,
    name::{Name, relative},
    zone::{Words, Zone},
};

/// Holds the names of the instances at each address; a copy costs nothing.
///
/// In the networks of the configuration the reverse zones are ours. Elsewhere only the names of the
/// addresses that we know are: each is treated as a zone of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reverse {
    /// In order, so that a look tells whether any address starts like a name.
    addresses: OrdMap<IpAddr, Entry>,
    /// What names outside of the networks say of themselves; `None` without zones.
    words: Option<Arc<Words>>,
    /// What the zones of the networks say; none lies in another.
    networks: Arc<[Words]>,
}

/// Says what is known of a reverse name that is ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) words: &'a Words,
    /// How many bytes of the name stand before the domain of the network's zone; `None` where the
    /// name is a zone of its own.
    pub(crate) before_zone: Option<usize>,
    /// The PTR records.
    pub(crate) pointers: Option<Pointers<'a>>,
    /// Whether SOA and NS records stand here.
    pub(crate) is_apex: bool,
    /// Whether there is such a name.
    pub(crate) exists: bool,
    /// Whether another instance could make a difference here.
    pub(crate) may_come: bool,
}

impl Reverse {
    /// Builds the reverse names without any; the first zone says who is responsible.
    pub(crate) fn build(config: &ReverseConfig, zones: &[Zone]) -> Self {
        let ttl = config.ttl.as_ttl();
        let words = zones.first().map(|zone| Words {
            ttl,
            slot: ZoneSlot::NONE,
            ..Words::clone(&zone.words)
        });
        let networks = words.iter().flat_map(|words| {
            let domains = config.networks.iter().map(|network| network.domain());
            domains.map(|domain| Words {
                domain,
                ..words.clone()
            })
        });
        Self {
            addresses: OrdMap::new(),
            networks: networks.collect(),
            words: words.map(Arc::new),
        }
    }

    /// Has queries counted for the zones of the networks.
    pub(crate) fn count_by(&mut self, metrics: &Metrics) {
        for words in Arc::make_mut(&mut self.networks) {
            words.slot = metrics.slot(&words.domain);
        }
    }

    /// Finds a name such as `1.0.0.127.in-addr.arpa`; `None` where it is somebody else's.
    pub(crate) fn find(&self, name: &[u8]) -> Option<Found<'_>> {
        let block = Block::parse(name);
        let address = block.and_then(Block::address);
        let entry = address.and_then(|address| self.addresses.get(&address));
        let pointers = entry.zip(self.words.as_deref());
        let pointers = pointers.map(|(entry, words)| entry.pointers(words.ttl));
        let zone = self.networks.iter().find_map(|words| {
            let before = relative(name, words.domain.as_bytes())?;
            Some((words, before.len()))
        });
        let Some((words, before)) = zone else {
            return Some(Found {
                words: self.words.as_deref()?,
                before_zone: None,
                pointers: Some(pointers?),
                is_apex: true,
                exists: true,
                may_come: false,
            });
        };
        let is_apex = before == 0;
        let known = block.is_some_and(|block| self.knows_any(block));
        Some(Found {
            words,
            before_zone: Some(before),
            pointers,
            is_apex,
            exists: is_apex || known,
            may_come: block.is_some() && !known && (!is_apex || address.is_some()),
        })
    }

    /// Returns what the zones of the networks say.
    pub(crate) fn networks(&self) -> &[Words] {
        &self.networks
    }

    /// Lists the addresses in the zone of a network at which instances are told.
    pub(crate) fn known_in<'a>(
        &'a self,
        words: &'a Words,
    ) -> impl Iterator<Item = (IpAddr, Pointers<'a>)> {
        let block = Block::parse(words.domain.as_bytes()).into_iter();
        let known = block.flat_map(|Block { first, last }| self.addresses.range(first..=last));
        known.map(|(address, entry)| (*address, entry.pointers(words.ttl)))
    }

    fn knows_any(&self, block: Block) -> bool {
        let Block { first, last } = block;
        self.addresses.range(first..=last).next().is_some()
    }

    /// Lists the names that are told at an address.
    pub(crate) fn told_at(&self, address: IpAddr) -> impl Iterator<Item = &Name> {
        self.addresses
            .get(&address)
            .into_iter()
            .flat_map(|entry| entry.told())
    }

    /// Puts the addresses of a service's instances in place of those it had before.
    pub(crate) fn change(&mut self, zones: &[Zone], old: Option<&Service>, new: Option<&Service>) {
        if self.words.is_none() {
            return;
        }
        let old = places(zones, old);
        let new = places(zones, new);
        for (address, target) in old.difference(&new) {
            let entry = self.addresses.get_mut(address);
            if entry.is_some_and(|entry| entry.remove(target)) {
                self.addresses.remove(address);
            }
        }
        for (address, target) in new.difference(&old) {
            match self.addresses.get_mut(address) {
                Some(entry) => entry.insert(target),
                None => drop(self.addresses.insert(*address, Entry::One(target.clone()))),
            }
        }
    }
}

/// Holds a service as each zone has it.
pub(crate) struct Homes<'a> {
    excerpts: Vec<(&'a Zone, Excerpt<'a>)>,
}

impl<'a> Homes<'a> {
    pub(crate) fn new(zones: &'a [Zone], service: &'a Service) -> Self {
        let excerpts = zones
            .iter()
            .filter_map(|zone| Some((zone, zone.words.excerpt(service)?)));
        Self {
            excerpts: excerpts.collect(),
        }
    }

    /// Returns the first zone that has an instance, and its name there; those that are down or
    /// unhealthy have no name that leads to them.
    pub(crate) fn of(&self, instance: &Instance) -> Option<(&'a Zone, Name)> {
        self.excerpts.iter().find_map(|(zone, excerpt)| {
            let service = &*excerpt.service;
            let instance = service.instance(&instance.id)?;
            let is_gone = matches!(
                instance.exclusion_told(),
                Some(Exclusion::State(State::Down) | Exclusion::Unhealthy(_))
            );
            let target = zone.words.canonical(service, instance);
            Some((*zone, target.filter(|_| !is_gone)?))
        })
    }
}

/// Lists where a service's instances are, and what they are called.
fn places(zones: &[Zone], service: Option<&Service>) -> BTreeSet<(IpAddr, Name)> {
    let Some(service) = service else {
        return BTreeSet::new();
    };
    let homes = Homes::new(zones, service);
    let named = service
        .instances
        .iter()
        .filter_map(|instance| Some((instance, homes.of(instance)?.1)));
    named
        .flat_map(|(instance, target)| {
            let addresses = instance.addresses.iter();
            addresses.map(move |address| (*address, target.clone()))
        })
        .collect()
}

#[cfg(test)]
mod tests;
