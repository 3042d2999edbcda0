//! One service as the proxy sees it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use registry::{Instance, Protocol, Service, ServiceName, Weights};
use smallvec::SmallVec;

use crate::{
    Balancer, Endpoint,
    balancers::{Balance, Member, Request},
    circuit::Circuit,
};

/// Holds the endpoints of one service, ready to be chosen from; immutable but for their counters.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) service: ServiceName,
    /// By priority: those of the first tier that can be asked are asked.
    tiers: SmallVec<[Tier; 1]>,
    turns: Arc<Turns>,
    /// What bounds the requests to the service, where something does.
    pub(crate) circuit: Option<Arc<Circuit>>,
}

/// Counts the requests of one service over all rebuilds of its pool, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Turns(AtomicU64);

/// Holds the endpoints of one priority.
#[derive(Debug)]
struct Tier {
    priority: u16,
    members: Vec<Member>,
    balancers: SmallVec<[(Balancer, Box<dyn Balance>); 1]>,
}

impl Pool {
    /// Builds the pool of a service; what `previous` has at the same address keeps its counters.
    ///
    /// `kinds` are the balancers that routes to this service ask for.
    pub(crate) fn build(service: &Service, kinds: &[Balancer], previous: Option<&Self>) -> Self {
        let weights = Weights::of(service.available().map(|one| (&**one, one.observation)));
        let mut members: Vec<(u16, Member)> = service
            .instances
            .iter()
            .filter_map(|instance| {
                let address = address(instance)?;
                let endpoint = previous
                    .and_then(|pool| pool.endpoint(instance, address))
                    .map_or_else(
                        || {
                            let endpoint = Endpoint::new(instance.id.clone(), address);
                            Arc::new(endpoint.with_others(&instance.addresses[1..]))
                        },
                        Arc::clone,
                    );
                let weight = weights.weight(instance, instance.observation);
                Some((instance.priority, Member { endpoint, weight }))
            })
            .collect();
        // Stable, so members stay sorted by id.
        members.sort_by_key(|(priority, _)| *priority);
        let tiers = members
            .chunk_by(|(a, _), (b, _)| a == b)
            .map(|tier| {
                let members: Vec<_> = tier.iter().map(|(_, member)| member.clone()).collect();
                let balancers = kinds.iter().map(|kind| (*kind, kind.build(&members)));
                Tier {
                    priority: tier[0].0,
                    balancers: balancers.collect(),
                    members,
                }
            })
            .collect();
        Self {
            service: service.name.clone(),
            tiers,
            turns: previous.map_or_else(Arc::default, |pool| Arc::clone(&pool.turns)),
            circuit: None,
        }
    }

    /// Has the requests to it bounded.
    pub(crate) fn within(self, circuit: Option<Arc<Circuit>>) -> Self {
        Self { circuit, ..self }
    }

    /// Builds the pool of some instances of a service, with the endpoints of `whole`, its pool.
    ///
    /// They have turns of their own, which go on from those of `previous`.
    pub(crate) fn of_subset(
        service: &Service,
        kinds: &[Balancer],
        whole: &Self,
        previous: Option<&Self>,
    ) -> Self {
        Self {
            turns: previous.map_or_else(Arc::default, |pool| Arc::clone(&pool.turns)),
            ..Self::build(service, kinds, Some(whole))
        }
    }

    /// Chooses an endpoint that hasn't been tried for this request.
    pub(crate) fn pick(
        &self,
        kind: Balancer,
        seed: u64,
        tried: &[Arc<Endpoint>],
    ) -> Option<&Arc<Endpoint>> {
        let turn = match kind {
            Balancer::RoundRobin if tried.is_empty() => self.turns.0.fetch_add(1, Relaxed),
            // A retry takes whose turn is next and lets it have its turn all the same.
            Balancer::RoundRobin => self.turns.0.load(Relaxed),
            Balancer::P2c => 0,
        };
        let request = Request { turn, seed, tried };
        self.tiers.iter().find_map(|tier| {
            let mut balancers = tier.balancers.iter();
            balancers.find(|(one, _)| *one == kind)?.1.pick(&request)
        })
    }

    /// Returns the endpoint of this instance, if it has one, and the priority it is asked with.
    pub(crate) fn endpoint_of(&self, instance: &Instance) -> Option<(u16, &Arc<Endpoint>)> {
        self.tiers.iter().find_map(|tier| {
            // Sorted by id, as the instances of a service are.
            let id = |member: &Member| member.endpoint.id.cmp(&instance.id);
            let at = tier.members.binary_search_by(id).ok()?;
            Some((tier.priority, &tier.members[at].endpoint))
        })
    }

    /// Returns the endpoint of the instance with this id, if it may be asked.
    pub(crate) fn named(&self, id: &str) -> Option<&Arc<Endpoint>> {
        self.tiers.iter().find_map(|tier| {
            let id = |member: &Member| member.endpoint.id.as_str().cmp(id);
            let at = tier.members.binary_search_by(id).ok()?;
            Some(&tier.members[at].endpoint)
        })
    }

    /// Tells whether this very endpoint is among those that may be asked.
    pub(crate) fn contains(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.tiers.iter().any(|tier| {
            let id = |member: &Member| member.endpoint.id.cmp(&endpoint.id);
            let at = tier.members.binary_search_by(id);
            at.is_ok_and(|at| Arc::ptr_eq(&tier.members[at].endpoint, endpoint))
        })
    }

    /// Lists the endpoints that may be asked.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        let members = self.tiers.iter().flat_map(|tier| &tier.members);
        members.map(|member| &member.endpoint)
    }

    /// Tells whether nobody can be asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.tiers.is_empty()
    }

    /// Returns the lowest priority, the one that is asked first.
    pub(crate) fn first_priority(&self) -> Option<u16> {
        self.tiers.first().map(|tier| tier.priority)
    }

    fn endpoint(&self, instance: &Instance, address: SocketAddr) -> Option<&Arc<Endpoint>> {
        let (_, endpoint) = self.endpoint_of(instance)?;
        let is_same = endpoint.is_at(address, &instance.addresses[1..]);
        is_same.then_some(endpoint)
    }
}

/// Returns where an instance is asked first, unless clients should not be sent to it or it has no
/// TCP port.
pub(crate) fn address(instance: &Instance) -> Option<SocketAddr> {
    match instance.exclusion() {
        Some(_) => None,
        None => place(instance),
    }
}

/// Returns where an instance is, whether it may be asked or not; `None` without a TCP port.
pub(crate) fn place(instance: &Instance) -> Option<SocketAddr> {
    let port = instance.main_port(Protocol::Tcp)?;
    let address = instance.addresses.first()?;
    Some(SocketAddr::new(*address, port.number))
}

#[cfg(test)]
mod tests {
    use registry::{Health, Observation, Reason, State, testing};

    use super::*;

    fn pool(service: &Service, previous: Option<&Pool>) -> Pool {
        Pool::build(service, &Balancer::ALL, previous)
    }

    #[test]
    fn an_unchanged_endpoint_keeps_its_counters_over_a_rebuild() {
        let before = pool(&testing::service("web", &[("a", 1), ("b", 1)]), None);
        let a = Arc::clone(before.pick(Balancer::RoundRobin, 0, &[]).unwrap());
        let guard = a.begin();
        let after = pool(&testing::service("web", &[("a", 9)]), Some(&before));
        assert!(after.contains(&a));
        assert_eq!(after.pick(Balancer::P2c, 0, &[]).unwrap().in_flight(), 1);
        drop(guard);
        let moved = testing::service_of("web", [testing::instance("a", "127.0.0.9", 1)]);
        assert!(!pool(&moved, Some(&after)).contains(&a));
    }

    #[test]
    fn turns_go_on_over_a_rebuild() {
        let service = testing::service("web", &[("a", 1), ("b", 1)]);
        let before = pool(&service, None);
        let first = Arc::clone(before.pick(Balancer::RoundRobin, 0, &[]).unwrap());
        let after = pool(&service, Some(&before));
        let second = after.pick(Balancer::RoundRobin, 0, &[]).unwrap();
        assert!(!Arc::ptr_eq(&first, second));
    }

    #[test]
    fn a_higher_number_of_priority_is_asked_when_the_lower_ones_failed() {
        let mut backup = testing::instance("a", "127.0.0.1", 1);
        backup.priority = 7;
        let service = testing::service_of("web", [backup, testing::instance("b", "127.0.0.2", 1)]);
        let pool = pool(&service, None);
        for kind in Balancer::ALL {
            let first = Arc::clone(pool.pick(kind, 5, &[]).unwrap());
            assert_eq!(first.id.as_str(), "b");
            let second = pool.pick(kind, 5, &[first]).unwrap();
            assert_eq!(second.id.as_str(), "a");
        }
    }

    #[test]
    fn who_starts_slowly_is_asked_less_and_who_is_unhealthy_not_at_all() {
        let seen = [
            ("a", Observation::new(Health::Healthy, 100)),
            ("b", Observation::new(Health::Unknown, 10).untold()),
            (
                "c",
                Observation::new(Health::Unhealthy(Reason::Ejected), 100).untold(),
            ),
        ];
        let instances = seen.map(|(id, observation)| {
            let mut instance = testing::instance(id, "127.0.0.1", 1);
            instance.observation = observation;
            instance
        });
        let pool = pool(&testing::service_of("web", instances), None);
        let picked = || pool.pick(Balancer::RoundRobin, 0, &[]).unwrap().id.clone();
        let picks: Vec<_> = std::iter::repeat_with(picked).take(110).collect();
        let times = |id: &str| picks.iter().filter(|one| one.as_str() == id).count();
        assert_eq!((times("a"), times("b"), times("c")), (100, 10, 0));
    }

    #[test]
    fn who_drains_or_has_no_port_is_not_asked() {
        let mut drains = testing::instance("a", "127.0.0.1", 1);
        drains.state = State::Draining;
        let mut portless = testing::instance("b", "127.0.0.1", 1);
        portless.ports.clear();
        assert!(pool(&testing::service_of("web", [drains, portless]), None).is_empty());
    }
}
