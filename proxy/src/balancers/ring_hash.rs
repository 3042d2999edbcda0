//! Consistent hashing by a ring.

use std::{hash::Hasher, sync::Arc};

use siphasher::sip::SipHasher13;

use super::{Balance, Member, Request, effective_weights, first_untried};
use crate::Endpoint;

/// How many points the members with the greatest weight have on the ring; others have fewer, by
/// their weights. More points spread requests more evenly: with these, shares are within about 10 %
/// of what weights say.
const POINTS: u64 = 256;

/// Gives a request to the member whose point follows its hash.
///
/// A member's points depend on its id alone, so all processes agree, and with a member go and come
/// only the requests that are its own, as long as the greatest weight stays.
#[derive(Debug)]
pub(super) struct RingHash {
    members: Vec<Member>,
    /// Where on the ring, and the place in `members`; in order.
    points: Vec<(u64, u32)>,
}

impl RingHash {
    pub(super) fn build(members: &[Member]) -> Self {
        let greatest = u64::from(effective_weights(members).max().unwrap_or(1));
        let mut points = Vec::new();
        for (place, (member, weight)) in (0..).zip(members.iter().zip(effective_weights(members))) {
            let count = match weight {
                0 => 0,
                weight => (u64::from(weight) * POINTS / greatest).max(1),
            };
            points.extend((0..count).map(|point| (hash(&member.endpoint, point), place)));
        }
        // Of points at the same place, the first member's is always the first.
        points.sort_unstable();
        Self {
            members: members.to_vec(),
            points,
        }
    }
}

impl Balance for RingHash {
    fn pick(&self, request: &Request<'_>) -> Option<&Arc<Endpoint>> {
        let key = request.key();
        let start = self.points.partition_point(|(point, _)| *point < key);
        let around = self.points[start..].iter().chain(&self.points[..start]);
        let endpoints = around.map(|(_, place)| &self.members[*place as usize].endpoint);
        let mut untried = endpoints.filter(|endpoint| !request.has_tried(endpoint));
        untried
            .next()
            .or_else(|| first_untried(&self.members, 0, request))
    }
}

/// Hashes one of an endpoint's points, in every process alike.
pub(super) fn hash(endpoint: &Endpoint, point: u64) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, point);
    hasher.write(endpoint.id.as_str().as_bytes());
    hasher.finish()
}
