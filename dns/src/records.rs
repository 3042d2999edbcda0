//! What a service's records at one name are.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    net::IpAddr,
};

use registry::{
    Exclusion, Instance, Port, PortName, Protocol, Service, State, Weights, hundredths,
};
use smallvec::SmallVec;

use crate::{
    http,
    name::Name,
    rrset::{self, RrSet, Srv, Svcb},
    schemes::View,
    table::{Claim, Part, Rank},
    wire::rtype,
    zone::Words,
};

impl<'a> View<'a> {
    /// Makes what the service says at the name.
    pub(crate) fn part(self, rank: Rank, service: &Service, words: &Words) -> Part {
        let (claim, mut sets) = match self.alias(service, words) {
            Some(host) => (
                Claim::Alias,
                vec![rrset::cname(&host, words.ttl_of(service))],
            ),
            None => (self.claim(), self.records(service, words)),
        };
        for set in &mut sets {
            set.set_limit(words.max_answers);
        }
        Part {
            rank,
            service: Some(service.name.clone()),
            claim,
            sets: sets.into_iter().collect(),
        }
    }

    /// Returns the host that the name is an alias of.
    ///
    /// An alias has one target: a service whose instances are at several hosts has none, and one with
    /// an instance that has addresses would lose them.
    pub(crate) fn alias(self, service: &Service, words: &Words) -> Option<Name> {
        let mut aliases = match self {
            View::Addresses => self
                .selected(service, words)
                .map(|instance| words.alias(instance)),
            View::Instance(instance) if self.omission(instance, words).is_none() => {
                return words.alias(instance);
            }
            _ => return None,
        };
        let first = aliases.next()??;
        aliases
            .all(|alias| alias.as_ref() == Some(&first))
            .then_some(first)
    }

    /// Makes the records of a name that isn't an alias.
    fn records(self, service: &Service, words: &Words) -> Vec<RrSet> {
        let ttl = words.ttl_of(service);
        match self {
            View::Addresses => {
                let weighted = self.selected(service, words).flat_map(weighted);
                let mut sets = rrset::addresses(weighted, ttl);
                sets.extend(self.svcb_set(service, words));
                sets
            }
            View::MainPorts(_) | View::NamedPorts(..) | View::AllPorts { .. } => {
                let weights = self.weights(service, words);
                let mut records: Vec<_> = self
                    .selected(service, words)
                    .flat_map(|instance| self.srv(service, instance, words, weights))
                    .collect();
                unite(&mut records);
                let svcb = self.svcb_set(service, words);
                rrset::srv(&records, ttl).into_iter().chain(svcb).collect()
            }
            View::Instance(instance) => {
                let omitted = self.omission(instance, words).is_some();
                let served = Some(instance).filter(|_| !omitted);
                let mut sets = rrset::addresses(served.into_iter().flat_map(weighted), ttl);
                // Only who is found by browsing has one in any case (RFC 6763, section 6.1).
                if !instance.attributes.is_empty() {
                    sets.push(rrset::txt(&instance.attributes, ttl));
                }
                sets
            }
            View::Browsed(_, _, instance) => {
                let omitted = self.omission(instance, words).is_some();
                let weights = self.weights(service, words);
                let srv = self.srv(service, instance, words, weights);
                let srv: Vec<_> = srv.into_iter().filter(|_| !omitted).collect();
                let srv = rrset::srv(&srv, ttl);
                let txt = rrset::txt(&instance.attributes, ttl);
                srv.into_iter().chain([txt]).collect()
            }
        }
    }

    /// Lists the instances that are among the records.
    fn selected<'b>(
        self,
        service: &'b Service,
        words: &'b Words,
    ) -> impl Iterator<Item = &'b Instance> + use<'a, 'b> {
        let all = service.instances.iter().map(AsRef::as_ref);
        all.filter(move |instance| self.omission(instance, words).is_none())
    }

    /// Returns how the weights of the name's SRV records are told.
    pub(crate) fn weights(self, service: &Service, words: &Words) -> Weights {
        match self {
            // Of one record the weight means nothing.
            View::Instance(_) | View::Browsed(..) => Weights::default(),
            _ => {
                let selected = self.selected(service, words);
                Weights::of(selected.map(|one| (one, one.observation.told())))
            }
        }
    }

    /// Makes an instance's SRV records, where it has such ports and a name that DNS can carry.
    pub(crate) fn srv<'b>(
        self,
        service: &Service,
        instance: &'b Instance,
        words: &Words,
        weights: Weights,
    ) -> SmallVec<[Srv<'b>; 1]> {
        let mut ports = self.ports(instance).peekable();
        // Only who has a port needs a target.
        let target = ports.peek().and_then(|_| words.target(service, instance));
        let Some((target, addresses)) = target else {
            return SmallVec::new();
        };
        let weight = weights.weight(instance, instance.observation.told());
        let record = |port: &Port| Srv {
            priority: instance.priority,
            weight,
            port: port.number,
            target: target.clone(),
            addresses,
        };
        ports.map(record).collect()
    }

    /// Makes the records that say where an instance speaks HTTP.
    pub(crate) fn svcb<'b>(
        self,
        service: &Service,
        instance: &'b Instance,
        words: &Words,
    ) -> impl Iterator<Item = Svcb<'b>> {
        let endpoints = match self {
            View::Addresses => http::secure(instance),
            View::NamedPorts(..) => {
                let port = self.port(instance);
                port.and_then(http::behind).into_iter().collect()
            }
            View::MainPorts(_) | View::AllPorts { .. } | View::Instance(_) | View::Browsed(..) => {
                SmallVec::new()
            }
        };
        endpoints.into_iter().filter_map(move |endpoint| {
            let (target, addresses) = words.target(service, instance)?;
            Some(Svcb {
                priority: instance.priority.saturating_add(1),
                target,
                endpoint,
                addresses,
            })
        })
    }

    /// Returns the type of the records that say where HTTP is spoken.
    pub(crate) fn svcb_type(self) -> u16 {
        match self {
            View::Addresses => rtype::HTTPS,
            _ => rtype::SVCB,
        }
    }

    fn svcb_set(self, service: &Service, words: &Words) -> Option<RrSet> {
        let records: Vec<_> = self
            .selected(service, words)
            .flat_map(|instance| self.svcb(service, instance, words))
            .collect();
        rrset::svcb(self.svcb_type(), &records, words.ttl_of(service))
    }

    /// Says why an instance isn't among the records; `None` when it is.
    ///
    /// The name of an instance that is starting or draining still answers: whoever got it as the
    /// target of an SRV record a moment ago has to find it.
    pub(crate) fn omission(self, instance: &Instance, words: &Words) -> Option<Omission<'a>> {
        match (self, words.exclusion(instance)) {
            (View::Instance(_) | View::Browsed(..), Some(Exclusion::State(state)))
                if state != State::Down =>
            {
                let nowhere = !words.is_somewhere(instance);
                nowhere.then_some(Omission::Excluded(Exclusion::Unresolved))
            }
            (_, Some(exclusion)) => Some(Omission::Excluded(exclusion)),
            (View::MainPorts(protocol) | View::AllPorts { protocol, .. }, None)
                if self.port(instance).is_none() =>
            {
                Some(Omission::NoPort(protocol))
            }
            (View::NamedPorts(protocol, name), None) if self.port(instance).is_none() => {
                Some(Omission::NoPortNamed(name, protocol))
            }
            _ => None,
        }
    }

    /// Returns the types of records that the name answers with, unless it is an alias.
    fn claim(self) -> Claim {
        match self {
            View::Addresses => Claim::Addresses,
            View::MainPorts(_) | View::NamedPorts(..) | View::AllPorts { .. } => Claim::Ports,
            View::Instance(_) => Claim::Instance,
            View::Browsed(..) => Claim::Browsed,
        }
    }

    /// Returns the port that an instance's SRV record has; the first where there are several.
    pub(crate) fn port(self, instance: &Instance) -> Option<&Port> {
        self.ports(instance).next()
    }

    /// Lists the ports that an instance's SRV records have.
    fn ports(self, instance: &Instance) -> impl Iterator<Item = &Port> {
        let fits = move |port: &&Port| match self {
            View::MainPorts(protocol) => port.protocol == protocol,
            View::NamedPorts(protocol, name) | View::Browsed(protocol, name, _) => {
                port.protocol == protocol && port.name.as_ref() == Some(name)
            }
            View::AllPorts { protocol, only } => {
                let says = |(key, has)| instance.attributes.contains_key(key) == has;
                port.protocol == protocol && only.is_none_or(says)
            }
            View::Addresses | View::Instance(_) => false,
        };
        let most = match self {
            View::AllPorts { .. } => usize::MAX,
            _ => 1,
        };
        instance.ports.iter().filter(fits).take(most)
    }
}

/// Leaves one of the records that say the same: what leads to a name that instances share. The addresses
/// of the others are at that name too, so none go with it.
///
/// Of the ports of one instance, its addresses go with the first.
fn unite(records: &mut Vec<Srv<'_>>) {
    let shared = records
        .windows(2)
        .any(|pair| pair[0].target == pair[1].target);
    if !shared {
        return;
    }
    let mut united: Vec<Srv<'_>> = Vec::new();
    let mut places = HashMap::<_, usize, foldhash::fast::RandomState>::default();
    for record in records.drain(..) {
        match places.entry((record.priority, record.port, record.target.clone())) {
            Entry::Occupied(place) => united[*place.get()].addresses = &[],
            Entry::Vacant(place) => {
                place.insert(united.len());
                united.push(record);
            }
        }
    }
    for nth in (1..united.len()).rev() {
        if united[nth].target == united[nth - 1].target {
            united[nth].addresses = &[];
        }
    }
    *records = united;
}

/// Lists an instance's addresses, with its weight in hundredths.
fn weighted(instance: &Instance) -> impl Iterator<Item = (IpAddr, u32)> {
    let addresses = instance.addresses.iter();
    let weight = hundredths(instance, instance.observation.told());
    addresses.map(move |address| (*address, weight))
}

/// Says why an instance isn't among a name's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Omission<'a> {
    Excluded(Exclusion),
    NoPort(Protocol),
    NoPortNamed(&'a PortName, Protocol),
}

impl fmt::Display for Omission<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Excluded(exclusion) => exclusion.fmt(f),
            Self::NoPort(protocol) => write!(f, "it has no {} port", protocol.label()),
            Self::NoPortNamed(name, protocol) => {
                write!(f, "it has no {} port named {name}", protocol.label())
            }
        }
    }
}

impl Words {
    /// Returns the host that an instance's name is an alias of.
    ///
    /// A host in a zone of ours is none: it would have to be followed here, and might lead in a circle.
    pub(crate) fn alias(&self, instance: &Instance) -> Option<Name> {
        let host = instance.host.as_deref().filter(|_| self.cname)?;
        let host = Name::parse(host).ok()?;
        let mut ours = self.all_domains.iter();
        let here = ours.any(|domain| host.relative_to(domain).is_some());
        (!here).then_some(host)
    }

    /// Tells whether clients should be sent to an instance, and if not, why.
    ///
    /// A host that isn't resolved is left to the clients where the name is an alias.
    pub(crate) fn exclusion(&self, instance: &Instance) -> Option<Exclusion> {
        match instance.exclusion_told() {
            Some(Exclusion::Unresolved) if self.is_somewhere(instance) => None,
            exclusion => exclusion,
        }
    }

    /// Tells whether clients are told where an instance is.
    pub(crate) fn is_somewhere(&self, instance: &Instance) -> bool {
        !instance.addresses.is_empty() || self.alias(instance).is_some()
    }

    /// Returns what SRV and SVCB records lead to, if DNS can carry the name, with the addresses that we
    /// have there.
    ///
    /// A target may not be an alias (RFC 2782), so it is the host itself, which is somebody else's.
    fn target<'a>(
        &self,
        service: &Service,
        instance: &'a Instance,
    ) -> Option<(Name, &'a [IpAddr])> {
        match self.alias(instance) {
            Some(host) => Some((host, &[])),
            None => Some((self.canonical(service, instance)?, &instance.addresses)),
        }
    }

    /// Returns an instance's absolute name, if [`Words::absolute`] gives it and it isn't an alias: PTR
    /// records lead to no other (RFC 2181, section 10.2).
    pub(crate) fn canonical(&self, service: &Service, instance: &Instance) -> Option<Name> {
        if self.alias(instance).is_some() {
            return None;
        }
        self.absolute(&self.names().instance(service, instance)?)
    }

    /// Returns the absolute form of a name in the zone, if DNS can carry it and no other zone is asked
    /// for it.
    pub(crate) fn absolute(&self, name: &Name) -> Option<Name> {
        let hidden = self.cuts.iter().any(|cut| name.relative_to(cut).is_some());
        name.below(&self.domain).ok().filter(|_| !hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_say_the_same_become_one() {
        let here = ["10.0.0.1".parse().unwrap()];
        let record = |target: &str, port| Srv {
            priority: 0,
            weight: 1,
            port,
            target: Name::parse(target).unwrap(),
            addresses: &here,
        };
        let all = [("a", 1), ("a", 1), ("b", 1), ("b", 2), ("a", 1)];
        let mut records: Vec<_> = all.map(|(target, port)| record(target, port)).into();
        unite(&mut records);
        let said: Vec<_> = records
            .iter()
            .map(|one| (one.target.to_string(), one.port, one.addresses.len()))
            .collect();
        let expected = [("a", 1, 0), ("b", 1, 1), ("b", 2, 0)];
        assert_eq!(
            said,
            expected.map(|(a, port, count)| (a.to_owned(), port, count))
        );
    }
}
