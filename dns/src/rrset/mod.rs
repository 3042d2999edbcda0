//! Sets of records, encoded when the zone is built.

mod encode;
mod limit;
mod lists;
mod order;
mod svcb;

pub(crate) use encode::{Srv, addresses, cname, ptr, srv, txt};
pub(crate) use order::below;
pub(crate) use svcb::{Svcb, key, svcb};

use std::net::IpAddr;

use limit::Limit;
use lists::{List, Lists, Number, Numbers};

use smallvec::SmallVec;

use crate::wire::{Answer, FIXED_BYTES, OWNER_IS_QUESTION, Section, rtype, wire_len};

/// Holds the records of one type at one name, ready to be copied into an answer.
///
/// Each record's owner is a pointer to the question, so records can be moved freely: what rotates
/// or shuffles an answer is the order in which they are copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RrSet {
    pub(crate) rtype: u16,
    /// The length of each record; 0 when they differ.
    record_bytes: u16,
    count: u32,
    lists: Lists,
    /// The records; behind them the addresses of their targets, as records without owners, those of
    /// one target after those of another; and then the lists.
    ///
    /// All in one piece, for an answer to wait for memory only once.
    bytes: Box<[u8]>,
    /// Where an answer may not have all the records.
    limit: Option<Box<Limit>>,
}

impl RrSet {
    /// Returns the number of records.
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    /// Returns how many records an answer has when it has room.
    pub(crate) fn answered(&self) -> usize {
        let limit = self.limit.as_ref();
        limit.map_or_else(|| self.count(), |limit| limit.count)
    }

    /// Copies as many records as have room, in an order that `seed` decides, and then their
    /// additional ones; says that the answer is truncated when a record had no room.
    ///
    /// Records beyond the set's limit are left out without a word: what is left is the answer.
    pub(crate) fn write(&self, answer: &mut Answer<'_>, seed: u64) {
        let position = answer.position();
        let complete = if self.record_bytes != 0 && self.is_rotated() {
            self.write_rotated(answer, seed)
        } else {
            let (mut complete, mut any) = (true, false);
            self.each(seed, &mut |index| {
                let fits = answer.put(Section::Answer, 1, self.record(index));
                complete &= fits;
                any |= fits;
                // Where nothing has fitted yet, a shorter one may.
                fits || !any
            });
            complete
        };
        if !complete {
            answer.set_truncated();
        } else if self.lists.have(List::AdditionalEnds) {
            self.write_targets(position, answer, seed);
        }
    }

    /// Copies the records as additional ones, owned by the name at `offset`.
    pub(crate) fn write_additional(&self, answer: &mut Answer<'_>, offset: usize) {
        for index in 0..self.count() {
            let record = &self.record(index)[OWNER_IS_QUESTION.len()..];
            if !answer.put_owned_by(Section::Additional, offset, record) {
                return;
            }
        }
    }

    /// Lists the records' TTLs and contents, in the order in which the set was built.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (0..self.count()).filter_map(|index| {
            let record = self.record(index).get(OWNER_IS_QUESTION.len()..)?;
            let (fixed, content) = record.split_first_chunk::<FIXED_BYTES>()?;
            let [_, _, _, _, t1, t2, t3, t4, _, _] = *fixed;
            Some((u32::from_be_bytes([t1, t2, t3, t4]), content))
        })
    }

    /// Lists the addresses in A and AAAA records, in the order in which the set was built.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.records().filter_map(|(_, content)| {
            let v4 = || <[u8; 4]>::try_from(content).ok().map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(content).ok().map(IpAddr::from);
            v4().or_else(v6)
        })
    }

    fn write_rotated(&self, answer: &mut Answer<'_>, seed: u64) -> bool {
        let size = usize::from(self.record_bytes);
        let first = below(seed, self.count) as usize;
        let (back, front) = self.bytes[..self.count() * size].split_at(first * size);
        let mut left = self.answered();
        [front, back].into_iter().all(|part| {
            let wanted = left.min(part.len() / size);
            left -= wanted;
            let fitting = wanted.min(answer.room() / size);
            answer.put(Section::Answer, fitting, &part[..fitting * size]) && fitting == wanted
        })
    }

    /// Writes the addresses of the targets of the records that were written from `position` on.
    fn write_targets(&self, mut position: usize, answer: &mut Answer<'_>, seed: u64) {
        let target = self.target_offset();
        let ends = self.list(List::AdditionalEnds);
        let additional = &self.bytes[self.records_bytes()..];
        // Only of SRV records does each have a target of its own.
        let mut seen = SmallVec::<[&[u8]; 8]>::new();
        // The same seed gives the same records in the same order.
        self.each(seed, &mut |index| {
            let offset = position + target;
            let record = self.record(index);
            position += record.len();
            if self.rtype != rtype::SRV {
                let name = &record[target..][..wire_len(&record[target..])];
                if seen.contains(&name) {
                    return true;
                }
                seen.push(name);
            }
            let mut records = without_owners(&additional[ends.span(index)]);
            records.all(|record| answer.put_owned_by(Section::Additional, offset, record))
        });
    }

    /// Calls `visit` with the place of each record that an answer has, in an order that `seed`
    /// decides, until it returns false.
    fn each(&self, seed: u64, visit: &mut dyn FnMut(usize) -> bool) {
        let mut left = self.answered();
        let mut visit = |index| {
            left -= 1;
            visit(index) && left > 0
        };
        match self.limit.as_ref().map_or(&[][..], |limit| &limit.groups) {
            [] => {
                let weights = self.list(List::Weights);
                order::each(weights, self.count(), seed, &mut visit);
            }
            groups => {
                groups.iter().all(|group| group.each(seed, &mut visit));
            }
        }
    }

    /// Returns how far from its start a record's target stands, behind owner, fixed part and numbers.
    fn target_offset(&self) -> usize {
        let numbers = match self.rtype {
            rtype::SRV => 3,
            _ => 1,
        };
        OWNER_IS_QUESTION.len() + FIXED_BYTES + 2 * numbers
    }

    /// Tells whether an answer's records follow one another as here, whichever is the first.
    fn is_rotated(&self) -> bool {
        let grouped = |limit: &Limit| !limit.groups.is_empty();
        !self.lists.have(List::Weights) && !self.limit.as_deref().is_some_and(grouped)
    }

    /// Returns the length of all records together, the additional ones aside.
    fn records_bytes(&self) -> usize {
        match self.record_bytes {
            0 => self.list(List::Ends).get(self.count() - 1) as usize,
            size => self.count() * usize::from(size),
        }
    }

    fn record(&self, index: usize) -> &[u8] {
        match usize::from(self.record_bytes) {
            0 => &self.bytes[self.list(List::Ends).span(index)],
            size => &self.bytes[index * size..][..size],
        }
    }

    fn list(&self, list: List) -> Numbers<'_> {
        self.lists.get(list, &self.bytes, self.count())
    }
}

/// Takes records without owners apart.
fn without_owners(mut records: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let [.., l1, l2] = *records.first_chunk::<FIXED_BYTES>()?;
        let len = FIXED_BYTES + usize::from(u16::from_be_bytes([l1, l2]));
        let (record, rest) = records.split_at_checked(len)?;
        records = rest;
        Some(record)
    })
}

#[cfg(test)]
mod tests;
