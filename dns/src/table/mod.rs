//! The names of a zone and what they answer.

mod trie;

use registry::ServiceName;
use smallvec::SmallVec;
use trie::{Named, Trie};

use crate::{
    name::{self, Name},
    rrset::RrSet,
    wire::rtype,
};

/// Holds what stands at each name of a zone; a copy costs nothing.
///
/// Names that exist only because there are names below them (empty non-terminals, RFC 8020) are in
/// it too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    nodes: Trie<Node>,
}

/// Holds what stands at one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// The name relative to the zone's domain.
    name: Name,
    /// Sorted by rank; hardly ever more than one.
    parts: SmallVec<[Part; 1]>,
    /// How many names are one label below.
    children: u32,
}

/// Holds what one service has to say at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) rank: Rank,
    /// The service; `None` for what the zone itself says, or all services together.
    pub(crate) service: Option<ServiceName>,
    /// The types that it alone answers, be it with nothing.
    pub(crate) claim: Claim,
    pub(crate) sets: SmallVec<[RrSet; 1]>,
}

/// Says who is asked first where several have something to say at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rank {
    /// The service that is called so.
    Service,
    /// A service of which something is called so: an instance, a port.
    Within,
    /// The zone: its name server.
    Zone,
    /// All services together: what can be browsed for.
    Shared,
}

/// Says which types a part answers, even when it has no record of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// All there are: the name is an alias, and nothing else stands there (RFC 1034, section 3.6.2).
    Alias,
    /// Addresses, and where HTTP is spoken at them.
    Addresses,
    /// Ports, and which HTTP is spoken there.
    Ports,
    /// Addresses and attributes of one instance.
    Instance,
    /// A port and attributes of one instance.
    Browsed,
    /// Where else to look.
    Pointers,
}

impl Table {
    /// Returns what stands at a name; `None` when it doesn't exist.
    pub(crate) fn node(&self, name: &[u8]) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// Lists the names, in no particular order, and what stands there.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&Name, &Node)> {
        self.nodes.iter().map(|node| (&node.name, node))
    }

    /// Puts a part at a name, in place of the one of the same rank and service.
    pub(crate) fn put(&mut self, name: &Name, part: Part) {
        match self.nodes.get_mut(name.as_bytes()) {
            Some(node) => node.put(part),
            None => {
                let mut node = Node::new(name.clone());
                node.put(part);
                self.nodes.insert(node);
                self.adopt(name.as_bytes());
            }
        }
    }

    /// Takes the part of this rank and service away from a name.
    pub(crate) fn remove(&mut self, name: &Name, rank: Rank, service: &Option<ServiceName>) {
        if let Some(node) = self.nodes.get_mut(name.as_bytes()) {
            node.parts
                .retain(|part| (part.rank, &part.service) != (rank, service));
            self.clear(name.as_bytes());
        }
    }

    /// Counts a new name as a child of the one above, which comes to be if need be.
    fn adopt(&mut self, mut name: &[u8]) {
        while let Some(parent) = name::parent(name).filter(|parent| !parent.is_empty()) {
            if let Some(node) = self.nodes.get_mut(parent) {
                node.children += 1;
                return;
            }
            self.nodes.insert(Node {
                children: 1,
                ..Node::new(Name::from(parent))
            });
            name = parent;
        }
    }

    /// Removes a name at which nothing stands any more, and those above that existed for it alone.
    fn clear(&mut self, mut name: &[u8]) {
        while self.nodes.get(name).is_some_and(|node| node.is_gone()) {
            self.nodes.remove(name);
            let Some(parent) = name::parent(name).filter(|parent| !parent.is_empty()) else {
                return;
            };
            if let Some(node) = self.nodes.get_mut(parent) {
                node.children -= 1;
            }
            name = parent;
        }
    }
}

impl Node {
    fn new(name: Name) -> Self {
        Self {
            name,
            parts: SmallVec::new(),
            children: 0,
        }
    }

    /// Returns the records of a type; those of the part that speaks for it.
    pub(crate) fn set(&self, rtype: u16) -> Option<&RrSet> {
        let sets = &self.speaker(rtype)?.sets;
        sets.iter().find(|set| set.rtype == rtype)
    }

    /// Lists the records of each type; those of the parts that speak for them.
    pub(crate) fn sets(&self) -> impl Iterator<Item = &RrSet> {
        let sets = self
            .parts
            .iter()
            .flat_map(|part| part.sets.iter().map(move |set| (part, set)));
        sets.filter_map(|(part, set)| {
            let speaker = self.speaker(set.rtype)?;
            std::ptr::eq(speaker, part).then_some(set)
        })
    }

    /// Returns what a question of a type is answered with: the name's alias, whatever the type, or the
    /// records of it.
    pub(crate) fn answer(&self, qtype: u16) -> Option<&RrSet> {
        self.set(rtype::CNAME).or_else(|| self.set(qtype))
    }

    /// Returns the part that speaks for a type: the first that claims it.
    ///
    /// An alias speaks when it is asked first, and then alone; there is none where anybody goes before
    /// it.
    pub(crate) fn speaker(&self, rtype: u16) -> Option<&Part> {
        let first = self.parts.first()?;
        if first.claim == Claim::Alias {
            return Some(first);
        }
        self.parts.iter().find(|part| part.claim.covers(rtype))
    }

    /// Lists what the services (and the zone) have to say here, the one that is asked first first.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Tells whether there is a record of any type.
    pub(crate) fn has_records(&self) -> bool {
        let others = [rtype::TXT, rtype::PTR, rtype::HTTPS];
        self.leads_somewhere() || others.into_iter().any(|rtype| self.set(rtype).is_some())
    }

    /// Tells whether there is an address, a port or an alias: TXT alone is what is said of an instance
    /// whose address isn't known.
    pub(crate) fn leads_somewhere(&self) -> bool {
        [rtype::A, rtype::AAAA, rtype::SRV, rtype::CNAME]
            .into_iter()
            .any(|rtype| self.set(rtype).is_some())
    }

    fn put(&mut self, part: Part) {
        let key = |part: &Part| (part.rank, part.service.clone());
        match self.parts.binary_search_by_key(&key(&part), key) {
            Ok(at) => self.parts[at] = part,
            Err(at) => self.parts.insert(at, part),
        }
    }

    fn is_gone(&self) -> bool {
        self.parts.is_empty() && self.children == 0
    }
}

impl Named for Node {
    fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

impl Claim {
    /// Tells whether this claim is for records of a type, among others.
    fn covers(self, rtype: u16) -> bool {
        match self {
            Self::Alias => false,
            Self::Addresses => matches!(rtype, rtype::A | rtype::AAAA | rtype::HTTPS),
            Self::Ports => matches!(rtype, rtype::SRV | rtype::SVCB),
            Self::Instance => matches!(rtype, rtype::A | rtype::AAAA | rtype::TXT),
            Self::Browsed => matches!(rtype, rtype::SRV | rtype::TXT),
            Self::Pointers => rtype == rtype::PTR,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(rank: Rank, service: &str) -> Part {
        Part {
            rank,
            service: Some(service.parse().unwrap()),
            claim: Claim::Addresses,
            sets: SmallVec::new(),
        }
    }

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn names_above_come_and_go_with_those_below() {
        let mut table = Table::default();
        table.put(&name("a.b.c"), part(Rank::Service, "x"));
        table.put(&name("d.b.c"), part(Rank::Service, "x"));
        assert_eq!(table.nodes().count(), 4);
        assert!(!table.node(name("b.c").as_bytes()).unwrap().has_records());
        table.remove(&name("a.b.c"), Rank::Service, &Some("x".parse().unwrap()));
        assert_eq!(table.nodes().count(), 3);
        table.remove(&name("d.b.c"), Rank::Service, &Some("y".parse().unwrap()));
        assert_eq!(table.nodes().count(), 3);
        table.remove(&name("d.b.c"), Rank::Service, &Some("x".parse().unwrap()));
        assert_eq!(table, Table::default());
    }

    proptest! {
        /// Names over a tiny alphabet, so that they stand above and below one another.
        #[test]
        fn the_order_of_changes_leaves_no_trace(
            puts in prop::collection::vec(("[ab](\\.[ab]){0,3}", "[xy]", any::<bool>()), 0..20),
            removes in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let rank = |within| if within { Rank::Within } else { Rank::Service };
            let mut table = Table::default();
            for (at, service, within) in &puts {
                table.put(&name(at), part(rank(*within), service));
            }
            let mut left: std::collections::BTreeSet<_> = puts.iter().collect();
            for index in removes {
                if puts.is_empty() {
                    break;
                }
                let one = index.get(&puts);
                left.remove(one);
                let (at, service, within) = one;
                table.remove(&name(at), rank(*within), &Some(service.parse().unwrap()));
            }
            let mut fresh = Table::default();
            for (at, service, within) in left {
                fresh.put(&name(at), part(rank(*within), service));
            }
            prop_assert_eq!(table, fresh);
        }
    }
}
