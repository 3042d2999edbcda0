//! The names of a zone, and what stands there.

use std::{fmt, sync::Arc};

use crate::{
    Scheme, Zones,
    config::Network,
    name::{Name, NameBuf},
    reverse::Pointers,
    table::{Node, Rank},
    wire::rtype,
    zone::{Words, Zone},
};

/// What a zone is made of.
#[derive(Clone, Copy)]
pub(super) enum Contents<'a> {
    Services(&'a Zone),
    /// The names of instances in a network, whose reverse zone has these words.
    Addresses(&'a Words),
}

/// What stands at a name.
pub(super) enum Standing<'a> {
    Node(&'a Node),
    /// What a service answers with at names that don't exist (RFC 4592).
    Wildcard(&'a Node),
    Pointers(Pointers<'a>),
}

impl<'a> Contents<'a> {
    pub(super) fn words(self) -> &'a Words {
        match self {
            Self::Services(zone) => &zone.words,
            Self::Addresses(words) => words,
        }
    }

    pub(super) fn scheme(self) -> Option<Scheme> {
        match self {
            Self::Services(zone) => Some(zone.words.scheme),
            Self::Addresses(_) => None,
        }
    }

    /// Tells whether answers may have less than all records.
    pub(super) fn is_limited(self) -> bool {
        matches!(self, Self::Services(zone) if zone.words.max_answers > 0)
    }

    /// Lists the zones below this one, relative to its domain.
    pub(super) fn cuts(self) -> &'a [Name] {
        match self {
            Self::Services(zone) => &zone.words.cuts,
            Self::Addresses(_) => &[],
        }
    }

    /// Lists the sources without which the zone isn't complete.
    pub(super) fn awaited(self, zones: &'a Zones) -> Vec<&'a Arc<str>> {
        match self {
            Self::Services(zone) => zones.awaited(zone).collect(),
            Self::Addresses(_) => zones.awaited_anywhere().collect(),
        }
    }

    /// Lists the absolute names below the domain for which this zone, and no other, answers.
    pub(super) fn names(self, zones: &'a Zones) -> Vec<(Name, Standing<'a>)> {
        match self {
            Self::Services(zone) => {
                let names = zone.table.nodes().filter_map(|(relative, node)| {
                    // What is too long to be asked for is no name.
                    let name = relative.below(&zone.words.domain).ok()?;
                    let (owner, _) = zones.zone_of(name.as_bytes())?;
                    std::ptr::eq(owner, zone).then_some((name, node))
                });
                let names = names.flat_map(|(name, node)| {
                    let wildcard = wildcard(zone, &name, node);
                    let wildcard = wildcard.map(|name| (name, Standing::Wildcard(node)));
                    [(name, Standing::Node(node))].into_iter().chain(wildcard)
                });
                names.collect()
            }
            Self::Addresses(words) => {
                let addresses = zones.reverse().known_in(words);
                let names = addresses.map(|(address, pointers)| {
                    let name = Network::from(address).domain();
                    (name, Standing::Pointers(pointers))
                });
                let elsewhere = |name: &Name| zones.zone_of(name.as_bytes()).is_some();
                names.filter(|(name, _)| !elsewhere(name)).collect()
            }
        }
    }
}

impl Standing<'_> {
    /// Calls `visit` with the type, the TTL and the content of each record, until it fails.
    pub(super) fn each_record(
        &self,
        visit: &mut dyn FnMut(u16, u32, &[u8]) -> fmt::Result,
    ) -> fmt::Result {
        let node = match self {
            Self::Node(node) | Self::Wildcard(node) => node,
            Self::Pointers(pointers) => {
                return pointers.each(&mut |ttl, content| visit(rtype::PTR, ttl, content));
            }
        };
        for set in node.sets() {
            let leads = matches!(set.rtype, rtype::A | rtype::AAAA | rtype::CNAME);
            if leads || matches!(self, Self::Node(_)) {
                for (ttl, content) in set.records() {
                    visit(set.rtype, ttl, content)?;
                }
            }
        }
        Ok(())
    }

    /// Tells whether the name exists for its own sake, also without a record.
    pub(super) fn is_bare(&self) -> bool {
        match self {
            Self::Node(node) => !node.parts().is_empty(),
            Self::Wildcard(_) | Self::Pointers(_) => true,
        }
    }
}

/// Returns the name at which a service's wildcard stands, where the zone has them.
fn wildcard(zone: &Zone, name: &Name, node: &Node) -> Option<Name> {
    let speaker = node.speaker(rtype::A)?;
    if !zone.words.wildcard || speaker.rank != Rank::Service {
        return None;
    }
    let mut wildcard = NameBuf::default();
    wildcard.push("*").ok()?;
    wildcard.extend(name.as_bytes()).ok()?;
    Some(wildcard.finish())
}
