//! Which instances are at an address: PTR records.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use imbl::OrdSet;
use registry::{Instance, Service, State};

use crate::{
    excerpt::Excerpt,
    name::{Name, labels, relative},
    rrset::{self, RrSet},
    table::Map,
    zone::Zone,
};

/// The most PTR records at one address; of more instances the first by name are told.
///
/// A change would otherwise cost what there is at the address, and all may be at one.
const PTR_RECORDS_MAX: usize = 32;

/// Holds the names of the instances at each address; a copy costs nothing.
///
/// No reverse zone is ours, only the names of the addresses that we know: each is treated as a zone
/// of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reverse {
    addresses: Map<IpAddr, Entry>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    targets: OrdSet<Name>,
    set: Option<Arc<RrSet>>,
}

impl Reverse {
    /// Returns the PTR records of a name such as `1.0.0.127.in-addr.arpa`.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&RrSet> {
        self.addresses.get(&address(name)?)?.set.as_deref()
    }

    /// Lists the names that are told at an address.
    pub(crate) fn told_at(&self, address: IpAddr) -> impl Iterator<Item = &Name> {
        self.addresses
            .get(&address)
            .into_iter()
            .flat_map(Entry::told)
    }

    /// Puts the addresses of a service's instances in place of those it had before.
    pub(crate) fn change(&mut self, zones: &[Zone], old: Option<&Service>, new: Option<&Service>) {
        let Some(first) = zones.first() else {
            return;
        };
        let ttl = first.words.ttl;
        let old = places(zones, old);
        let new = places(zones, new);
        for (address, target) in old.difference(&new) {
            if let Some(entry) = self.addresses.get_mut(address) {
                let told = entry.is_told(target);
                entry.targets.remove(target);
                if entry.targets.is_empty() {
                    self.addresses.remove(address);
                } else if told {
                    entry.encode(ttl);
                }
            }
        }
        for (address, target) in new.difference(&old) {
            let entry = self.addresses.entry(*address).or_default();
            entry.targets.insert(target.clone());
            if entry.is_told(target) {
                entry.encode(ttl);
            }
        }
    }
}

impl Entry {
    fn told(&self) -> impl Iterator<Item = &Name> {
        self.targets.iter().take(PTR_RECORDS_MAX)
    }

    fn is_told(&self, target: &Name) -> bool {
        self.told().any(|told| told == target)
    }

    fn encode(&mut self, ttl: u32) {
        self.set = rrset::ptr(self.told(), ttl).map(Arc::new);
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

    /// Returns the first zone that has an instance, and its name there; those that are down have no
    /// name that leads to them.
    pub(crate) fn of(&self, instance: &Instance) -> Option<(&'a Zone, Name)> {
        self.excerpts.iter().find_map(|(zone, excerpt)| {
            let service = &*excerpt.service;
            let instance = service.instance(&instance.id)?;
            let known = instance.state != State::Down;
            let target = zone.words.canonical(service, instance);
            Some((*zone, target.filter(|_| known)?))
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

/// Reads the address in a name under `in-addr.arpa` (RFC 1035, section 3.5) or `ip6.arpa` (RFC
/// 3596).
pub(crate) fn address(name: &[u8]) -> Option<IpAddr> {
    if let Some(octets_reversed) = relative(name, b"\x07in-addr\x04arpa") {
        let mut octets = [0; 4];
        let mut labels = labels(octets_reversed);
        for octet in octets.iter_mut().rev() {
            *octet = decimal(labels.next()?)?;
        }
        return labels
            .next()
            .is_none()
            .then(|| Ipv4Addr::from(octets).into());
    }
    let nibbles = relative(name, b"\x03ip6\x04arpa")?;
    let mut bits = 0_u128;
    let mut labels = labels(nibbles);
    for shift in (0..128).step_by(4) {
        let &[digit] = labels.next()? else {
            return None;
        };
        bits |= u128::from(char::from(digit).to_digit(16)?) << shift;
    }
    labels.next().is_none().then(|| Ipv6Addr::from(bits).into())
}

/// Reads a number from 0 to 255; "01" and "+1" are no ways to write 1 here.
fn decimal(label: &[u8]) -> Option<u8> {
    let digits = label.iter().all(u8::is_ascii_digit);
    let shortest = label.len() == 1 || label.first() != Some(&b'0');
    if !digits || !shortest {
        return None;
    }
    str::from_utf8(label).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address_of(text: &str) -> Option<IpAddr> {
        address(Name::parse(text).unwrap().as_bytes())
    }

    #[test]
    fn reverse_names_are_addresses() {
        let v4 = address_of("3.2.0.192.in-addr.arpa");
        assert_eq!(v4, Some("192.0.2.3".parse().unwrap()));
        let v6 = format!(
            "{}8.b.d.0.1.0.0.2.ip6.arpa",
            "1.".to_owned() + &"0.".repeat(23)
        );
        assert_eq!(address_of(&v6), Some("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn other_names_are_none() {
        for text in [
            "in-addr.arpa",
            "1.0.0.127.in-addr.arpa.x",
            "1.0.0.in-addr.arpa",
            "5.1.0.0.127.in-addr.arpa",
            "256.0.0.127.in-addr.arpa",
            "01.0.0.127.in-addr.arpa",
            "+1.0.0.127.in-addr.arpa",
            "00.0.0.127.in-addr.arpa",
            "x.0.0.127.in-addr.arpa",
            "1.ip6.arpa",
        ] {
            assert_eq!(address_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_label_that_ends_like_the_domain_is_not_below_it() {
        let v4 = b"\x011\x010\x010\x03127\x0d\x07in-addr\x04arpa";
        assert_eq!(address(v4), None);
        let v6 = [&b"\x010".repeat(32)[..], b"\x09\x03ip6\x04arpa"].concat();
        assert_eq!(address(&v6), None);
    }

    #[test]
    fn every_octet_has_one_way_to_be_written() {
        for octet in 0..=u8::MAX {
            assert_eq!(decimal(octet.to_string().as_bytes()), Some(octet));
        }
        assert_eq!(decimal(b""), None);
    }
}
