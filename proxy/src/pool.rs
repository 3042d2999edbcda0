//! One service as the proxy sees it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use registry::{Instance, Protocol, Service, ServiceName, State, Weights};
use smallvec::SmallVec;

use crate::{
    Algorithm, Balancer, Distance, Endpoint, Locality, Subset,
    balancers::{Balance, Member, Request, mix},
    circuit::Circuit,
};

/// How many distances there are.
const DISTANCES: usize = Distance::ALL.len();

/// One more than 32 random bits may be.
const ALL_BITS: u64 = 1 << 32;

/// Holds the endpoints of one service, ready to be chosen from; immutable but for their counters.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) service: ServiceName,
    /// Which of the service's instances it has; all when it isn't there.
    pub(crate) subset: Option<Arc<Subset>>,
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
    /// Sorted by id.
    members: Vec<Member>,
    /// The nearest first; mostly there is one.
    levels: SmallVec<[Level; 1]>,
}

/// Holds the endpoints of one tier that are equally near.
#[derive(Debug)]
struct Level {
    /// Random bits below this are for this level, or one before it.
    below: u64,
    balancers: SmallVec<[(Balancer, Box<dyn Balance>); 1]>,
}

/// Says what is asked of a pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    /// The balancers that routes to the service ask for.
    pub(crate) balancers: &'a [Balancer],
    /// Who is near.
    pub(crate) locality: &'a Locality,
}

impl Pool {
    /// Builds the pool of a service; what `previous` has at the same address keeps its counters.
    pub(crate) fn build(service: &Service, wish: Wish<'_>, previous: Option<&Self>) -> Self {
        let weights = Weights::of(service.available().map(|one| (&**one, one.observation)));
        let mut members: Vec<(u16, Distance, Member)> = service
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
                let distance = wish.locality.distance(instance);
                let member = Member { endpoint, weight };
                Some((instance.priority, distance, member))
            })
            .collect();
        // Stable, so members stay sorted by id.
        members.sort_by_key(|(priority, ..)| *priority);
        let tiers = members
            .chunk_by(|(a, ..), (b, ..)| a == b)
            .map(|tier| Tier::build(tier, service, wish))
            .collect();
        Self {
            service: service.name.clone(),
            subset: None,
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
        subset: &Arc<Subset>,
        wish: Wish<'_>,
        whole: &Self,
        previous: Option<&Self>,
    ) -> Self {
        Self {
            subset: Some(Arc::clone(subset)),
            turns: previous.map_or_else(Arc::default, |pool| Arc::clone(&pool.turns)),
            ..Self::build(service, wish, Some(whole))
        }
    }

    /// Chooses an endpoint that hasn't been tried for this request; whose turn it is, is known here.
    pub(crate) fn pick(&self, kind: Balancer, request: Request<'_>) -> Option<&Arc<Endpoint>> {
        let turn = match kind.algorithm {
            Algorithm::RoundRobin if request.tried.is_empty() => self.turns.0.fetch_add(1, Relaxed),
            // A retry takes whose turn is next and lets it have its turn all the same.
            Algorithm::RoundRobin => self.turns.0.load(Relaxed),
            _ => 0,
        };
        let request = Request { turn, ..request };
        let mut tiers = self.tiers.iter();
        tiers.find_map(|tier| tier.pick(kind, &request))
    }

    /// Tells whether somebody can be asked who isn't among `tried`.
    pub(crate) fn has_other_than(&self, tried: &[Arc<Endpoint>]) -> bool {
        let is_tried = |one: &Arc<Endpoint>| tried.iter().any(|tried| Arc::ptr_eq(tried, one));
        self.endpoints().any(|endpoint| !is_tried(endpoint))
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

impl Tier {
    fn build(all: &[(u16, Distance, Member)], service: &Service, wish: Wish<'_>) -> Self {
        let priority = all[0].0;
        let members = |distance: Option<Distance>| -> Vec<Member> {
            let chosen = all
                .iter()
                .filter(|(_, one, _)| distance.is_none_or(|distance| *one == distance));
            chosen.map(|(.., member)| member.clone()).collect()
        };
        let level = |below: u64, members: &[Member]| Level {
            below,
            balancers: wish
                .balancers
                .iter()
                .map(|kind| (*kind, kind.build(members)))
                .collect(),
        };
        let everybody = members(None);
        if wish.locality.is_nowhere() {
            return Self {
                priority,
                levels: SmallVec::from_iter([level(ALL_BITS, &everybody)]),
                members: everybody,
            };
        }
        // Those who should be there count as well: the share that is well says how much spills over.
        let expected = service.instances.iter().filter(|one| {
            one.state == State::Up && one.priority == priority && place(one).is_some()
        });
        let mut counts = [(0_u64, 0_u64); DISTANCES];
        expected.for_each(|one| counts[wish.locality.distance(one) as usize].1 += 1);
        all.iter()
            .for_each(|(_, distance, _)| counts[*distance as usize].0 += 1);
        let bounds = spill_over(counts, wish.locality.overprovisioning);
        let levels = Distance::ALL
            .into_iter()
            .zip(bounds)
            .filter_map(|(distance, below)| {
                let members = members(Some(distance));
                (!members.is_empty()).then(|| level(below, &members))
            });
        Self {
            priority,
            levels: levels.collect(),
            members: everybody,
        }
    }

    fn pick(&self, kind: Balancer, request: &Request<'_>) -> Option<&Arc<Endpoint>> {
        let [only] = self.levels.as_slice() else {
            // Requests that should stay together are for one level.
            // Mixed otherwise than where a split has drawn by the same bits.
            let point = mix(request.key() ^ LEVEL_SALT) >> 32;
            let first = self.levels.iter().position(|level| point < level.below);
            let first = first.and_then(|at| self.levels.get(at));
            return first
                .into_iter()
                .chain(&self.levels)
                .find_map(|level| level.pick(kind, request));
        };
        only.pick(kind, request)
    }
}

impl Level {
    fn pick(&self, kind: Balancer, request: &Request<'_>) -> Option<&Arc<Endpoint>> {
        let mut balancers = self.balancers.iter();
        balancers.find(|(one, _)| *one == kind)?.1.pick(request)
    }
}

/// Makes the choice of a level independent of that of a split's share.
const LEVEL_SALT: u64 = 0x6c65_7665_6c5f_6f66;

/// Divides requests among those who are near, less near and far, of whom so many are well out of so
/// many; returns up to which number of 32 random bits each gets them.
///
/// The near get all while those who are well, times `factor`, are as many as there should be; what
/// they don't get goes to the next (as Envoy divides load among priorities).
fn spill_over(counts: [(u64, u64); DISTANCES], factor: f64) -> [u64; DISTANCES] {
    let capacity = |(well, all): (u64, u64)| match all {
        0 => 0.0,
        all => (well as f64 / all as f64 * factor).min(1.0),
    };
    let mut left = 1.0;
    let shares = counts.map(|count| {
        let share = capacity(count).min(left);
        left -= share;
        share
    });
    // When all together can't carry everything, each carries as much more.
    let sum = shares.iter().sum::<f64>();
    let mut so_far = 0.0;
    shares.map(|share| {
        so_far += share;
        (so_far / sum * ALL_BITS as f64).round() as u64
    })
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
    use registry::{Health, Observation, Reason, testing};

    use super::*;

    fn all() -> Vec<Balancer> {
        Algorithm::ALL.map(Balancer::from).into()
    }

    fn pool_in(locality: &Locality, service: &Service, previous: Option<&Pool>) -> Pool {
        let wish = Wish {
            balancers: &all(),
            locality,
        };
        Pool::build(service, wish, previous)
    }

    fn pool(service: &Service, previous: Option<&Pool>) -> Pool {
        pool_in(&Locality::default(), service, previous)
    }

    fn pick(pool: &Pool, algorithm: Algorithm) -> &Arc<Endpoint> {
        pool.pick(algorithm.into(), Request::default()).unwrap()
    }

    #[test]
    fn an_unchanged_endpoint_keeps_its_counters_over_a_rebuild() {
        let before = pool(&testing::service("web", &[("a", 1), ("b", 1)]), None);
        let a = Arc::clone(pick(&before, Algorithm::RoundRobin));
        let guard = a.begin();
        let after = pool(&testing::service("web", &[("a", 9)]), Some(&before));
        assert!(after.contains(&a));
        assert_eq!(pick(&after, Algorithm::P2c).in_flight(), 1);
        drop(guard);
        let moved = testing::service_of("web", [testing::instance("a", "127.0.0.9", 1)]);
        assert!(!pool(&moved, Some(&after)).contains(&a));
    }

    #[test]
    fn turns_go_on_over_a_rebuild() {
        let service = testing::service("web", &[("a", 1), ("b", 1)]);
        let before = pool(&service, None);
        let first = Arc::clone(pick(&before, Algorithm::RoundRobin));
        let after = pool(&service, Some(&before));
        let second = pick(&after, Algorithm::RoundRobin);
        assert!(!Arc::ptr_eq(&first, second));
    }

    #[test]
    fn a_higher_number_of_priority_is_asked_when_the_lower_ones_failed() {
        let mut backup = testing::instance("a", "127.0.0.1", 1);
        backup.priority = 7;
        let service = testing::service_of("web", [backup, testing::instance("b", "127.0.0.2", 1)]);
        let pool = pool(&service, None);
        for kind in all() {
            let first = Arc::clone(pool.pick(kind, Request::default()).unwrap());
            assert_eq!(first.id.as_str(), "b");
            let tried = [first];
            let again = Request {
                tried: &tried,
                ..Request::default()
            };
            assert!(pool.has_other_than(&tried));
            assert_eq!(pool.pick(kind, again).unwrap().id.as_str(), "a");
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
        let picked = || pick(&pool, Algorithm::RoundRobin).id.clone();
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

    #[test]
    fn who_is_near_gets_all_until_too_many_of_them_are_unwell() {
        let here = Locality {
            region: Some("eu".to_owned()),
            zone: Some("a".to_owned()),
            ..Locality::default()
        };
        let instance = |n: usize, region: &str, zone: &str| {
            let mut instance = testing::instance(&format!("{zone}{n}"), "127.0.0.1", 1);
            instance.locality = Some(Box::new(registry::Locality {
                region: Some(region.into()),
                zone: Some(zone.into()),
            }));
            instance
        };
        // As a split with a small share draws by the same bits.
        let shares_of = |unwell: usize, is_meant: fn(u64) -> bool| {
            let mut all: Vec<_> = (0..4).map(|n| instance(n, "eu", "a")).collect();
            for one in &mut all[..unwell] {
                one.observation = Observation::new(Health::Unhealthy(Reason::Ejected), 100);
            }
            all.extend((0..2).map(|n| instance(n, "eu", "b")));
            // The same name in another region is another place.
            all.push(instance(9, "us", "a"));
            let pool = pool_in(&here, &testing::service_of("web", all), None);
            let mut counts = [0; 3];
            let keys = (0..).filter(|key| is_meant(*key)).take(10_000);
            for key in keys {
                let request = Request {
                    seed: mix(key),
                    hash: Some(key),
                    ..Request::default()
                };
                let picked = pool.pick(Algorithm::Random.into(), request).unwrap();
                counts[match picked.id.as_str() {
                    "a9" => 2,
                    id if id.starts_with('a') => 0,
                    _ => 1,
                }] += 1;
            }
            counts
        };
        let shares = |unwell: usize| shares_of(unwell, |_| true);
        assert_eq!(shares(0), [10_000, 0, 0]);
        assert_eq!(shares(1), [10_000, 0, 0], "1.4 * 3/4 is enough");
        let [near, less, far] = shares(2);
        assert!(
            (6_800..7_200).contains(&near) && far == 0,
            "{near} {less} {far}"
        );
        assert_eq!(shares(4), [0, 10_000, 0]);
        let [near, ..] = shares_of(2, |key| mix(key) > u64::MAX / 20 * 19);
        assert!((6_800..7_200).contains(&near), "{near}");
    }

    #[test]
    fn what_nobody_can_carry_alone_is_carried_by_all() {
        let bounds = spill_over([(1, 10), (1, 10), (0, 0)], 1.4);
        assert_eq!(bounds, [ALL_BITS / 2, ALL_BITS, ALL_BITS]);
        let bounds = spill_over([(0, 0), (3, 3), (9, 9)], 1.4);
        assert_eq!(bounds, [0, ALL_BITS, ALL_BITS]);
    }
}
