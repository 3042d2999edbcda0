//! Whether checks have passed, or failed, often enough in a row.

use std::time::Duration;

/// Says how often is checked and how many results decide.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) every: Duration,
    pub(crate) timeout: Duration,
    /// So many good checks in a row make a failed instance a working one.
    pub(crate) rise: u32,
    /// So many bad checks in a row make a working instance a failed one.
    pub(crate) fall: u32,
}

/// Knows whether the instance works; at first nothing is known.
#[derive(Debug)]
pub(super) struct Health {
    schedule: Schedule,
    works: Option<bool>,
    /// Results in a row that speak against `works`.
    against: u32,
}

impl Health {
    pub(super) fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            works: None,
            against: 0,
        }
    }

    /// Takes one result; returns whether the instance works if that has changed.
    pub(super) fn take(&mut self, passed: bool) -> Option<bool> {
        if self.works == Some(passed) {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let wanted = match passed {
            true => self.schedule.rise,
            // An instance that never worked needs no patience.
            false if self.works.is_none() => 1,
            false => self.schedule.fall,
        };
        if self.against < wanted {
            return None;
        }
        self.against = 0;
        self.works = Some(passed);
        self.works
    }

    /// Returns whether the instance works, once that is known.
    pub(super) fn works(&self) -> Option<bool> {
        self.works
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(rise: u32, fall: u32) -> Health {
        Health::new(Schedule {
            every: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            rise,
            fall,
        })
    }

    #[test]
    fn one_result_decides_when_one_is_enough() {
        let mut health = health(1, 1);
        assert_eq!(health.take(true), Some(true));
        assert_eq!(health.take(true), None);
        assert_eq!(health.take(false), Some(false));
    }

    #[test]
    fn results_must_come_in_a_row() {
        let mut health = health(2, 3);
        assert_eq!(
            [true, true].map(|passed| health.take(passed)),
            [None, Some(true)]
        );
        for passed in [false, false, true, false, false] {
            assert_eq!(health.take(passed), None);
        }
        assert_eq!(health.take(false), Some(false));
        assert_eq!(health.works(), Some(false));
    }
}
