//! What an endpoint does to requests, counted by the workers.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use registry::{InstanceId, ServiceName};

/// Says what one request has come to, as far as the endpoint is to be praised or blamed for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has answered, with a status below 500, and so long after it was asked.
    Success(Duration),
    /// It could not be connected to, gave no valid response in time, or one of 500 and above.
    Failure,
}

/// Counts outcomes; shared by all workers.
#[derive(Debug)]
pub(crate) struct Outcomes {
    successes: AtomicU64,
    failures: AtomicU64,
    /// The latency of all successes, in microseconds.
    micros: AtomicU64,
    /// Failures since the last success.
    consecutive: AtomicU32,
    /// How many of these are worth an alert.
    alert_at: AtomicU32,
}

/// Tells of an instance that fails one request after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alert {
    pub(crate) service: ServiceName,
    pub(crate) id: InstanceId,
}

/// Holds what was counted up to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sample {
    pub(crate) successes: u64,
    pub(crate) failures: u64,
    pub(crate) micros: u64,
    pub(crate) consecutive: u32,
}

impl Outcome {
    /// Judges a response by its status; `latency` is the time from the request to it.
    pub(crate) fn of(status: u16, latency: Duration) -> Self {
        match status {
            500.. => Self::Failure,
            _ => Self::Success(latency),
        }
    }
}

impl Default for Outcomes {
    fn default() -> Self {
        Self {
            successes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            micros: AtomicU64::new(0),
            consecutive: AtomicU32::new(0),
            alert_at: AtomicU32::new(u32::MAX),
        }
    }
}

impl Outcomes {
    /// Counts an outcome; returns whether somebody should be told that there were so many failures
    /// in a row.
    pub(crate) fn record(&self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Success(latency) => {
                let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
                self.successes.fetch_add(1, Relaxed);
                self.micros.fetch_add(micros, Relaxed);
                // Mostly it is 0, and a line that isn't written stays with all workers.
                if self.consecutive.load(Relaxed) != 0 {
                    self.consecutive.store(0, Relaxed);
                }
                false
            }
            Outcome::Failure => {
                self.failures.fetch_add(1, Relaxed);
                let before = self.consecutive.fetch_add(1, Relaxed);
                before.wrapping_add(1) == self.alert_at.load(Relaxed)
            }
        }
    }

    /// Sets how many failures in a row are worth an alert; `u32::MAX` for none.
    pub(crate) fn set_alert(&self, failures: u32) {
        if self.alert_at.load(Relaxed) != failures {
            self.alert_at.store(failures, Relaxed);
        }
    }

    /// Reads everything; the numbers are of about the same moment.
    pub(crate) fn sample(&self) -> Sample {
        Sample {
            successes: self.successes.load(Relaxed),
            failures: self.failures.load(Relaxed),
            micros: self.micros.load(Relaxed),
            consecutive: self.consecutive.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alert_comes_once_for_so_many_failures_in_a_row() {
        let outcomes = Outcomes::default();
        outcomes.set_alert(2);
        let good = Outcome::Success(Duration::from_millis(3));
        let alerts = [
            Outcome::Failure,
            good,
            Outcome::Failure,
            Outcome::Failure,
            Outcome::Failure,
        ];
        let alerts = alerts.map(|outcome| outcomes.record(outcome));
        assert_eq!(alerts, [false, false, false, true, false]);
        let sample = outcomes.sample();
        assert_eq!((sample.successes, sample.failures), (1, 4));
        assert_eq!((sample.micros, sample.consecutive), (3000, 3));
    }
}
