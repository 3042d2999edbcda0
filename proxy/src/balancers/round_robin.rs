//! Round robin, by weight and evenly spread.

use std::{collections::BTreeMap, sync::Arc};

use super::{Balance, Member, Request, effective_weights, first_untried};
use crate::Endpoint;

/// The most turns in a round, or twice the members where that is more: beyond it, weights are
/// rounded, but to no less than one turn.
const TURNS_MAX: u64 = 16_384;

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

/// Holds the members that have equally many turns in a round.
struct Class {
    /// The turns that all its members have in a round.
    turns: u64,
    members: Vec<u32>,
    /// The turns it has had.
    had: u64,
    /// How far it is behind its share, in turns of a whole round.
    owed: i64,
}

/// Spreads the members over one round.
///
/// In each turn every class is owed its turns more, and the one that is owed most has it and is
/// owed a whole round less, so that nobody has a run of turns while others fall behind. Equals
/// take turns in their class: there are few classes, however many members.
fn schedule(weights: &[u64]) -> Vec<u32> {
    let mut classes = BTreeMap::<u64, Vec<u32>>::new();
    for (member, turns) in (0..).zip(turns(weights)).filter(|(_, turns)| *turns > 0) {
        classes.entry(turns).or_default().push(member);
    }
    let mut classes: Vec<_> = classes
        .into_iter()
        .rev()
        .map(|(turns, members)| Class {
            turns: turns * members.len() as u64,
            members,
            had: 0,
            owed: 0,
        })
        .collect();
    let round: u64 = classes.iter().map(|class| class.turns).sum();
    let turn = |_| {
        let mut first: Option<&mut Class> = None;
        for class in &mut classes {
            class.owed += class.turns.cast_signed();
            if first.as_ref().is_none_or(|first| class.owed > first.owed) {
                first = Some(class);
            }
        }
        let class = first.expect("a round with turns has a class");
        class.owed -= round.cast_signed();
        let member = class.had % class.members.len() as u64;
        class.had += 1;
        class.members[member as usize]
    };
    (0..round).map(turn).collect()
}

/// Returns how many turns each weight has in a round, rounded when that would be too long.
fn turns(weights: &[u64]) -> impl Iterator<Item = u64> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor);
    let divisor = divisor.max(1);
    let total: u64 = weights.iter().sum::<u64>() / divisor;
    let longest = TURNS_MAX.max(2 * weights.len() as u64);
    weights.iter().map(move |weight| match weight / divisor {
        0 => 0,
        weight if total <= longest => weight,
        weight => (weight * longest / total).max(1),
    })
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    match b {
        0 => a,
        _ => greatest_common_divisor(b, a % b),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Returns the most turns in a row that one member has, around the end too.
    fn longest_run(schedule: &[u32]) -> usize {
        let around = [schedule, schedule].concat();
        let runs = around.chunk_by(|a, b| a == b).map(<[u32]>::len);
        runs.max().unwrap_or_default().min(schedule.len())
    }

    #[test]
    fn turns_are_evenly_spread() {
        assert_eq!(schedule(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(schedule(&[4, 2, 0]), [0, 1, 0]);
        assert_eq!(schedule(&[3, 1]), [0, 0, 1, 0]);
    }

    #[test]
    fn nobody_has_a_run_of_turns() {
        for (weights, longest) in [
            (&[10, 1, 1, 1, 1, 1][..], 3),
            (&[5, 1, 1], 3),
            (&[5, 5, 1], 2),
            (&[2, 2, 2, 1, 1, 1, 1, 1, 1], 1),
            (&[3, 2, 1], 2),
            (&[7, 6, 5, 4, 3, 2, 1], 2),
        ] {
            let schedule = schedule(weights);
            assert!(
                longest_run(&schedule) <= longest,
                "{weights:?}: {schedule:?}"
            );
        }
    }

    #[test]
    fn weights_without_a_small_ratio_make_no_endless_schedule() {
        let few = schedule(&[65_535, 1, 65_534]);
        assert!(few.len() as u64 <= TURNS_MAX + 3);
        assert!(few.contains(&1));
        let weights: Vec<u64> = (0..10_000).map(|n| 1 + n * 7919 % 65_535).collect();
        let many = schedule(&weights);
        assert!(many.len() <= 30_000, "{}", many.len());
        assert!(longest_run(&many) <= 1);
    }

    proptest! {
        #[test]
        fn everybody_has_the_turns_of_its_weight(weights in vec(0_u64..40, 1..12)) {
            let schedule = schedule(&weights);
            for (member, turns) in (0..).zip(turns(&weights)) {
                let had = schedule.iter().filter(|one| **one == member).count();
                prop_assert_eq!(had as u64, turns);
            }
        }
    }
}
