//! Round robin, by weight and evenly spread.

use std::sync::Arc;

use super::{Balance, Member, Request, effective_weights, first_untried};
use crate::Endpoint;

/// The longest schedule per member: beyond it, weights are rounded.
const TURNS_PER_MEMBER_MAX: u64 = 64;

/// Walks through a schedule in which every member stands as often as its weight says.
#[derive(Debug)]
pub(super) struct RoundRobin {
    members: Vec<Member>,
    /// Places in `members`.
    schedule: Vec<u32>,
}

impl RoundRobin {
    pub(super) fn build(members: &[Member]) -> Self {
        let weights: Vec<_> = effective_weights(members).map(u64::from).collect();
        Self {
            members: members.to_vec(),
            schedule: schedule(&weights),
        }
    }
}

impl Balance for RoundRobin {
    fn pick(&self, request: &Request<'_>) -> Option<&Arc<Endpoint>> {
        let turns = self.schedule.len() as u64;
        let turn = request.turn.checked_rem(turns)?;
        let start = self.schedule[turn as usize] as usize;
        let chosen = &self.members[start].endpoint;
        match request.has_tried(chosen) {
            false => Some(chosen),
            true => first_untried(&self.members, start, request),
        }
    }
}

/// Spreads the members over one round: the k-th turn of a member of weight w is at (k + ½) / w of
/// it.
fn schedule(weights: &[u64]) -> Vec<u32> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor);
    let total: u64 = weights.iter().sum::<u64>() / divisor.max(1);
    let longest = TURNS_PER_MEMBER_MAX * weights.len() as u64;
    let turns = |weight: u64| match weight / divisor.max(1) {
        0 => 0,
        weight if total <= longest => weight,
        weight => (weight * longest / total).max(1),
    };
    let mut round: Vec<(u64, u32)> = Vec::new();
    for (member, weight) in (0..).zip(weights) {
        let turns = turns(*weight);
        // In units of half a turn, scaled so that all rounds are equally long.
        let place = |turn: u64| (2 * turn + 1) * (u64::from(u32::MAX) / (2 * turns));
        round.extend((0..turns).map(|turn| (place(turn), member)));
    }
    round.sort_unstable();
    round.into_iter().map(|(_, member)| member).collect()
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    match b {
        0 => a,
        _ => greatest_common_divisor(b, a % b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_evenly_spread() {
        assert_eq!(schedule(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(schedule(&[4, 2, 0]), [0, 1, 0]);
        let five = schedule(&[5, 1, 1]);
        assert_eq!(five.len(), 7);
        assert!(!five.windows(2).any(|pair| pair == [1, 2] || pair == [2, 1]) || five[3] != 0);
    }

    #[test]
    fn weights_without_a_small_ratio_make_no_endless_schedule() {
        let schedule = schedule(&[65_535, 1, 65_534]);
        assert!(schedule.len() as u64 <= 3 * TURNS_PER_MEMBER_MAX + 3);
        assert!(schedule.contains(&1));
    }
}
