//! What health checks say of an instance.

use crate::config::Check;

/// Knows whether checks pass; at first nothing is known.
#[derive(Debug, Default)]
pub(super) struct Checked {
    passes: Option<bool>,
    /// Results in a row that speak against `passes`.
    against: u32,
}

impl Checked {
    /// Takes one result; returns whether that changes what is known.
    ///
    /// Of an instance of which nothing is known the first good result is enough, while bad ones
    /// count as those of one that is well: it stays in use until there were `fall` in a row.
    pub(super) fn take(&mut self, passed: bool, check: &Check) -> bool {
        if self.passes == Some(passed) {
            self.against = 0;
            return false;
        }
        self.against = match passed && self.passes.is_none() {
            true => check.rise,
            false => self.against.saturating_add(1),
        };
        let wanted = match passed {
            true => check.rise,
            false => check.fall,
        };
        let decided = self.against >= wanted;
        if decided {
            *self = Self {
                passes: Some(passed),
                against: 0,
            };
        }
        decided
    }

    /// Returns whether checks pass, once that is known.
    pub(super) fn passes(&self) -> Option<bool> {
        self.passes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(results: &[bool], check: &Check) -> Checked {
        let mut checked = Checked::default();
        for passed in results {
            checked.take(*passed, check);
        }
        checked
    }

    #[test]
    fn one_that_is_unknown_is_well_at_once_and_fails_in_time() {
        let check = Check::default();
        assert_eq!(run(&[true], &check).passes(), Some(true));
        assert_eq!(run(&[false, false], &check).passes(), None);
        assert_eq!(run(&[false, false, true], &check).passes(), Some(true));
        assert_eq!(run(&[false, false, false], &check).passes(), Some(false));
        assert_eq!(
            run(&[false, false, false, true], &check).passes(),
            Some(false)
        );
        let back = [false, false, false, true, false, true, true];
        assert_eq!(run(&back, &check).passes(), Some(true));
    }

    proptest! {
        #[test]
        fn only_so_many_results_in_a_row_change_what_is_known(
            results in prop::collection::vec(any::<bool>(), 0..40),
            rise in 1..5_u32,
            fall in 1..5_u32,
        ) {
            let check = Check { rise, fall, ..Check::default() };
            let mut checked = Checked::default();
            let mut last: Vec<bool> = Vec::new();
            for passed in results {
                let before = checked.passes();
                let changed = checked.take(passed, &check);
                last.push(passed);
                prop_assert_eq!(changed, before != checked.passes());
                if changed {
                    let least = match (passed, before) {
                        (true, None) => 1,
                        (true, Some(_)) => rise as usize,
                        (false, _) => fall as usize,
                    };
                    prop_assert!(last.len() >= least);
                    let tail = &last[last.len() - least..];
                    prop_assert!(tail.iter().all(|one| *one == passed));
                    prop_assert_eq!(checked.passes(), Some(passed));
                }
            }
        }
    }
}
