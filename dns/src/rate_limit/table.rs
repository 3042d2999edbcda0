//! Remembers networks in memory that doesn't grow.

/// How many networks share a place: as many as fit in the 64 bytes of a cache line.
const WAYS: usize = 4;

/// Holds an entry for each network, found by the hash of it.
pub(super) struct Table {
    places: Box<[Place]>,
}

/// The networks whose hashes lead to one place.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
struct Place([Entry; WAYS]);

/// Holds what is known of a network; that of one which isn't known is all zeros.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    /// When it has its full burst again, in nanoseconds.
    pub(super) full_at: u64,
    /// How many answers were over the limit.
    pub(super) limited: u32,
    /// The part of the hash that tells networks at one place apart.
    tag: u32,
}

impl Table {
    /// Creates a table for at most `entries` networks, none of which is known.
    pub(super) fn new(entries: usize) -> Self {
        let places = (entries / WAYS).max(1);
        Self {
            places: vec![Place::default(); places].into(),
        }
    }

    /// Returns the entry of the network with this hash.
    ///
    /// One that isn't known takes the place of the network that has its full burst again first. If
    /// that is so already, nothing is lost by it; else that one gets more than it should, and those
    /// that ask for most are still remembered.
    pub(super) fn entry(&mut self, hash: u64) -> &mut Entry {
        let tag = hash as u32;
        // The upper half, scaled to the number of places.
        let place = ((hash >> 32) * self.places.len() as u64) >> 32;
        let entries = &mut self.places[place as usize].0;
        let mut found = 0;
        for (way, entry) in entries.iter().enumerate() {
            if entry.tag == tag {
                return &mut entries[way];
            }
            if entry.full_at < entries[found].full_at {
                found = way;
            }
        }
        entries[found] = Entry {
            tag,
            ..Entry::default()
        };
        &mut entries[found]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_cache_line_and_there_are_no_more_entries_than_asked_for() {
        assert_eq!(size_of::<Place>(), 64);
        for (entries, places) in [(1, 1), (4, 1), (7, 1), (8, 2), (1 << 16, 1 << 14)] {
            assert_eq!(Table::new(entries).places.len(), places);
        }
    }

    #[test]
    fn where_all_is_taken_the_one_that_has_asked_least_is_forgotten() {
        let mut table = Table::new(WAYS);
        for (tag, full_at) in [(1, 50), (2, 30), (3, 40), (4, 60)] {
            table.entry(tag).full_at = full_at;
        }
        assert_eq!(table.entry(5).full_at, 0);
        let left = table.places[0].0.map(|entry| entry.tag);
        assert_eq!(left, [1, 5, 3, 4]);
        assert_eq!(table.entry(4).full_at, 60);
    }

    #[test]
    fn hashes_lead_everywhere() {
        let mut table = Table::new(3 * WAYS);
        for hash in [0, 1 << 31, 1 << 63, u64::MAX] {
            table.entry(hash).full_at = 1;
        }
        let known = table.places.iter().map(|place| {
            let taken = place.0.iter().filter(|entry| entry.full_at == 1);
            taken.count()
        });
        assert_eq!(known.collect::<Vec<_>>(), [2, 1, 1]);
    }
}
