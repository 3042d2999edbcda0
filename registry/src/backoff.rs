//! How long to wait before trying again.

use std::time::Duration;

/// Gives growing waits with jitter: exponential from `min` to `max`, each drawn from its upper half.
///
/// The jitter keeps many signposts from coming back to a store that returns at the same moment.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Creates a backoff that starts at `min`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max: max.max(min),
            failures: 0,
        }
    }

    /// Returns the wait after a try that lasted `lasted`; `random` is between 0 and 1.
    ///
    /// A try that lasted longer than the longest wait was a good one, and counting starts again.
    pub fn next(&mut self, lasted: Duration, random: f64) -> Duration {
        if lasted > self.max {
            self.failures = 0;
        }
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let full = self.min.saturating_mul(factor).min(self.max);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(5);

    #[test]
    fn waits_grow_to_the_longest_and_stay_there() {
        let mut backoff = Backoff::new(MIN, MAX);
        let waits: Vec<_> = (0..70).map(|_| backoff.next(Duration::ZERO, 1.0)).collect();
        assert_eq!(waits[..3], [MIN, MIN * 2, MIN * 4]);
        assert_eq!(waits[69], MAX);
    }

    #[test]
    fn jitter_stays_in_the_upper_half() {
        assert_eq!(Backoff::new(MIN, MAX).next(Duration::ZERO, 0.0), MIN / 2);
    }

    #[test]
    fn a_long_run_starts_over() {
        let mut backoff = Backoff::new(MIN, MAX);
        backoff.next(Duration::ZERO, 1.0);
        backoff.next(Duration::ZERO, 1.0);
        assert_eq!(backoff.next(MAX * 2, 1.0), MIN);
    }
}
