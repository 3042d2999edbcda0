//! Which instance is checked when.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use registry::{InstanceId, ServiceName};
use tokio::time::Instant;

/// Orders checks by the time at which they are due.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    due: BinaryHeap<Reverse<(Instant, Due)>>,
}

/// Names a check; of two of the same instance the one with the higher turn is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    pub(super) service: ServiceName,
    pub(super) id: InstanceId,
    pub(super) turn: u64,
}

impl Schedule {
    pub(super) fn push(&mut self, at: Instant, due: Due) {
        self.due.push(Reverse((at, due)));
    }

    /// Returns when the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the one that is due first, if it is due by now.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Due> {
        self.next().filter(|at| *at <= now)?;
        self.due.pop().map(|Reverse((_, due))| due)
    }
}

/// Returns the time from the begin of one check to that of the next; `chance` is between 0 and 1.
///
/// It is longer or shorter by at most `jitter` of the interval, so that instances that have come
/// together aren't checked together for ever.
pub(super) fn interval(interval: Duration, jitter: f64, chance: f64) -> Duration {
    // What a configuration calls "never" may be beyond the clock.
    const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
    let interval = interval.min(FOREVER);
    interval.mul_f64((1.0 + jitter * (2.0 * chance - 1.0)).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_come_when_they_are_due_and_in_order() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let due = |id: &str| Due {
            service: "web".parse().unwrap(),
            id: InstanceId::from_text(id),
            turn: 0,
        };
        let mut schedule = Schedule::default();
        schedule.push(at(3), due("c"));
        schedule.push(at(1), due("a"));
        schedule.push(at(2), due("b"));
        assert_eq!(schedule.pop(at(0)), None);
        assert_eq!(schedule.next(), Some(at(1)));
        assert_eq!(schedule.pop(at(2)), Some(due("a")));
        assert_eq!(schedule.pop(at(2)), Some(due("b")));
        assert_eq!(schedule.pop(at(2)), None);
    }

    #[test]
    fn chance_moves_the_next_check_both_ways_and_not_too_far() {
        let base = Duration::from_secs(10);
        assert_eq!(interval(base, 0.1, 0.0).as_secs_f64(), 9.0);
        assert_eq!(interval(base, 0.1, 1.0).as_secs_f64(), 11.0);
        assert_eq!(interval(base, 0.0, 0.7), base);
    }
}
