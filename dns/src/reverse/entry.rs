//! What is told at one address.

use std::{fmt, slice, sync::Arc};

use imbl::OrdSet;
use smallvec::SmallVec;

use crate::{
    name::Name,
    rrset,
    wire::{Answer, OWNER_IS_QUESTION, Section, rtype},
};

/// The most PTR records at one address; of more instances the first by name are told.
const PTR_RECORDS_MAX: usize = 32;

/// Holds the names of the instances at one address, at least one, in order.
///
/// There may be as many addresses as instances, so one name has nothing beside it, and a few are a
/// mere list. But all instances may be at one address too, and a change must not cost what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    One(Name),
    /// Up to as many as are told.
    Few(Arc<[Name]>),
    Many(Arc<OrdSet<Name>>),
}

impl Entry {
    /// Adds a name.
    pub(super) fn insert(&mut self, target: &Name) {
        let names = match self {
            Self::One(one) => slice::from_ref(one),
            Self::Few(few) => few,
            Self::Many(many) => {
                Arc::make_mut(many).insert(target.clone());
                return;
            }
        };
        let Err(at) = names.binary_search(target) else {
            return;
        };
        let (before, after) = names.split_at(at);
        let new = before.iter().chain([target]).chain(after).cloned();
        *self = match names.len() {
            PTR_RECORDS_MAX => Self::Many(Arc::new(new.collect())),
            _ => Self::Few(new.collect()),
        };
    }

    /// Removes a name; returns whether it was the last one.
    #[must_use]
    pub(super) fn remove(&mut self, target: &Name) -> bool {
        let left: SmallVec<[Name; PTR_RECORDS_MAX]> = match self {
            Self::One(one) => return one == target,
            Self::Few(few) => few.iter().filter(|one| *one != target).cloned().collect(),
            Self::Many(many) => {
                let many = Arc::make_mut(many);
                many.remove(target);
                if many.len() > PTR_RECORDS_MAX {
                    return false;
                }
                many.iter().cloned().collect()
            }
        };
        *self = match &left[..] {
            [one] => Self::One(one.clone()),
            few => Self::Few(few.into()),
        };
        false
    }

    /// Lists the names that are told.
    pub(super) fn told(&self) -> impl Iterator<Item = &Name> {
        let (few, many) = match self {
            Self::One(one) => (slice::from_ref(one), None),
            Self::Few(few) => (&few[..], None),
            Self::Many(many) => (&[][..], Some(many)),
        };
        let many = many.into_iter().flat_map(|many| many.iter());
        few.iter().chain(many.take(PTR_RECORDS_MAX))
    }

    /// Returns the records, which clients may keep for `ttl` seconds.
    pub(super) fn pointers(&self, ttl: u32) -> Pointers<'_> {
        Pointers { entry: self, ttl }
    }
}

/// The PTR records at an address, made when they are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pointers<'a> {
    entry: &'a Entry,
    ttl: u32,
}

impl Pointers<'_> {
    /// Calls `visit` with the TTL and the content of each record, until it fails.
    pub(crate) fn each(self, visit: &mut dyn FnMut(u32, &[u8]) -> fmt::Result) -> fmt::Result {
        let mut told = self.entry.told();
        told.try_for_each(|target| visit(self.ttl, &[target.as_bytes(), &[0]].concat()))
    }

    /// Writes the records as answers, in an order that `seed` decides; what has no room is cut.
    pub(crate) fn write(self, answer: &mut Answer<'_>, seed: u64) {
        let told: SmallVec<[&Name; PTR_RECORDS_MAX]> = self.entry.told().collect();
        let (back, front) = told.split_at(rrset::below(seed, told.len() as u32) as usize);
        let all = front.iter().chain(back).all(|target| {
            let kind = (rtype::PTR, self.ttl);
            let parts = [target.as_bytes(), &[0]];
            answer.put_record(Section::Answer, &OWNER_IS_QUESTION, kind, &parts)
        });
        if !all {
            answer.set_truncated();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn told(entry: Option<&Entry>) -> Vec<&Name> {
        entry.map_or_else(Vec::new, |entry| entry.told().collect())
    }

    fn inserted(entry: Option<Entry>, name: &Name) -> Entry {
        entry.map_or_else(
            || Entry::One(name.clone()),
            |mut entry| {
                entry.insert(name);
                entry
            },
        )
    }

    proptest! {
        /// More come and go than are told.
        #[test]
        fn the_first_names_are_told_whatever_came_before(
            steps in prop::collection::vec((any::<bool>(), 0..50_u8), 0..300),
        ) {
            let mut names = BTreeSet::new();
            let mut entry = None::<Entry>;
            // It fills up first.
            let steps = (0..40).map(|name| (true, name)).chain(steps);
            for (comes, name) in steps {
                let name = Name::from(&[1, name][..]);
                if comes {
                    entry = Some(inserted(entry, &name));
                    names.insert(name);
                } else {
                    entry = entry.and_then(|mut entry| (!entry.remove(&name)).then_some(entry));
                    names.remove(&name);
                }
                let first: Vec<_> = names.iter().take(PTR_RECORDS_MAX).collect();
                prop_assert_eq!(told(entry.as_ref()), first);
            }
            let fresh = names.iter().fold(None, |entry, name| Some(inserted(entry, name)));
            prop_assert_eq!(entry, fresh);
        }
    }
}
