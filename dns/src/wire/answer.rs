//! Writes an answer.

use super::{ExtendedError, FIXED_BYTES, HEADER_BYTES, Opt, Query, Rcode};

/// The largest offset that a pointer can hold.
const POINTER_MAX: usize = 0x3fff;

const FLAG_QR: u16 = 0x8000;
const FLAG_AA: u16 = 0x0400;
const FLAG_TC: u16 = 0x0200;

/// An answer that is being written: header and question are there, records follow section by
/// section.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    out: &'a mut [u8],
    at: usize,
    /// Where records must end: what is behind is for the OPT record.
    room_end: usize,
    opt: Option<Opt<'a>>,
    counts: [u16; 3],
    authoritative: bool,
    truncated: bool,
    extended_error: Option<ExtendedError>,
}

/// The sections of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Answer,
    Authority,
    Additional,
}

impl<'a> Answer<'a> {
    /// Starts an answer with the query's question, to be ended by `opt`; `None` when not even these
    /// have room in `limit`.
    pub(crate) fn start(
        query: &Query<'_>,
        opt: Option<Opt<'a>>,
        out: &'a mut [u8],
        limit: usize,
    ) -> Option<Self> {
        let opt_bytes = opt.as_ref().map_or(0, Opt::len_max);
        let room_end = limit.min(out.len()).checked_sub(opt_bytes)?;
        let question: &[u8] = query.question.as_ref().map_or(&[], |question| question.raw);
        let at = HEADER_BYTES + question.len();
        out.get_mut(HEADER_BYTES..at)
            .filter(|_| at <= room_end)?
            .copy_from_slice(question);
        Some(Self {
            out,
            at,
            room_end,
            opt,
            counts: [0; 3],
            authoritative: false,
            truncated: false,
            extended_error: None,
        })
    }

    /// Tells whether the answer speaks for the zone (AA).
    pub(crate) fn set_authoritative(&mut self, authoritative: bool) {
        self.authoritative = authoritative;
    }

    /// Says that a set of records was cut (TC).
    pub(crate) fn set_truncated(&mut self) {
        self.truncated = true;
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Says why the query goes as it does, for a client that speaks EDNS.
    pub(crate) fn set_extended_error(&mut self, error: ExtendedError) {
        self.extended_error = Some(error);
    }

    /// Returns where the next byte will stand in the message.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Returns how many bytes of records still have room.
    pub(crate) fn room(&self) -> usize {
        self.room_end - self.at
    }

    /// Copies `records` whole records; returns whether they had room.
    pub(crate) fn put(&mut self, section: Section, records: usize, bytes: &[u8]) -> bool {
        if bytes.len() > self.room() {
            return false;
        }
        self.append(bytes);
        self.count(section, records);
        true
    }

    /// Writes one record whose content is made of `parts`; returns whether it had room.
    pub(crate) fn put_record(
        &mut self,
        section: Section,
        owner: &[u8],
        (rtype, ttl): (u16, u32),
        parts: &[&[u8]],
    ) -> bool {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if owner.len() + FIXED_BYTES + len > self.room() {
            return false;
        }
        self.append(owner);
        self.append(&fixed(rtype, ttl, len));
        for part in parts {
            self.append(part);
        }
        self.count(section, 1);
        true
    }

    /// Writes one record that was encoded without its owner; returns whether it had room.
    ///
    /// The owner is the name at `offset` in the message, behind which there is no pointer.
    pub(crate) fn put_owned_by(&mut self, section: Section, offset: usize, record: &[u8]) -> bool {
        if offset <= POINTER_MAX {
            if 2 + record.len() > self.room() {
                return false;
            }
            self.append(&pointer(offset));
        } else {
            // Too far behind for a pointer: the name again.
            let len = wire_len(&self.out[offset..self.at]);
            if len + record.len() > self.room() {
                return false;
            }
            self.out.copy_within(offset..offset + len, self.at);
            self.at += len;
        }
        self.append(record);
        self.count(section, 1);
        true
    }

    /// Writes the OPT record and the header; returns the message's length.
    pub(crate) fn finish(mut self, query: &Query<'_>, rcode: Rcode) -> usize {
        let mut additionals = self.counts[2];
        if let Some(opt) = &self.opt {
            self.at += opt.write(&mut self.out[self.at..], rcode, self.extended_error);
            additionals += 1;
        }
        let mut flags = FLAG_QR | query.flags | (rcode.code() & 0xf);
        if self.authoritative {
            flags |= FLAG_AA;
        }
        if self.truncated {
            flags |= FLAG_TC;
        }
        let fields = [
            u16::from_be_bytes(query.id),
            flags,
            u16::from(query.question.is_some()),
            self.counts[0],
            self.counts[1],
            additionals,
        ];
        for (to, field) in self.out.chunks_exact_mut(2).zip(fields) {
            to.copy_from_slice(&field.to_be_bytes());
        }
        self.at
    }

    fn append(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn count(&mut self, section: Section, records: usize) {
        // A message has at most 65,535 bytes and a record at least eleven.
        self.counts[section as usize] += records as u16;
    }
}

/// Encodes what stands between a record's owner and its content, which has `len` bytes.
pub(crate) fn fixed(rtype: u16, ttl: u32, len: usize) -> [u8; FIXED_BYTES] {
    let [t1, t2] = rtype.to_be_bytes();
    let [c1, c2] = super::CLASS_IN.to_be_bytes();
    let [ttl1, ttl2, ttl3, ttl4] = ttl.to_be_bytes();
    let [l1, l2] = (len as u16).to_be_bytes();
    [t1, t2, c1, c2, ttl1, ttl2, ttl3, ttl4, l1, l2]
}

/// Encodes a pointer to the name at `offset`, at most [`POINTER_MAX`].
pub(crate) fn pointer(offset: usize) -> [u8; 2] {
    (0xc000 | offset as u16).to_be_bytes()
}

/// Returns the length of the name that `bytes` start with, up to the root's zero byte.
pub(crate) fn wire_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(len @ 1..) = bytes.get(at) {
        at += 1 + usize::from(*len);
    }
    at + 1
}
