//! Whether an instance is ejected, until when, and how often it was.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::config::Ejection;

/// What a configuration calls "never" may be beyond the clock.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Says why an instance is ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Why {
    /// It failed one request after the other.
    ConsecutiveFailures,
    /// It failed too many of its requests within the window.
    FailureRatio,
    /// It takes much longer than the others.
    Latency,
}

impl Why {
    /// Every reason, in the order in which they are declared.
    pub(crate) const ALL: [Self; 3] =
        [Self::ConsecutiveFailures, Self::FailureRatio, Self::Latency];

    /// Returns its name in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureRatio => "failure_ratio",
            Self::Latency => "latency",
        }
    }
}

/// Holds an instance's ejections.
#[derive(Debug, Default)]
pub(super) struct Ejected {
    now: Option<(Instant, Why)>,
    /// How many times it was ejected, less what it has made up for.
    times: u32,
    /// Since when it makes up for one.
    in_use_since: Option<Instant>,
}

impl Ejected {
    /// Ejects it, each time for longer.
    pub(super) fn eject(&mut self, ejection: &Ejection, why: Why, now: Instant) {
        self.make_up(ejection.base_time.get(), now);
        self.times = self.times.saturating_add(1);
        let time = ejection.base_time.get().saturating_mul(self.times);
        let time = time.min(ejection.max_time.get()).min(FOREVER);
        self.now = Some((now + time, why));
        self.in_use_since = None;
    }

    /// Takes it back into use.
    pub(super) fn release(&mut self, now: Instant) {
        self.now = None;
        self.in_use_since = Some(now);
    }

    /// Returns until when it is ejected, and why.
    pub(super) fn is(&self) -> Option<(Instant, Why)> {
        self.now
    }

    /// Tells whether its time is over.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.now.is_some_and(|(until, _)| until <= now)
    }

    /// Returns how many times it was ejected, less what it has made up for until the last time.
    pub(super) fn times(&self) -> u32 {
        self.times
    }

    /// Forgets one time for each `base` in use.
    fn make_up(&mut self, base: Duration, now: Instant) {
        let Some(since) = self.in_use_since else {
            return;
        };
        let in_use = now.saturating_duration_since(since).as_nanos();
        let times = in_use / base.as_nanos().max(1);
        self.times = self
            .times
            .saturating_sub(u32::try_from(times).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_longer_until_it_is_made_up_for() {
        let ejection = Ejection::default();
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut ejected = Ejected::default();
        let mut eject = |now: u64| {
            ejected.eject(&ejection, Why::FailureRatio, at(now));
            let (until, _) = ejected.is().unwrap();
            assert!(!ejected.is_over(at(now)) && ejected.is_over(until));
            ejected.release(until);
            let until = (until - begin).as_secs();
            (until, until - now)
        };
        let (back, time) = eject(0);
        assert_eq!(time, 30);
        let (back, time) = eject(back + 5);
        assert_eq!(time, 60);
        // In use for one base time.
        let (back, time) = eject(back + 31);
        assert_eq!(time, 60);
        let (mut back, time) = eject(back + 3600);
        assert_eq!(time, 30);
        let mut time = 0;
        for _ in 0..20 {
            (back, time) = eject(back);
        }
        assert_eq!(time, 300);
    }
}
