//! Numbers that one thread writes and others read.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The upper bounds of the durations that are counted together, in seconds.
pub(super) const BOUNDS: [f64; 12] = [
    0.000_001,
    0.000_002_5,
    0.000_005,
    0.000_01,
    0.000_025,
    0.000_05,
    0.000_1,
    0.000_25,
    0.000_5,
    0.001,
    0.01,
    0.1,
];

/// A number that one thread writes and others read: to add is to load and to store.
#[derive(Debug, Default)]
pub(super) struct Number(AtomicU64);

impl Number {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, more: u64) {
        self.0
            .store(self.get().wrapping_add(more), Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, less: u64) {
        self.0
            .store(self.get().wrapping_sub(less), Ordering::Relaxed);
    }
}

/// Sorts durations by length.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// One for each bound, and one for what is above all of them.
    pub(super) buckets: [Number; BOUNDS.len() + 1],
    /// The sum of all durations.
    pub(super) nanos: Number,
}

impl Histogram {
    /// Counts `count` events that took `duration` each.
    pub(super) fn observe(&self, duration: Duration, count: u64) {
        let seconds = duration.as_secs_f64();
        self.buckets[BOUNDS.partition_point(|bound| *bound < seconds)].add(count);
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.add(nanos.wrapping_mul(count));
    }
}
