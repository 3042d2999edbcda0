//! Which records of a set an answer has when it may not have all.

use std::collections::BTreeMap;

use super::{Number, Numbers, RrSet, encode, order};
use crate::wire::{FIXED_BYTES, OWNER_IS_QUESTION, rtype};

/// Says how many records of a set an answer has, and from which groups they are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) count: usize,
    /// The SRV, SVCB and HTTPS records by priority, the first to use first; empty for other types.
    ///
    /// Clients keep to the lowest priority they see (RFC 2782, RFC 9460): with only spare instances
    /// in the answer they would go there for no reason.
    pub(super) groups: Box<[Group]>,
}

/// Holds the records of one priority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// Their places in the set.
    indices: Box<[u32]>,
    /// The sums of the weights up to and with each; empty when all weigh the same.
    weights: Box<[Number]>,
}

impl RrSet {
    /// Lets answers have `max` records at the most; 0 is no limit.
    pub(crate) fn set_limit(&mut self, max: u32) {
        let limited = max != 0 && self.count > max;
        let limit = limited.then(|| {
            let groups = match self.rtype {
                rtype::SRV | rtype::SVCB | rtype::HTTPS => self.by_priority(),
                _ => Box::default(),
            };
            let count = max as usize;
            Limit { count, groups }
        });
        self.limit = limit.map(Box::new);
    }

    fn by_priority(&self) -> Box<[Group]> {
        let mut groups = BTreeMap::<u16, (Vec<u32>, Vec<u32>)>::new();
        for index in 0..self.count {
            let content = &self.record(index as usize)[OWNER_IS_QUESTION.len() + FIXED_BYTES..];
            let Some([p1, p2, w1, w2]) = content.first_chunk() else {
                continue;
            };
            let (indices, shares) = groups.entry(u16::from_be_bytes([*p1, *p2])).or_default();
            indices.push(index);
            // Of these, only SRV records have a weight.
            shares.push(match self.rtype {
                rtype::SRV => encode::share(u16::from_be_bytes([*w1, *w2])),
                _ => 1,
            });
        }
        let groups = groups.into_values().map(|(indices, shares)| Group {
            indices: indices.into(),
            weights: encode::sums(shares.into_iter())
                .into_iter()
                .map(u32::to_ne_bytes)
                .collect(),
        });
        groups.collect()
    }
}

impl Group {
    /// Calls `visit` with the place of each record, in an order that `seed` decides, until it
    /// returns false; returns whether it took all.
    pub(super) fn each(&self, seed: u64, visit: &mut dyn FnMut(usize) -> bool) -> bool {
        let mut visit = |at: usize| visit(self.indices[at] as usize);
        order::each(Numbers(&self.weights), self.indices.len(), seed, &mut visit)
    }
}
