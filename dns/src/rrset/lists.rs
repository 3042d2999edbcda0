//! The numbers that stand behind the records of a set.

/// Says which lists of numbers a set has; they stand in the order of these here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lists(u8);

/// Names a list: one number for each record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// Where each record ends in the set's bytes; there is none when they are equally long.
    Ends,
    /// The sums of the weights up to and with each record; there is none when all weigh the same.
    Weights,
    /// Where the additional records of each end, counted from the first one on.
    AdditionalEnds,
}

/// Holds numbers, which may stand anywhere in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers<'a>(pub(super) &'a [Number]);

/// The bytes of a `u32` in the machine's order.
pub(super) type Number = [u8; size_of::<u32>()];

impl Lists {
    /// Tells whether there is a list.
    pub(super) fn have(self, list: List) -> bool {
        self.0 & list.bit() != 0
    }

    /// Puts a list behind those that there are; nothing is done for an empty one.
    pub(super) fn push(&mut self, list: List, numbers: &[u32], bytes: &mut Vec<u8>) {
        if !numbers.is_empty() {
            self.0 |= list.bit();
            bytes.extend(numbers.iter().flat_map(|number| number.to_ne_bytes()));
        }
    }

    /// Returns how many bytes the lists of so many records have.
    pub(super) fn bytes(self, count: usize) -> usize {
        self.0.count_ones() as usize * count * size_of::<u32>()
    }

    /// Returns a list out of the bytes of a set of so many records; empty when there is none.
    pub(super) fn get(self, list: List, bytes: &[u8], count: usize) -> Numbers<'_> {
        if !self.have(list) {
            return Numbers(&[]);
        }
        let from_here = Self(self.0 & !(list.bit() - 1)).bytes(count);
        let lists = &bytes[bytes.len() - from_here..];
        Numbers(&lists.as_chunks().0[..count])
    }
}

impl List {
    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Numbers<'_> {
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(self) -> usize {
        self.0.len()
    }

    pub(super) fn get(self, index: usize) -> u32 {
        u32::from_ne_bytes(self.0[index])
    }

    pub(super) fn iter(self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|bytes| u32::from_ne_bytes(*bytes))
    }

    /// Returns how many numbers, of an ascending list, are not above `limit`.
    pub(super) fn up_to(self, limit: u32) -> usize {
        self.0
            .partition_point(|bytes| u32::from_ne_bytes(*bytes) <= limit)
    }

    /// Returns the part that the numbers `index - 1` and `index` bound.
    pub(super) fn span(self, index: usize) -> std::ops::Range<usize> {
        let start = index.checked_sub(1).map_or(0, |before| self.get(before));
        start as usize..self.get(index) as usize
    }
}
