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

/// How fine latencies are kept, in parts of a microsecond: of one that is observed every millisecond a
/// six-thousandth is forgotten at a time, and the longest must have room in 32 bits.
const PARTS: u64 = 64;

/// How far clocks of threads that observe at once may be apart, in milliseconds.
const SKEW_MAX: u32 = 60_000;

/// Follows a latency: a longer one counts at once, a shorter one the more the longer ago the last one
/// was (peak EWMA, an exponentially weighted moving average).
///
/// Times are milliseconds since some moment, and may wrap: what is seven weeks old is then new for a
/// while. Threads that write at once lose some of what they say, which doesn't matter.
#[derive(Debug, Default)]
pub(crate) struct Latency(
    /// When in the upper half, how long in parts of a microsecond in the lower one; 0 while nothing is known.
    AtomicU64,
);

impl Latency {
    /// Takes how long an answer took.
    pub(crate) fn observe(&self, now: u32, took: Duration) {
        let took = parts(took).max(1);
        let (since, old) = self.read();
        let next = match took >= old {
            true => took,
            false => took + half_lives(old - took, elapsed(now, since)),
        };
        // Otherwise the time that has passed would count for nothing.
        if next != old || took == old {
            self.write(now, next);
        }
    }

    /// Takes how long an error took: while errors come, they make nobody faster.
    pub(crate) fn hold(&self, now: u32, took: Duration) {
        let (since, old) = self.read();
        let took = parts(took);
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
        self.write(
            now,
            (current * FAILURE_FACTOR).clamp(least * PARTS, most * PARTS),
        );
    }

    /// Returns the latency in microseconds as far as it isn't forgotten; `None` while nothing is known.
    pub(crate) fn micros(&self, now: u32) -> Option<u64> {
        let (since, parts) = self.read();
        (parts > 0).then(|| half_lives(parts, elapsed(now, since)) / PARTS)
    }

    fn read(&self) -> (u32, u64) {
        let both = self.0.load(Relaxed);
        ((both >> 32) as u32, both & u64::from(u32::MAX))
    }

    fn write(&self, now: u32, parts: u64) {
        let parts = parts.min(u64::from(u32::MAX));
        self.0.store(u64::from(now) << 32 | parts, Relaxed);
    }
}

fn parts(took: Duration) -> u64 {
    let parts = took.as_nanos() * u128::from(PARTS) / 1_000;
    parts.min(u128::from(u32::MAX)) as u64
}

/// Returns how long ago something was; what another thread has just seen is now.
fn elapsed(now: u32, since: u32) -> u32 {
    match now.wrapping_sub(since) {
        passed if passed > u32::MAX - SKEW_MAX => 0,
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
    fn a_peak_is_forgotten_however_often_answers_come() {
        for answers in [1, 4] {
            let latency = Latency::default();
            latency.observe(0, 5 * MILLI);
            for now in 0..HALF_LIFE {
                (0..answers).for_each(|_| latency.observe(now, MILLI / 2));
            }
            // Of what is above, e^-ln(2) or so is left after so many small steps.
            let left = latency.micros(HALF_LIFE).unwrap();
            assert!((2_700..=3_300).contains(&left), "{left}");
            (HALF_LIFE..15 * HALF_LIFE).for_each(|now| latency.observe(now, MILLI / 2));
            assert!(latency.micros(15 * HALF_LIFE).unwrap() < 600);
        }
    }

    #[test]
    fn what_is_a_month_old_is_forgotten() {
        let latency = Latency::default();
        latency.fail(0);
        let month = 30 * 24 * 3_600_000;
        assert_eq!(latency.micros(month), Some(0));
        latency.observe(month, MILLI);
        assert_eq!(latency.micros(month), Some(1_000));
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
