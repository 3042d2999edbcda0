//! What can be browsed for: names that all services share (DNS-SD, RFC 6763).

use std::{collections::BTreeSet, mem};

use imbl::{OrdMap, OrdSet};
use registry::Service;
use smallvec::smallvec;

use crate::{
    name::{Name, NameBuf, TooLong},
    rrset,
    table::{Claim, Part, Rank, Table},
    zone::Words,
};

/// The most PTR records at one name for browsing; of more the first by name are told.
///
/// A change would otherwise cost what there is of the kind, and all services may be of one.
pub(crate) const BROWSE_RECORDS_MAX: usize = 64;

/// Holds, for each kind of service such as `_http._tcp`, the names that it leads to; a copy costs
/// nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Browse {
    /// By names relative to the zone's domain; they lead to absolute ones.
    kinds: OrdMap<Name, OrdSet<Name>>,
    /// The names whose records have yet to be made anew.
    stale: BTreeSet<Name>,
}

impl Browse {
    /// Puts what a service can be found by in place of what it was found by before.
    ///
    /// The records follow with [`Browse::settle`], once for all services that change together.
    pub(crate) fn change(&mut self, words: &Words, old: Option<&Service>, new: Option<&Service>) {
        let old = places(words, old);
        let new = places(words, new);
        // First what comes: so a kind whose only member is replaced doesn't go in between.
        for (kind, target) in new.difference(&old) {
            if !self.kinds.contains_key(kind) {
                self.stale.extend(list_of_kinds());
            }
            let targets = self.kinds.entry(kind.clone()).or_default();
            targets.insert(target.clone());
            self.stale.insert(kind.clone());
        }
        for (kind, target) in old.difference(&new) {
            if let Some(targets) = self.kinds.get_mut(kind) {
                targets.remove(target);
                if targets.is_empty() {
                    self.kinds.remove(kind);
                    self.stale.extend(list_of_kinds());
                }
                self.stale.insert(kind.clone());
            }
        }
    }

    /// Makes the records of all that has changed.
    pub(crate) fn settle(&mut self, words: &Words, table: &mut Table) {
        for name in mem::take(&mut self.stale) {
            let told = self.told(&name, words);
            match rrset::ptr(told.iter(), words.ttl) {
                Some(set) => {
                    let part = Part {
                        rank: Rank::Shared,
                        service: None,
                        claim: Claim::Pointers,
                        sets: smallvec![set],
                    };
                    table.put(&name, part);
                }
                None => table.remove(&name, Rank::Shared, &None),
            }
        }
    }

    /// Lists the names that are told at one of the names for browsing.
    pub(crate) fn told(&self, name: &Name, words: &Words) -> Vec<Name> {
        if is_list_of_kinds(name) {
            let absolute = self.kinds.keys().filter_map(|kind| words.absolute(kind));
            return absolute.take(BROWSE_RECORDS_MAX).collect();
        }
        let targets = self.kinds.get(name).into_iter().flatten();
        targets.take(BROWSE_RECORDS_MAX).cloned().collect()
    }

    /// Returns the number of kinds.
    pub(crate) fn kinds(&self) -> usize {
        self.kinds.len()
    }
}

/// Tells whether a name is the one at which the kinds are listed.
pub(crate) fn is_list_of_kinds(name: &Name) -> bool {
    list_of_kinds().as_ref() == Ok(name)
}

/// Returns the name at which the kinds are listed (RFC 6763, section 9), relative to the domain.
fn list_of_kinds() -> Result<Name, TooLong> {
    let mut name = NameBuf::default();
    for label in ["_services", "_dns-sd", "_udp"] {
        name.push(label)?;
    }
    Ok(name.finish())
}

/// Lists what a service is found by: kinds, and where they lead.
///
/// Only instances that clients should be sent to are found.
fn places(words: &Words, service: Option<&Service>) -> BTreeSet<(Name, Name)> {
    let mut places = BTreeSet::new();
    if let Some(service) = service {
        words.names().browse(service, &mut |found| {
            let target = words.absolute(&found.target);
            if words.exclusion(found.instance).is_none() {
                places.extend(target.map(|target| (found.kind, target)));
            }
        });
    }
    places
}
