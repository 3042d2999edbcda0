//! When registrations end.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use tokio::time::Instant;

use super::Place;

/// Holds the leases of registrations and knows which have ended; pure, the time is an argument.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    by_place: HashMap<Place, Lease>,
    by_end: BTreeSet<(Instant, Place)>,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    end: Instant,
    ttl: Duration,
}

impl Leases {
    /// Starts a lease, in place of one that the registration may have.
    pub(crate) fn grant(&mut self, place: &Place, ttl: Duration, now: Instant) {
        self.revoke(place);
        let end = now + ttl;
        self.by_place.insert(place.clone(), Lease { end, ttl });
        self.by_end.insert((end, place.clone()));
    }

    /// Starts the lease again; returns whether there is one.
    pub(crate) fn renew(&mut self, place: &Place, now: Instant) -> bool {
        let ttl = self.by_place.get(place).map(|lease| lease.ttl);
        if let Some(ttl) = ttl {
            self.grant(place, ttl, now);
        }
        ttl.is_some()
    }

    /// Takes the lease away: the registration stays until it is removed.
    pub(crate) fn revoke(&mut self, place: &Place) {
        if let Some(lease) = self.by_place.remove(place) {
            self.by_end.remove(&(lease.end, place.clone()));
        }
    }

    /// Returns when the next lease ends.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.by_end.first().map(|(end, _)| *end)
    }

    /// Lets every lease last longer, for a time in which nobody could renew.
    pub(crate) fn extend(&mut self, by: Duration) {
        self.by_end = self
            .by_end
            .iter()
            .map(|(end, place)| (*end + by, place.clone()))
            .collect();
        for lease in self.by_place.values_mut() {
            lease.end += by;
        }
    }

    /// Returns whether the registration has a lease.
    pub(crate) fn contains(&self, place: &Place) -> bool {
        self.by_place.contains_key(place)
    }

    /// Takes out the leases that have ended.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Place> {
        let mut ended = Vec::new();
        while let Some((end, place)) = self.by_end.pop_first() {
            if end > now {
                self.by_end.insert((end, place));
                break;
            }
            self.by_place.remove(&place);
            ended.push(place);
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstanceId;

    const TTL: Duration = Duration::from_secs(10);

    fn place(id: &str) -> Place {
        Place {
            service: "web".parse().unwrap(),
            id: InstanceId::from_text(id),
        }
    }

    #[test]
    fn a_lease_ends_after_its_time_and_not_before() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.grant(&place("a"), TTL, now);
        leases.grant(&place("b"), TTL * 2, now);
        assert!(
            leases
                .expire(now + TTL - Duration::from_nanos(1))
                .is_empty()
        );
        assert_eq!(leases.expire(now + TTL), [place("a")]);
        assert_eq!(leases.next_end(), Some(now + TTL * 2));
    }

    #[test]
    fn renewing_starts_the_time_again() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.grant(&place("a"), TTL, now);
        assert!(leases.renew(&place("a"), now + TTL / 2));
        assert!(leases.expire(now + TTL).is_empty());
        assert_eq!(leases.expire(now + TTL + TTL / 2), [place("a")]);
        assert!(!leases.renew(&place("a"), now));
    }

    #[test]
    fn extending_moves_every_end() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.grant(&place("a"), TTL, now);
        leases.extend(TTL);
        assert!(leases.expire(now + TTL).is_empty());
        assert!(leases.renew(&place("a"), now + TTL));
        assert_eq!(leases.expire(now + TTL * 2), [place("a")]);
    }

    #[test]
    fn a_revoked_lease_never_ends() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.grant(&place("a"), TTL, now);
        leases.revoke(&place("a"));
        assert_eq!(leases.next_end(), None);
        assert!(leases.expire(now + TTL).is_empty());
    }
}
