//! Consistent hashing by a table, as Google's Maglev does it (Eisenbud and others, 2016, section 3.4).

use std::sync::Arc;

use super::{Balance, Member, Request, draw::scale, effective_weights, first_untried, ring_hash};
use crate::Endpoint;

/// The size of the table, a prime; with a hundred members each has its share of it to about 0.1 %.
/// It takes 128 KiB for each service that uses this balancer, and 1 ms (few members) to 2.3 ms to fill.
const SLOTS: usize = 65_537;

/// The most members that get slots, so that a place fits into a slot.
const MEMBERS_MAX: usize = u16::MAX as usize;

/// How many slots for each member are looked at for one that hasn't been tried.
const NEAR_SLOTS: usize = 8;

/// Looks requests up in a table in which every member has as many slots as its weight says.
#[derive(Debug)]
pub(super) struct Maglev {
    members: Vec<Member>,
    /// Places in `members`; empty without members.
    slots: Box<[u16]>,
}

/// Says in which order a member would like to have slots.
struct Wishes {
    place: u16,
    weight: u64,
    next: usize,
    step: usize,
    /// How much of its turns' weight it has used up.
    used: u64,
}

impl Wishes {
    fn new(place: u16, member: &Member, weight: u16) -> Self {
        let modulo = |hash: u64, range: usize| (hash % range as u64) as usize;
        Self {
            place,
            weight: u64::from(weight),
            next: modulo(ring_hash::hash(&member.endpoint, 0), SLOTS),
            step: 1 + modulo(ring_hash::hash(&member.endpoint, 1), SLOTS - 1),
            used: 0,
        }
    }
}

impl Maglev {
    pub(super) fn build(members: &[Member]) -> Self {
        let all = members.iter().zip(effective_weights(members));
        let mut wishes: Vec<_> = (0..MEMBERS_MAX)
            .zip(all)
            .filter(|(_, (_, weight))| *weight > 0)
            .map(|(place, (member, weight))| Wishes::new(place as u16, member, weight))
            .collect();
        Self {
            members: members.to_vec(),
            slots: fill(&mut wishes),
        }
    }
}

/// Has the members take slots in turn, each as often as its weight says, until all are taken.
fn fill(wishes: &mut [Wishes]) -> Box<[u16]> {
    const FREE: u16 = u16::MAX;
    let Some(greatest) = wishes.iter().map(|one| one.weight).max() else {
        return Box::default();
    };
    let mut slots = vec![FREE; SLOTS];
    let mut left = SLOTS;
    for round in 1_u64.. {
        for one in &mut *wishes {
            // The heaviest has a turn in each round, others when their weights have added up.
            if round * one.weight < one.used + greatest {
                continue;
            }
            one.used += greatest;
            // The step and the size have no common divisor, so every slot is come by.
            while slots[one.next] != FREE {
                one.next = (one.next + one.step) % SLOTS;
            }
            slots[one.next] = one.place;
            left -= 1;
            if left == 0 {
                return slots.into();
            }
        }
    }
    unreachable!("each round takes a slot")
}

impl Balance for Maglev {
    fn pick(&self, request: &Request<'_>) -> Option<&Arc<Endpoint>> {
        let slots = self.slots.len();
        if slots == 0 {
            return None;
        }
        let key = request.key();
        // The upper half chooses, the lower one where to go on.
        let start = scale((key >> 32) as u32, slots as u64) as usize;
        let chosen = &self.members[usize::from(self.slots[start])].endpoint;
        if !request.has_tried(chosen) {
            return Some(chosen);
        }
        let around = self.slots[start..].iter().chain(&self.slots[..start]);
        let endpoints = around.map(|place| &self.members[usize::from(*place)].endpoint);
        // All are near one another in the table; where none of those is left, any will do.
        let near = endpoints.take(NEAR_SLOTS * self.members.len());
        let mut untried = near.filter(|endpoint| !request.has_tried(endpoint));
        untried
            .next()
            .or_else(|| first_untried(&self.members, usize::from(self.slots[start]), request))
    }
}
