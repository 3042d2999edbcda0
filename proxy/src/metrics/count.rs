//! Numbers that one thread writes and all may read.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The upper bounds of the durations' histograms, in nanoseconds.
const BOUNDS: [u64; 14] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// How many ranges of durations there are: one more than bounds, for what is above all of them.
const RANGES: usize = BOUNDS.len() + 1;

/// Holds a number; an addition is a load and a store, as one thread alone writes.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

/// Names a range of durations, so that several histograms need not look for it again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    range: usize,
    nanos: u64,
}

/// Sorts durations by length.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    ranges: [Count; RANGES],
    nanos: Count,
}

/// Holds the sum of several histograms.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Sum {
    ranges: [u64; RANGES],
    nanos: u64,
}

/// Counts something as long as it lasts.
#[derive(Debug)]
pub(crate) struct Lasting<'a>(&'a Count);

impl Drop for Lasting<'_> {
    fn drop(&mut self) {
        self.0.subtract(1);
    }
}

impl Count {
    /// Counts something until what is returned is dropped.
    pub(crate) fn lasting(&self) -> Lasting<'_> {
        self.add(1);
        Lasting(self)
    }

    pub(crate) fn add(&self, number: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_add(number), Relaxed);
    }

    pub(crate) fn subtract(&self, number: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_sub(number), Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Took {
    pub(crate) fn new(duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        // Most requests are among the shortest.
        let range = BOUNDS.iter().position(|bound| nanos <= *bound);
        Self {
            range: range.unwrap_or(BOUNDS.len()),
            nanos,
        }
    }
}

impl Histogram {
    pub(crate) fn observe(&self, took: Took) {
        self.ranges[took.range].add(1);
        self.nanos.add(took.nanos);
    }
}

impl Sum {
    pub(crate) fn add(&mut self, histogram: &Histogram) {
        for (sum, range) in self.ranges.iter_mut().zip(&histogram.ranges) {
            *sum += range.read();
        }
        self.nanos = self.nanos.wrapping_add(histogram.nanos.read());
    }

    /// Returns how many durations there are.
    pub(crate) fn count(&self) -> u64 {
        self.ranges.iter().sum()
    }

    /// Returns the sum of all durations, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        Duration::from_nanos(self.nanos).as_secs_f64()
    }

    /// Returns each range's upper bound in seconds and how many durations are in it.
    pub(crate) fn buckets(&self) -> [(f64, u64); RANGES] {
        array::from_fn(|at| {
            let bound = BOUNDS.get(at).map(|nanos| Duration::from_nanos(*nanos));
            let seconds = bound.map_or(f64::INFINITY, |bound| bound.as_secs_f64());
            (seconds, self.ranges[at])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_counted_until_it_ends() {
        let count = Count::default();
        let first = count.lasting();
        let second = count.lasting();
        drop(first);
        assert_eq!(count.read(), 1);
        drop(second);
        assert_eq!(count.read(), 0);
    }

    #[test]
    fn a_duration_is_in_the_range_whose_bound_it_does_not_exceed() {
        let histogram = Histogram::default();
        for micros in [500, 501, 3_000, 11_000_000] {
            histogram.observe(Took::new(Duration::from_micros(micros)));
        }
        let mut sum = Sum::default();
        sum.add(&histogram);
        let filled: Vec<_> = sum
            .buckets()
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(
            filled,
            [(0.000_5, 1), (0.001, 1), (0.005, 1), (f64::INFINITY, 1)]
        );
        assert_eq!(sum.count(), 4);
        assert!((sum.seconds() - 11.004_001).abs() < 1e-9);
    }
}
