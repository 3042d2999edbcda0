//! The weights that instances have beside each other.

use crate::{Instance, Observation};

/// Brings the weights of several instances to what each has of its own.
///
/// While all have the whole of it, the weights are those of the records. Else each is counted in
/// hundredths of its record's, so that a part of a small weight is told as well as one of a large
/// one; where that is more than a record can hold, all are brought down alike. Only relative weights
/// mean something to clients (RFC 2782), and these stay; none but 0 becomes 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weights {
    /// The greatest weight in hundredths; `None` while all have the whole of theirs.
    greatest: Option<u32>,
}

impl Weights {
    /// Looks at the instances that stand beside each other, each with what is seen of it.
    pub fn of<'a>(instances: impl Iterator<Item = (&'a Instance, Observation)>) -> Self {
        let (mut greatest, mut any) = (0, false);
        for (instance, observation) in instances {
            greatest = greatest.max(hundredths(instance, observation));
            any |= observation.share() < Observation::SHARE_WHOLE;
        }
        Self {
            greatest: any.then_some(greatest),
        }
    }

    /// Returns the weight of one of these instances.
    pub fn weight(self, instance: &Instance, observation: Observation) -> u16 {
        let Some(greatest) = self.greatest else {
            return instance.weight;
        };
        let own = hundredths(instance, observation);
        let most = u32::from(u16::MAX);
        let weight = match greatest > most {
            true => u64::from(own) * u64::from(most) / u64::from(greatest),
            false => u64::from(own),
        };
        let least = u16::from(instance.weight != 0);
        u16::try_from(weight).unwrap_or(u16::MAX).max(least)
    }
}

/// Returns an instance's weight in hundredths, by how much it has of it.
pub fn hundredths(instance: &Instance, observation: Observation) -> u32 {
    u32::from(instance.weight) * u32::from(observation.share())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use proptest::prelude::*;

    fn told(weights_and_shares: &[(u16, u8)]) -> Vec<u16> {
        let instances: Vec<_> = weights_and_shares
            .iter()
            .map(|(weight, share)| {
                let mut instance = testing::instance("a", "10.0.0.1", 80);
                instance.weight = *weight;
                instance.observation = Observation::new(Default::default(), *share);
                instance
            })
            .collect();
        let seen = || instances.iter().map(|one| (one, one.observation));
        let weights = Weights::of(seen());
        seen()
            .map(|(one, seen)| weights.weight(one, seen))
            .collect()
    }

    #[test]
    fn weights_are_those_of_the_records_while_all_have_the_whole() {
        assert_eq!(told(&[(1, 100), (0, 100), (65_535, 100)]), [1, 0, 65_535]);
        assert_eq!(told(&[(1, 100), (1, 100), (1, 10)]), [100, 100, 10]);
        assert_eq!(told(&[(0, 10), (3, 1)]), [0, 3]);
        assert_eq!(told(&[(65_535, 100), (1, 1)]), [65_535, 1]);
    }

    proptest! {
        #[test]
        fn what_weighs_more_is_told_so_and_nothing_becomes_zero(
            all in prop::collection::vec((0..=u16::MAX, 1..=100_u8), 1..9),
        ) {
            let told = told(&all);
            let mut order: Vec<_> = all
                .iter()
                .map(|(weight, share)| u32::from(*weight) * u32::from(*share))
                .zip(told)
                .collect();
            order.sort_unstable();
            prop_assert!(order.is_sorted_by_key(|(_, told)| *told), "{order:?}");
            prop_assert!(order.iter().all(|(own, told)| (*own == 0) == (*told == 0)));
        }
    }
}
