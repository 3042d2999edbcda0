//! What is told at one address.

use std::{fmt, sync::Arc};

use imbl::OrdSet;

use crate::{
    name::Name,
    rrset::{self, RrSet},
    wire::{Answer, OWNER_IS_QUESTION, Section, rtype},
};

/// The most PTR records at one address; of more instances the first by name are told.
///
/// A change would otherwise cost what there is at the address, and all may be at one.
const PTR_RECORDS_MAX: usize = 32;

/// Holds the names of the instances at one address, at least one.
///
/// Hardly ever is it more than one, and there are as many addresses as instances: so that one has
/// nothing beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    One(Name),
    Many(Arc<Many>),
}

/// Holds several names, and the records of those that are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Many {
    targets: OrdSet<Name>,
    set: Option<RrSet>,
}

impl Entry {
    /// Adds a name.
    pub(super) fn insert(&mut self, target: &Name, ttl: u32) {
        match self {
            Self::One(one) if one == target => {}
            Self::One(one) => {
                let mut many = Many {
                    targets: OrdSet::unit(one.clone()),
                    set: None,
                };
                many.targets.insert(target.clone());
                many.encode(ttl);
                *self = Self::Many(Arc::new(many));
            }
            Self::Many(many) => {
                let many = Arc::make_mut(many);
                many.targets.insert(target.clone());
                if many.tells(target) {
                    many.encode(ttl);
                }
            }
        }
    }

    /// Removes a name; returns whether it was the last one.
    #[must_use]
    pub(super) fn remove(&mut self, target: &Name, ttl: u32) -> bool {
        let many = match self {
            Self::One(one) => return one == target,
            Self::Many(many) => Arc::make_mut(many),
        };
        let told = many.tells(target);
        many.targets.remove(target);
        match (many.targets.len(), many.targets.get_min()) {
            (1, Some(one)) => *self = Self::One(one.clone()),
            _ if told => many.encode(ttl),
            _ => {}
        }
        false
    }

    /// Lists the names that are told.
    pub(super) fn told(&self) -> impl Iterator<Item = &Name> {
        let (one, many) = match self {
            Self::One(one) => (Some(one), None),
            Self::Many(many) => (None, Some(many.told())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// Returns the records, which clients may keep for `ttl` seconds.
    pub(super) fn pointers(&self, ttl: u32) -> Option<Pointers<'_>> {
        match self {
            Self::One(target) => Some(Pointers::One { target, ttl }),
            Self::Many(many) => many.set.as_ref().map(Pointers::Many),
        }
    }
}

impl Many {
    fn told(&self) -> impl Iterator<Item = &Name> {
        self.targets.iter().take(PTR_RECORDS_MAX)
    }

    fn tells(&self, target: &Name) -> bool {
        self.told().any(|told| told == target)
    }

    fn encode(&mut self, ttl: u32) {
        self.set = rrset::ptr(self.told(), ttl);
    }
}

/// The PTR records at an address.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pointers<'a> {
    /// One, made when it is asked for.
    One { target: &'a Name, ttl: u32 },
    /// Several.
    Many(&'a RrSet),
}

impl Pointers<'_> {
    /// Calls `visit` with the TTL and the content of each record, until it fails.
    pub(crate) fn each(self, visit: &mut dyn FnMut(u32, &[u8]) -> fmt::Result) -> fmt::Result {
        match self {
            Self::One { target, ttl } => visit(ttl, &[target.as_bytes(), &[0]].concat()),
            Self::Many(set) => set
                .records()
                .try_for_each(|(ttl, content)| visit(ttl, content)),
        }
    }

    /// Writes the records as answers, in an order that `seed` decides; what has no room is cut.
    pub(crate) fn write(self, answer: &mut Answer<'_>, seed: u64) {
        match self {
            Self::One { target, ttl } => {
                let kind = (rtype::PTR, ttl);
                let parts = [target.as_bytes(), &[0]];
                if !answer.put_record(Section::Answer, &OWNER_IS_QUESTION, kind, &parts) {
                    answer.set_truncated();
                }
            }
            Self::Many(set) => set.write(answer, seed),
        }
    }
}
