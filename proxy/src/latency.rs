//! How long an instance takes to answer, as it was of late.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The time after which half of an old latency is forgotten, in milliseconds.
const HALF_LIFE: u32 = 3_000;

/// How many times its latency a failure counts for, so that one that fails fast attracts nobody.
const FAILURE_FACTOR: u64 = 8;

/// What a failure counts for at the least and at the most, in microseconds.
const FAILURE_MICROS: (u64, u64) = (8_000, 60_000_000);

/// Follows a latency: a longer one counts at once, a shorter one the more the longer ago the last one
/// was (peak EWMA, an exponentially weighted moving average).
///
/// Times are milliseconds since some moment, and may wrap. Threads that write at once lose some of
/// what they say, which doesn't matter.
#[derive(Debug, Default)]
pub(crate) struct Latency(
    /// When in the upper half, how long in microseconds in the lower one; 0 while nothing is known.
    AtomicU64,
);

impl Latency {
    /// Takes how long an answer took.
    pub(crate) fn observe(&self, now: u32, took: Duration) {
        let took = (took.as_nanos() as u64 / 1_000).clamp(1, u64::from(u32::MAX));
        let (since, old) = self.read();
        let next = match elapsed(now, since) {
            _ if took >= old => took,
            // Within the same moment nothing is forgotten, and nothing written.
            0 => return,
            passed => took + half_lives(old - took, passed),
        };
        self.write(now, next);
    }

    /// Takes how long an error took: while errors come, they make nobody faster.
    pub(crate) fn hold(&self, now: u32, took: Duration) {
        let (since, old) = self.read();
        let took = took.as_nanos() as u64 / 1_000;
        let held = match elapsed(now, since) {
            passed if passed <= HALF_LIFE => old,
            // What is long ago doesn't come back.
            passed => half_lives(old, passed),
        };
        self.write(now, took.max(held).max(1));
    }

    /// Takes a failure for an answer that took long.
    pub(crate) fn fail(&self, now: u32) {
        let (since, old) = self.read();
        let (least, most) = FAILURE_MICROS;
        let current = half_lives(old, elapsed(now, since));
        self.write(now, (current * FAILURE_FACTOR).clamp(least, most));
    }

    /// Returns the latency in microseconds as far as it isn't forgotten; `None` while nothing is known.
    pub(crate) fn micros(&self, now: u32) -> Option<u64> {
        let (since, micros) = self.read();
        (micros > 0).then(|| half_lives(micros, elapsed(now, since)))
    }

    fn read(&self) -> (u32, u64) {
        let both = self.0.load(Relaxed);
        ((both >> 32) as u32, both & u64::from(u32::MAX))
    }

    fn write(&self, now: u32, micros: u64) {
        let micros = micros.min(u64::from(u32::MAX));
        self.0.store(u64::from(now) << 32 | micros, Relaxed);
    }
}

/// Returns how long ago something was; what another thread has just seen is now.
fn elapsed(now: u32, since: u32) -> u32 {
    match now.wrapping_sub(since) {
        passed if passed > u32::MAX / 2 => 0,
        passed => passed,
    }
}

/// Returns what is left of a value after some milliseconds, straight between whole half-lives.
fn half_lives(value: u64, millis: u32) -> u64 {
    let (whole, part) = (millis / HALF_LIFE, u64::from(millis % HALF_LIFE));
    let left = value.checked_shr(whole).unwrap_or(0);
    left - left * part / (2 * u64::from(HALF_LIFE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_by_and_by() {
        let latency = Latency::default();
        assert_eq!(latency.micros(7), None);
        latency.observe(0, 2 * MILLI);
        latency.observe(0, MILLI);
        assert_eq!(latency.micros(0), Some(2_000), "not in the same moment");
        latency.observe(0, 100 * MILLI);
        assert_eq!(latency.micros(0), Some(100_000));
        assert_eq!(latency.micros(HALF_LIFE), Some(50_000));
        assert_eq!(latency.micros(HALF_LIFE / 2), Some(75_000));
        assert_eq!(latency.micros(100 * HALF_LIFE), Some(0));
        latency.observe(HALF_LIFE, 20 * MILLI);
        assert_eq!(latency.micros(HALF_LIFE), Some(60_000), "halfway to it");
    }

    #[test]
    fn a_failure_counts_for_a_slow_answer() {
        let latency = Latency::default();
        latency.fail(0);
        assert_eq!(latency.micros(0), Some(8_000));
        latency.observe(0, 10 * MILLI);
        latency.fail(0);
        assert_eq!(latency.micros(0), Some(80_000));
        (0..20).for_each(|_| latency.fail(0));
        assert_eq!(latency.micros(0), Some(60_000_000));
    }

    #[test]
    fn an_error_that_comes_fast_makes_nobody_faster() {
        let latency = Latency::default();
        latency.observe(0, 50 * MILLI);
        latency.hold(HALF_LIFE, MILLI);
        assert_eq!(latency.micros(HALF_LIFE), Some(50_000));
        latency.hold(20 * HALF_LIFE, MILLI);
        assert_eq!(latency.micros(20 * HALF_LIFE), Some(1_000), "long ago");
    }

    #[test]
    fn time_may_wrap_and_threads_may_differ() {
        let latency = Latency::default();
        latency.observe(u32::MAX - 999, 8 * MILLI);
        assert_eq!(latency.micros(2_000), Some(4_000), "three seconds later");
        assert_eq!(latency.micros(u32::MAX - 1_500), Some(8_000), "before that");
    }
}
