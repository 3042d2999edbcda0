//! In which order the records of a set are given out.

use super::Numbers;

/// The most records that are put into a weighted order; more are only given a weighted start.
///
/// It is what a UDP answer has room for, and it lets the order be drawn on the stack.
const WEIGHTED_MAX: usize = 64;

/// Maps random bits to a number below `bound`, which is not 0.
pub(crate) fn below(seed: u64, bound: u32) -> u32 {
    ((u64::from(seed as u32) * u64::from(bound)) >> 32) as u32
}

/// Calls `write` with each index below `count` until it returns false: by weight where `sums` of
/// weights are given, else from a place that `seed` decides round to it. Returns whether `write`
/// took all.
pub(crate) fn each(
    sums: Numbers<'_>,
    count: usize,
    seed: u64,
    write: &mut dyn FnMut(usize) -> bool,
) -> bool {
    if !sums.is_empty() {
        return weighted(sums, seed, write);
    }
    let first = below(seed, count as u32) as usize;
    (first..count).chain(0..first).all(write)
}

/// Calls `write` with each index, the heavy ones rather early, until it returns false.
///
/// `sums` are the sums of the weights up to and with each index. The chance to be first is an
/// index's share of the weight; the chance to be next is its share of what is left. Returns whether
/// `write` took all.
pub(crate) fn weighted(sums: Numbers<'_>, seed: u64, write: &mut dyn FnMut(usize) -> bool) -> bool {
    let mut random = fastrand::Rng::with_seed(seed);
    let Some(last) = sums.len().checked_sub(1) else {
        return true;
    };
    let mut left = sums.get(last);
    if sums.len() > WEIGHTED_MAX {
        let drawn = random.u32(..left);
        let first = sums.up_to(drawn);
        return (first..sums.len()).chain(0..first).all(write);
    }
    // The indices that are left, each with its weight.
    let mut waiting = [(0_u8, 0_u32); WEIGHTED_MAX];
    let mut before = 0;
    for (index, (slot, sum)) in waiting.iter_mut().zip(sums.iter()).enumerate() {
        *slot = (index as u8, sum - before);
        before = sum;
    }
    for len in (1..=sums.len()).rev() {
        let mut drawn = random.u32(..left);
        let at = waiting[..len].iter().position(|(_, weight)| {
            let found = drawn < *weight;
            drawn = drawn.wrapping_sub(if found { 0 } else { *weight });
            found
        });
        let at = at.expect("the weights add up to what is left");
        let (index, weight) = waiting[at];
        waiting[at] = waiting[len - 1];
        left -= weight;
        if !write(usize::from(index)) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Number, *};

    fn sums(weights: &[u32]) -> Vec<Number> {
        (1..=weights.len())
            .map(|len| weights[..len].iter().sum::<u32>().to_ne_bytes())
            .collect()
    }

    fn order(weights: &[u32], seed: u64) -> Vec<usize> {
        let mut order = Vec::new();
        let all = weighted(Numbers(&sums(weights)), seed, &mut |index| {
            order.push(index);
            true
        });
        assert!(all);
        order
    }

    proptest! {
        #[test]
        fn each_index_comes_once(weights in prop::collection::vec(1..1000_u32, 1..100), seed: u64) {
            let mut order = order(&weights, seed);
            order.sort_unstable();
            prop_assert_eq!(order, (0..weights.len()).collect::<Vec<_>>());
        }

        #[test]
        fn a_rotation_starts_inside(seed: u64, bound in 1..1000_u32) {
            prop_assert!(below(seed, bound) < bound);
        }
    }

    #[test]
    fn the_share_of_first_places_is_the_share_of_the_weight() {
        for weights in [
            vec![100, 300, 600],
            [vec![1], vec![6; 99], vec![400]].concat(),
        ] {
            let total: u32 = weights.iter().sum();
            let heavy = weights.len() - 1;
            let mut seeds = fastrand::Rng::with_seed(7);
            let rounds = 10_000;
            let first = (0..rounds)
                .filter(|_| order(&weights, seeds.u64(..))[0] == heavy)
                .count();
            let expected = f64::from(weights[heavy]) / f64::from(total) * f64::from(rounds);
            let ratio = first as f64 / expected;
            assert!((0.9..1.1).contains(&ratio), "{ratio}");
        }
    }

    #[test]
    fn it_ends_when_nothing_more_is_taken() {
        let mut taken = 0;
        let all = weighted(Numbers(&sums(&[1, 2, 3])), 1, &mut |_| {
            taken += 1;
            taken < 2
        });
        assert!(!all);
        assert_eq!(taken, 2);
    }
}
