//! What an endpoint did lately.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::health::outcomes::Sample;

/// In how many parts a window is counted at the most: it is that exact, and takes that much room.
const PARTS: u32 = 10;

/// Counts the outcomes of the last so many seconds.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// What the endpoint had counted when it was looked at last.
    last: Sample,
    /// The oldest first, each from when it begins.
    parts: VecDeque<(Instant, Counts)>,
}

/// Counts outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) successes: u64,
    pub(super) failures: u64,
    /// Of all successes.
    micros: u64,
}

impl Window {
    /// Takes what an endpoint has counted so far; returns how many failures are new.
    ///
    /// One that has counted less than before is a new one.
    pub(super) fn take(&mut self, sample: Sample, length: Duration, now: Instant) -> u64 {
        let last =
            match sample.successes < self.last.successes || sample.failures < self.last.failures {
                true => Sample::default(),
                false => self.last,
            };
        let new = Counts {
            successes: sample.successes - last.successes,
            failures: sample.failures - last.failures,
            micros: sample.micros.saturating_sub(last.micros),
        };
        self.last = sample;
        while let Some((begin, _)) = self.parts.front()
            && now.saturating_duration_since(*begin) >= length
        {
            self.parts.pop_front();
        }
        if new != Counts::default() {
            match self.parts.back_mut() {
                Some((begin, counts)) if now.saturating_duration_since(*begin) < length / PARTS => {
                    counts.add(new);
                }
                _ => self.parts.push_back((now, new)),
            }
        }
        new.failures
    }

    /// Sums up what is in the window.
    pub(super) fn sum(&self) -> Counts {
        let mut sum = Counts::default();
        self.parts.iter().for_each(|(_, counts)| sum.add(*counts));
        sum
    }

    /// Begins anew, with what was counted so far already known.
    pub(super) fn clear(&mut self) {
        self.parts.clear();
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.successes += other.successes;
        self.failures += other.failures;
        self.micros = self.micros.saturating_add(other.micros);
    }

    pub(super) fn requests(self) -> u64 {
        self.successes + self.failures
    }

    /// Returns the mean latency, in microseconds; `None` without a success.
    pub(super) fn latency(self) -> Option<u64> {
        self.micros.checked_div(self.successes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(successes: u64, failures: u64) -> Sample {
        Sample {
            successes,
            failures,
            micros: successes * 1000,
            consecutive: 0,
        }
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut window = Window::default();
        let length = Duration::from_secs(10);
        assert_eq!(window.take(sample(10, 2), length, at(0)), 2);
        assert_eq!(window.take(sample(30, 2), length, at(5)), 0);
        assert_eq!((window.sum().requests(), window.sum().failures), (32, 2));
        assert_eq!(window.sum().latency(), Some(1000));
        window.take(sample(30, 2), length, at(10));
        assert_eq!(window.sum().requests(), 20);
        // Another endpoint, which has counted less.
        assert_eq!(window.take(sample(1, 1), length, at(11)), 1);
        assert_eq!(window.sum().requests(), 22);
        window.take(sample(1, 1), length, at(99));
        assert_eq!(window.sum().latency(), None);
    }

    #[test]
    fn a_window_has_a_limited_number_of_parts() {
        let begin = Instant::now();
        let mut window = Window::default();
        for n in 1..=1000_u64 {
            let now = begin + Duration::from_millis(10 * n);
            window.take(sample(n, 0), Duration::from_secs(5), now);
        }
        assert!(
            window.parts.len() <= PARTS as usize + 1,
            "{}",
            window.parts.len()
        );
        assert!((450..=550).contains(&window.sum().successes));
    }
}
