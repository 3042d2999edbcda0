use proptest::prelude::*;
use registry::{Health, Observation, Reason, testing};

use super::*;
use crate::Config;

const TTL: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(60);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The service `web` whose instances are in these states.
fn web(states: &[(&str, State)]) -> Service {
    let instances = (1..).zip(states).map(|(n, (id, state))| {
        let mut instance = testing::instance(id, &format!("10.0.0.{n}"), 80);
        instance.state = *state;
        instance
    });
    testing::service_of("web", instances)
}

/// What follows the registry, as the program does it.
struct World {
    drains: Drains,
    table: RouteTable,
    begin: Instant,
    version: u64,
    services: imbl::OrdMap<ServiceName, Arc<Service>>,
}

impl World {
    fn new(service: Service) -> Self {
        let (config, nothing) = (Config::default(), Snapshot::default());
        let table = RouteTable::build(&config, &[], &nothing, None);
        let mut world = Self {
            drains: Drains::new(LIMIT),
            table,
            begin: Instant::now(),
            version: 0,
            services: imbl::OrdMap::new(),
        };
        world.set(Some(service), 0);
        world
    }

    fn at(&self, second: u64) -> Instant {
        self.begin + seconds(second)
    }

    fn set(&mut self, service: Option<Service>, second: u64) {
        self.version += 1;
        match service {
            Some(service) => {
                let mut services = self.services.clone();
                services.insert(service.name.clone(), Arc::new(service));
                self.services = services;
            }
            None => self.services.clear(),
        }
        let services = self.services.clone();
        let snapshot = Snapshot::new(self.version, services, Arc::default());
        self.drains.take(&snapshot, self.at(second), |_| TTL);
        self.renew(second);
    }

    fn renew(&mut self, second: u64) {
        let now = self.at(second);
        let (view, before) = self.drains.view();
        let table = self.table.update(before, view);
        self.drains.follow(&self.table, &table, now);
        self.table = table;
    }

    fn pass(&mut self, second: u64) -> Vec<Arc<Endpoint>> {
        if self.drains.expire(self.at(second)) {
            self.renew(second);
        }
        self.drains.overdue(self.at(second))
    }

    fn endpoint(&self, id: &str) -> Option<Arc<Endpoint>> {
        let pool = self.table.pool(&"web".parse().unwrap())?;
        pool.endpoints().find(|one| one.id.as_str() == id).cloned()
    }

    fn state(&self, id: &str, second: u64) -> Option<DrainState> {
        let name = "web".parse().unwrap();
        let states = self.drains.states(&self.table, &name, self.at(second));
        states.get(&InstanceId::from_text(id)).copied()
    }
}

#[test]
fn who_drains_gets_requests_as_long_as_clients_know_it_and_then_finishes() {
    let mut world = World::new(web(&[("a", State::Up), ("b", State::Up)]));
    let a = world.endpoint("a").unwrap();
    let request = a.begin();
    assert_eq!((world.state("a", 0), world.drains.next()), (None, None));

    world.set(Some(web(&[("a", State::Draining), ("b", State::Up)])), 10);
    assert!(Arc::ptr_eq(&world.endpoint("a").unwrap(), &a));
    let state = world.state("a", 12).unwrap();
    assert_eq!(
        (state.phase, state.seconds_left),
        (DrainPhase::Dns, Some(3.))
    );
    assert_eq!((state.requests, state.tunnels), (1, 0));
    assert_eq!(world.drains.next(), Some(world.at(15)));
    assert!(world.pass(14).is_empty() && world.endpoint("a").is_some());

    assert!(world.pass(15).is_empty() && world.endpoint("a").is_none());
    let state = world.state("a", 25).unwrap();
    assert_eq!(
        (state.phase, state.seconds_left),
        (DrainPhase::Finishing, Some(50.))
    );
    assert_eq!(world.drains.next(), Some(world.at(75)));
    let tunnel = request.tunnel();
    assert_eq!(world.state("a", 25).unwrap().tunnels, 1);

    assert!(world.pass(74).is_empty());
    let overdue = world.pass(75);
    assert!(overdue.len() == 1 && Arc::ptr_eq(&overdue[0], &a));
    assert_eq!(world.state("a", 76).unwrap().phase, DrainPhase::Finishing);
    drop(tunnel);
    drop(request);
    assert_eq!(world.state("a", 76), Some(DrainState::default()));
    assert!(world.pass(77).is_empty() && world.drains.next().is_none());
}

#[test]
fn who_is_gone_gets_no_new_requests_at_once() {
    let mut world = World::new(web(&[("a", State::Up), ("b", State::Up)]));
    let a = world.endpoint("a").unwrap();
    let request = a.begin();
    world.set(Some(web(&[("a", State::Draining), ("b", State::Up)])), 1);
    world.set(None, 2);
    assert!(world.endpoint("a").is_none());
    assert_eq!(world.state("a", 3).unwrap().phase, DrainPhase::Finishing);
    assert_eq!(world.state("b", 3), None);
    assert_eq!(world.drains.next(), Some(world.at(62)));
    assert_eq!(world.pass(62).len(), 1);
    drop(request);
    assert_eq!(world.state("a", 63), None);
}

#[test]
fn who_is_back_keeps_what_it_has() {
    let mut world = World::new(web(&[("a", State::Up)]));
    let _request = world.endpoint("a").unwrap().begin();
    world.set(Some(web(&[("a", State::Draining)])), 1);
    world.set(Some(web(&[("a", State::Up)])), 2);
    assert!(world.drains.next().is_none() && world.endpoint("a").is_some());
    world.set(Some(web(&[("a", State::Down)])), 3);
    world.set(Some(web(&[("a", State::Up)])), 4);
    assert_eq!(world.state("a", 5), None);
    assert!(world.pass(100).is_empty());
}

#[test]
fn who_is_unwell_keeps_what_it_has_until_it_is_gone() {
    let mut world = World::new(web(&[("a", State::Up), ("b", State::Up)]));
    let a = world.endpoint("a").unwrap();
    let tunnel = a.begin();
    let mut unwell = web(&[("a", State::Up), ("b", State::Up)]);
    let instance = Arc::make_mut(&mut unwell.instances[0]);
    instance.observation = Observation::new(Health::Unhealthy(Reason::Ejected), 100);
    world.set(Some(unwell), 10);
    assert!(world.endpoint("a").is_none());
    assert_eq!(world.state("a", 11), None);
    assert!(world.pass(70).is_empty());
    world.set(Some(web(&[("b", State::Up)])), 80);
    assert_eq!(world.state("a", 80).unwrap().phase, DrainPhase::Finishing);
    // It has as long as any other that leaves then.
    assert!(world.pass(139).is_empty());
    let ended = world.pass(140);
    assert!(Arc::ptr_eq(&ended[0], &a));
    drop(tunnel);
}

#[test]
fn who_was_unwell_for_a_while_has_the_whole_time_when_it_leaves() {
    let well = || web(&[("a", State::Up), ("b", State::Up)]);
    let mut world = World::new(well());
    let before = world.endpoint("a").unwrap();
    let _tunnel = before.begin();
    let mut unwell = well();
    let instance = Arc::make_mut(&mut unwell.instances[0]);
    instance.observation = Observation::new(Health::Unhealthy(Reason::Ejected), 100);
    world.set(Some(unwell), 10);
    world.set(Some(well()), 20);
    assert!(!Arc::ptr_eq(&before, &world.endpoint("a").unwrap()));
    world.set(Some(web(&[("b", State::Up)])), 65);
    assert!(world.pass(124).is_empty());
    assert!(Arc::ptr_eq(&world.pass(125)[0], &before));
}

#[test]
fn who_was_unwell_is_not_asked_when_it_drains() {
    let mut unwell = web(&[("a", State::Up), ("b", State::Up)]);
    let failing = Observation::new(Health::Unhealthy(Reason::CheckFailed), 100);
    Arc::make_mut(&mut unwell.instances[0]).observation = failing;
    let mut world = World::new(unwell);
    // What was seen of it may be taken back with that.
    world.set(Some(web(&[("a", State::Draining), ("b", State::Up)])), 1);
    assert!(world.endpoint("a").is_none());
    assert_eq!(world.state("a", 1), Some(DrainState::default()));
}

#[test]
fn who_was_never_up_is_known_to_nobody() {
    let mut world = World::new(web(&[("a", State::Draining), ("b", State::Starting)]));
    assert!(world.endpoint("a").is_none());
    world.set(
        Some(web(&[("a", State::Draining), ("b", State::Draining)])),
        1,
    );
    assert!(world.endpoint("b").is_none() && world.drains.next().is_none());
    assert_eq!(world.state("b", 1), Some(DrainState::default()));
}

#[test]
fn who_is_gone_and_busy_is_counted_and_who_is_idle_is_not() {
    let mut world = World::new(web(&[("a", State::Up), ("b", State::Up), ("c", State::Up)]));
    let requests = ["a", "c"].map(|id| world.endpoint(id).unwrap().begin());
    // One that drains is there to be counted.
    world.set(Some(web(&[("c", State::Draining)])), 1);
    world.pass(50);
    let name: ServiceName = "web".parse().unwrap();
    assert_eq!(world.drains.gone(), BTreeMap::from([(name.clone(), 1)]));
    world.set(None, 51);
    assert_eq!(world.drains.gone(), BTreeMap::from([(name, 2)]));
    drop(requests);
    assert!(world.drains.gone().is_empty());
}

#[test]
fn those_who_have_left_and_have_nothing_to_do_are_forgotten() {
    let mut world = World::new(web(&[("a", State::Up)]));
    for second in 0..500 {
        let state = if second % 2 == 0 {
            State::Down
        } else {
            State::Up
        };
        world.set(Some(web(&[("a", state)])), second);
    }
    assert!(world.drains.left.len() <= LEFT_KEPT_MIN + 1);
}

fn state() -> impl Strategy<Value = State> {
    prop::sample::select(vec![State::Up, State::Up, State::Draining, State::Down])
}

proptest! {
    /// Whoever is up gets requests; who drains does for as long as clients may know it, and no longer.
    #[test]
    fn requests_go_to_those_whom_clients_may_know(
        steps in prop::collection::vec((prop::option::of((state(), state())), 0..4_u64), 1..30),
    ) {
        let mut world = World::new(web(&[("a", State::Up), ("b", State::Up)]));
        let mut last = [State::Up; 2];
        let mut known_until = [u64::MAX; 2];
        let mut second = 0;
        for (change, pause) in steps {
            second += pause;
            world.pass(second);
            if let Some((a, b)) = change {
                world.set(Some(web(&[("a", a), ("b", b)])), second);
                for (at, state) in [a, b].into_iter().enumerate() {
                    known_until[at] = match (last[at], state) {
                        (_, State::Up) => u64::MAX,
                        (State::Up, State::Draining) => second + TTL.as_secs(),
                        (State::Draining, State::Draining) => known_until[at],
                        _ => 0,
                    };
                    last[at] = state;
                }
            }
            for (at, id) in ["a", "b"].into_iter().enumerate() {
                let expected = second < known_until[at];
                prop_assert_eq!(world.endpoint(id).is_some(), expected, "{} at {}", id, second);
            }
        }
        for wait in [TTL, LIMIT] {
            second += wait.as_secs();
            world.pass(second);
        }
        prop_assert_eq!(world.drains.next(), None);
        prop_assert!(world.drains.known.is_empty());
    }
}
