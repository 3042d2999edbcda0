//! One zone: a domain and everything that is answered under it.

mod words;

pub(crate) use words::Words;

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use registry::{Instance, Service, ServiceName};

use crate::{
    browse::Browse,
    config::{Config, ZoneConfig},
    name,
    schemes::View,
    table::{Node, Rank, Table},
    ttl::Ttls,
    wire::rtype,
};

/// Holds a domain and what stands at the names under it; a copy costs nothing.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    pub(crate) words: Arc<Words>,
    pub(crate) table: Table,
    /// What is in the table at the names that all services share.
    pub(crate) browse: Browse,
    /// Whether a source that the zone takes has lost its store, so that answers may be old.
    pub(crate) stale: bool,
}

impl Zone {
    /// Builds a zone without services, in which only the name server's addresses are known.
    pub(crate) fn build(zone: &ZoneConfig, config: &Config, ttls: &Arc<Ttls>) -> Self {
        let words = Words::new(zone, config, ttls);
        let listen = config.listen.iter().map(SocketAddr::ip);
        Self {
            table: words.table(listen),
            words: Arc::new(words),
            browse: Browse::default(),
            stale: false,
        }
    }

    /// Puts what a service says in place of what it said before.
    ///
    /// Costs what the service's names are, however many others there are; the records of instances
    /// that haven't changed are left as they are.
    pub(crate) fn change(&mut self, old: Option<&Service>, new: Option<&Service>) {
        let names = self.words.names();
        let old = old.and_then(|old| self.words.excerpt(old));
        let new = new.and_then(|new| self.words.excerpt(new));
        let old = old.as_ref().map(|old| &*old.service);
        let new = new.as_ref().map(|new| &*new.service);
        let mut before = HashMap::<_, _, foldhash::fast::RandomState>::default();
        if let Some(old) = old {
            names.each(old, &mut |name, rank, view| {
                before.insert((name, rank), view);
            });
        }
        if let Some(new) = new {
            names.each(new, &mut |name, rank, view| {
                let key = (name, rank);
                // Only views of one instance can be known to be the same without a look at the
                // others.
                let one = matches!(view, View::Instance(_) | View::Browsed(..));
                let same = |old: View<'_>| one && old == view;
                if !before.remove(&key).is_some_and(same) {
                    self.table.put(&key.0, view.part(rank, new, &self.words));
                }
            });
        }
        self.browse.change(&self.words, old, new);
        for (name, rank) in before.into_keys() {
            let service = old.map(|old| old.name.clone());
            self.table.remove(&name, rank, &service);
        }
    }

    /// Makes the records that services share, and notes whether any of the zone's sources is among
    /// the `stale` ones; to be called when all services have changed.
    pub(crate) fn settle(&mut self, stale: &[Arc<str>]) {
        self.browse.settle(&self.words, &mut self.table);
        self.stale = stale.iter().any(|source| self.words.takes(source));
    }

    /// Finds the service that answers for a name that doesn't exist, as a wildcard below it would
    /// (RFC 4592), and the service's name here.
    ///
    /// Only the closest name above that exists counts: what is below an instance isn't the
    /// service's. Names with an underscore are of ports and protocols, which nobody has made up.
    pub(crate) fn wildcard_for<'a>(&self, name: &'a [u8]) -> Option<(&'a [u8], &Node)> {
        if !self.words.wildcard {
            return None;
        }
        let mut above = name;
        let node = loop {
            if above.get(1) == Some(&b'_') {
                return None;
            }
            above = name::parent(above)?;
            if let Some(node) = self.table.node(above) {
                break node;
            }
        };
        let part = node.speaker(rtype::A)?;
        (part.rank == Rank::Service).then_some((above, node))
    }

    /// Returns the service that is called as an instance is, and answers at its name instead of it.
    pub(crate) fn namesake(&self, service: &Service, instance: &Instance) -> Option<&ServiceName> {
        let name = self.words.names().instance(service, instance)?;
        let part = self.table.node(name.as_bytes())?.speaker(rtype::A)?;
        part.service
            .as_ref()
            .filter(|other| **other != service.name)
    }
}
