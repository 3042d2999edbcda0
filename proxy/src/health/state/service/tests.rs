use std::time::Duration;

use config::Duration as Setting;
use proptest::prelude::*;
use registry::{Health, Reason, State, testing};

use super::*;
use crate::config::{Check, Told};

const WHOLE: u8 = Observation::SHARE_WHOLE;

/// A policy that checks, ejects and fails open below a half.
fn policy() -> ServicePolicy {
    ServicePolicy {
        check: Some(Check::default()),
        ejection: Some(Ejection::default()),
        slow_start: Duration::ZERO,
        fail_open: 0.5,
        limits: Default::default(),
        dns: Default::default(),
    }
}

fn web(ids: &[&str]) -> Service {
    let ids: Vec<_> = ids.iter().map(|id| (*id, 1)).collect();
    testing::service("web", &ids)
}

fn id(text: &str) -> InstanceId {
    InstanceId::from_text(text)
}

/// A service's state, with what the registry would have by what it was told.
struct Watched {
    state: ServiceState,
    service: Service,
    begin: Instant,
    turns: u64,
}

impl Watched {
    fn new(ids: &[&str], policy: ServicePolicy) -> Self {
        let (begin, service) = (Instant::now(), web(ids));
        let mut watched = Self {
            state: ServiceState::new(&service, Arc::new(policy), begin),
            service,
            begin,
            turns: 0,
        };
        watched.state.plan(&mut watched.turns);
        watched
    }

    fn at(&self, seconds: u64) -> Instant {
        self.begin + Duration::from_secs(seconds)
    }

    /// Lets the registry know, and takes over its next snapshot; returns who has changed.
    fn settle(&mut self, seconds: u64) -> Vec<String> {
        let changes = self.state.settle(self.at(seconds));
        for (id, observation) in &changes {
            let mut instances = self.service.instances.iter_mut();
            let instance = instances.find(|one| one.id == *id).unwrap();
            Arc::make_mut(instance).observation = *observation;
        }
        self.state.update(&self.service, true, self.at(seconds));
        self.state.plan(&mut self.turns);
        changes
            .into_iter()
            .map(|(id, _)| id.as_str().to_owned())
            .collect()
    }

    fn check(&mut self, one: &str, passed: bool, seconds: u64) {
        let result = passed.then_some(()).ok_or_else(|| "no".to_owned());
        let turn = self.state.instances[&id(one)].turn.unwrap();
        self.state.check(&id(one), turn, result, self.at(seconds));
    }

    fn sample(&mut self, one: &str, sample: (u64, u64, u64, u32), seconds: u64) {
        let (successes, failures, micros, consecutive) = sample;
        let sample = Sample {
            successes,
            failures,
            micros,
            consecutive,
        };
        let now = self.at(seconds);
        self.state.sample([(&id(one), sample)].into_iter(), now);
    }

    fn seen(&self, one: &str) -> (Health, u8) {
        let observation = self.service.instance(&id(one)).unwrap().observation;
        (observation.health, observation.share())
    }
}

const FAILING: Health = Health::Unhealthy(Reason::CheckFailed);
const EJECTED: Health = Health::Unhealthy(Reason::Ejected);

#[test]
fn an_instance_whose_checks_fail_is_left_out_until_they_pass_again() {
    let mut watched = Watched::new(&["a", "b"], policy());
    assert_eq!(watched.settle(0), [""; 0]);
    watched.check("a", true, 1);
    assert_eq!(watched.settle(1), ["a"]);
    assert_eq!(watched.seen("a"), (Health::Healthy, WHOLE));
    for seconds in 2..5 {
        assert_eq!(watched.seen("b"), (Health::Unknown, WHOLE));
        watched.check("b", false, seconds);
        watched.settle(seconds);
    }
    assert_eq!(watched.seen("b"), (FAILING, WHOLE));
    watched.check("b", true, 6);
    assert_eq!(watched.settle(6), [""; 0]);
    watched.check("b", true, 7);
    assert_eq!(watched.settle(7), ["b"]);
    assert_eq!(watched.seen("b"), (Health::Healthy, WHOLE));
    let counts = watched.state.counts();
    assert_eq!((counts.checks_passed, counts.checks_failed), (3, 3));
}

#[test]
fn a_result_of_a_check_that_is_no_longer_meant_counts_for_nothing() {
    let mut watched = Watched::new(&["a", "b"], policy());
    let old = watched.state.instances[&id("a")].turn.unwrap();
    let check = Check {
        fall: 1,
        ..Check::default()
    };
    let other = ServicePolicy {
        check: Some(check),
        ..policy()
    };
    watched.state.set_policy(Arc::new(other));
    let failed = Err("no".to_owned());
    let now = watched.at(0);
    assert!(!watched.state.check(&id("a"), old, failed.clone(), now));
    let planned = watched.state.plan(&mut watched.turns);
    assert_eq!(planned.len(), 2);
    assert_eq!(watched.state.plan(&mut watched.turns), []);
    assert_eq!(watched.state.begin_check(&id("a"), old), None);
    let target = watched.state.begin_check(&id("a"), planned[0].1);
    assert_eq!(target.unwrap()[0].to_string(), "127.0.0.1:9001");
    assert!(watched.state.check(&id("a"), planned[0].1, failed, now));
}

#[test]
fn failures_in_a_row_eject_and_the_time_brings_back() {
    let mut watched = Watched::new(&["a", "b"], policy());
    watched.sample("a", (9, 4, 0, 4), 1);
    assert_eq!(watched.settle(1), [""; 0]);
    watched.sample("a", (9, 5, 0, 5), 2);
    assert_eq!(watched.settle(2), ["a"]);
    assert_eq!(watched.seen("a"), (EJECTED, WHOLE));
    assert_eq!(watched.settle(31), [""; 0]);
    assert_eq!(watched.settle(32), ["a"]);
    assert_eq!(watched.seen("a"), (Health::Unknown, WHOLE));
    // What it did before doesn't count twice; the next failure does, and for longer.
    watched.sample("a", (9, 5, 0, 5), 33);
    assert_eq!(watched.settle(33), [""; 0]);
    watched.sample("a", (9, 6, 0, 6), 34);
    assert_eq!(watched.settle(34), ["a"]);
    assert_eq!(watched.settle(93), [""; 0]);
    assert_eq!(watched.settle(94), ["a"]);
    assert_eq!(watched.state.counts().ejections, [2, 0, 0]);
}

#[test]
fn a_ratio_of_failures_ejects_when_there_were_enough_requests() {
    let mut watched = Watched::new(&["a", "b"], policy());
    watched.sample("a", (20, 20, 0, 1), 1);
    assert_eq!(watched.settle(1), [""; 0]);
    watched.sample("b", (26, 25, 0, 1), 1);
    assert_eq!(watched.settle(1), [""; 0]);
    watched.sample("a", (25, 25, 0, 1), 2);
    assert_eq!(watched.settle(2), ["a"]);
    assert_eq!(watched.state.counts().ejections, [0, 1, 0]);
}

#[test]
fn one_that_is_much_slower_than_the_others_is_ejected_if_that_is_asked_for() {
    let mut slow = policy();
    slow.ejection.as_mut().unwrap().latency = Some(3.0);
    for (policy, ejected) in [(policy(), 0), (slow, 1)] {
        let mut watched = Watched::new(&["a", "b", "c", "d"], policy);
        let sample = |micros: u64| Sample {
            successes: 100,
            micros: 100 * micros,
            ..Sample::default()
        };
        let all = [("a", 2000), ("b", 3000), ("c", 2500), ("d", 9000)];
        let samples = all.map(|(one, micros)| (id(one), sample(micros)));
        let samples = samples.iter().map(|(id, sample)| (id, *sample));
        watched.state.sample(samples, watched.at(1));
        let changed = watched.settle(1);
        assert_eq!(changed.len(), ejected);
        assert!(changed.iter().all(|one| one == "d"));
        assert_eq!(watched.state.counts().ejections[2], ejected as u64);
    }
}

#[test]
fn no_more_are_ejected_than_may_be_and_one_alone_never() {
    let mut watched = Watched::new(&["a", "b", "c"], policy());
    for one in ["a", "b", "c"] {
        watched.sample(one, (0, 5, 0, 5), 1);
    }
    assert_eq!(watched.settle(1), ["a"]);
    assert_eq!(watched.state.counts().suppressed, 2);
    // The others go: then it is the only one, and is taken back.
    watched.service = web(&["a"]);
    watched.state.update(&watched.service, true, watched.at(2));
    watched.settle(2);
    assert_eq!(watched.seen("a"), (Health::Unknown, WHOLE));
    watched.sample("a", (0, 50, 0, 50), 3);
    assert_eq!(watched.settle(3), [""; 0]);
}

#[test]
fn health_is_not_believed_when_too_few_would_be_left() {
    let mut watched = Watched::new(&["a", "b", "c"], policy());
    for _ in 0..3 {
        watched.check("a", false, 1);
    }
    watched.check("c", true, 1);
    assert_eq!(watched.settle(1), ["a", "c"]);
    assert!(!watched.state.fail_open());
    for _ in 0..3 {
        watched.check("b", false, 2);
    }
    assert_eq!(watched.settle(2), ["a"]);
    assert!(watched.state.fail_open());
    assert_eq!(watched.seen("a"), (Health::Unknown, WHOLE));
    assert_eq!(watched.seen("b"), (Health::Unknown, WHOLE));
    assert_eq!(watched.seen("c"), (Health::Healthy, WHOLE));
    assert_eq!(
        watched.state.instances[&id("b")].condition(),
        Condition::CheckFailed
    );
    for _ in 0..2 {
        watched.check("b", true, 3);
    }
    assert_eq!(watched.settle(3), ["a", "b"]);
    assert_eq!(watched.seen("a"), (FAILING, WHOLE));

    let never = ServicePolicy {
        fail_open: 0.0,
        ..policy()
    };
    let mut watched = Watched::new(&["a"], never);
    for _ in 0..3 {
        watched.check("a", false, 1);
    }
    assert_eq!(watched.settle(1), ["a"]);
    assert_eq!(watched.seen("a"), (FAILING, WHOLE));
}

#[test]
fn who_is_new_or_has_recovered_starts_slowly_and_who_was_there_does_not() {
    let slow = ServicePolicy {
        slow_start: Duration::from_secs(30),
        ..policy()
    };
    let mut watched = Watched::new(&["a"], slow);
    assert_eq!(watched.settle(0), [""; 0]);
    watched.service = web(&["a", "b", "c"]);
    watched.state.update(&watched.service, true, watched.at(10));
    assert_eq!(watched.settle(10), ["b", "c"]);
    assert_eq!(watched.seen("b"), (Health::Unknown, 10));
    assert_eq!(watched.settle(12), [""; 0]);
    watched.settle(25);
    assert_eq!(watched.seen("b"), (Health::Unknown, 50));
    watched.settle(40);
    assert_eq!(watched.seen("b"), (Health::Unknown, WHOLE));
    for _ in 0..3 {
        watched.check("b", false, 50);
    }
    watched.settle(50);
    assert_eq!(watched.seen("b"), (FAILING, WHOLE));
    for _ in 0..2 {
        watched.check("b", true, 60);
    }
    watched.settle(60);
    assert_eq!(watched.seen("b"), (Health::Healthy, 10));
    watched.sample("a", (0, 5, 0, 5), 61);
    watched.settle(61);
    watched.settle(91);
    assert_eq!(watched.seen("a"), (Health::Unknown, 10));
}

#[test]
fn dns_is_told_as_far_as_the_policy_says() {
    for (health, slow_start) in [(false, true), (true, false)] {
        let quiet = ServicePolicy {
            slow_start: Duration::from_secs(30),
            dns: Told { health, slow_start },
            ..policy()
        };
        let mut watched = Watched::new(&["a", "b"], quiet);
        watched.service = web(&["a", "b", "c"]);
        watched.state.update(&watched.service, true, watched.at(0));
        watched.settle(0);
        for _ in 0..3 {
            watched.check("a", false, 1);
        }
        watched.check("b", true, 1);
        watched.settle(1);
        let told = |n: usize| watched.service.instances[n].observation.is_told();
        assert_eq!((told(0), told(1), told(2)), (health, true, slow_start));
        assert_eq!(watched.seen("a"), (FAILING, WHOLE));
        assert_eq!(watched.seen("c"), (Health::Unknown, 10));
    }
}

#[test]
fn after_a_start_or_without_others_nobody_starts_slowly() {
    let slow = ServicePolicy {
        slow_start: Duration::from_secs(30),
        ..policy()
    };
    let mut watched = Watched::new(&[], slow.clone());
    watched.service = web(&["a"]);
    watched.state.update(&watched.service, true, watched.at(1));
    assert_eq!(watched.settle(1), [""; 0]);
    let mut watched = Watched::new(&["a"], slow);
    watched.service = web(&["a", "b"]);
    // Not all sources have told what they have.
    watched.state.update(&watched.service, false, watched.at(1));
    assert_eq!(watched.settle(1), [""; 0]);
}

/// Sets the state of the first instance, as the registry's next snapshot says it.
fn set_state(watched: &mut Watched, state: State, seconds: u64) {
    Arc::make_mut(&mut watched.service.instances[0]).state = state;
    let now = watched.at(seconds);
    watched.state.update(&watched.service, true, now);
    watched.settle(seconds);
}

#[test]
fn one_that_drains_is_watched_on_and_is_as_it_was_when_it_is_back() {
    let slow = ServicePolicy {
        slow_start: Duration::from_secs(30),
        ..policy()
    };
    let mut watched = Watched::new(&["a", "b"], slow);
    watched.check("a", true, 1);
    set_state(&mut watched, State::Draining, 2);
    assert_eq!(watched.seen("a"), (Health::Healthy, WHOLE));
    // Those who know it are kept away as from any other.
    for _ in 0..3 {
        watched.check("a", false, 3);
    }
    watched.settle(3);
    assert_eq!(watched.seen("a"), (FAILING, WHOLE));
    // Whoever drains doesn't count among those that are left.
    assert!(!watched.state.fail_open());
    set_state(&mut watched, State::Up, 4);
    assert_eq!(watched.seen("a"), (FAILING, WHOLE));
    set_state(&mut watched, State::Draining, 5);
    watched.check("a", true, 6);
    watched.check("a", true, 6);
    watched.settle(40);
    set_state(&mut watched, State::Up, 41);
    assert_eq!(watched.seen("a"), (Health::Healthy, WHOLE));
}

#[test]
fn one_that_has_drained_to_the_end_starts_slowly_when_it_is_back() {
    let slow = ServicePolicy {
        slow_start: Duration::from_secs(30),
        ..policy()
    };
    let mut watched = Watched::new(&["a", "b"], slow);
    set_state(&mut watched, State::Draining, 1);
    watched.state.note_use(|_| true);
    set_state(&mut watched, State::Up, 2);
    assert_eq!(watched.seen("a").1, WHOLE);
    set_state(&mut watched, State::Draining, 3);
    watched.state.note_use(|id| id.as_str() != "a");
    set_state(&mut watched, State::Up, 60);
    assert_eq!(watched.seen("a").1, 10);
}

#[test]
fn one_whose_host_is_found_is_no_newer_than_it_was() {
    let slow = ServicePolicy {
        slow_start: Duration::from_secs(30),
        ..policy()
    };
    let addressless = |ids: &[&str]| {
        let mut service = web(ids);
        for instance in &mut service.instances {
            let instance = Arc::make_mut(instance);
            instance.addresses.clear();
            instance.host = Some("host.example".into());
        }
        service
    };
    let begin = Instant::now();
    let mut state = ServiceState::new(&addressless(&["a", "b"]), Arc::new(slow), begin);
    let mut service = addressless(&["a", "b", "c"]);
    // One comes later, and then all are found, one after the other.
    state.update(&service, true, begin);
    for nth in 0..3 {
        service.instances[nth] = Arc::clone(&web(&["a", "b", "c"]).instances[nth]);
        state.update(&service, true, begin);
    }
    state.settle(begin);
    let shares = ["a", "b", "c"].map(|one| state.instances[&id(one)].share());
    assert_eq!(shares, [WHOLE, WHOLE, 10]);
}

#[test]
fn whose_checks_fail_is_no_measure_of_who_is_slow() {
    let ejection = Ejection {
        latency: Some(3.0),
        min_requests: 10,
        max_share: 1.0,
        ..Ejection::default()
    };
    let policy = ServicePolicy {
        ejection: Some(ejection),
        ..policy()
    };
    let mut watched = Watched::new(&["a", "b", "c"], policy);
    for (one, micros) in [("a", 10_000), ("b", 50_000), ("c", 1_000)] {
        let first = watched.at(1);
        let sample = Sample::default();
        watched
            .state
            .sample([(&id(one), sample)].into_iter(), first);
        if one == "c" {
            watched.sample(one, (100, 0, 100 * micros, 0), 2);
            (0..3).for_each(|_| watched.check("c", false, 2));
            watched.settle(2);
        }
    }
    for (one, micros) in [("a", 10_000), ("b", 50_000)] {
        watched.sample(one, (100, 0, 100 * micros, 0), 3);
    }
    watched.settle(3);
    assert_eq!(watched.seen("b").0, Health::Unknown);
}

#[test]
fn what_the_registry_has_forgotten_it_is_told_again() {
    let mut watched = Watched::new(&["a", "b"], policy());
    watched.check("a", true, 1);
    watched.settle(1);
    // It was away and is back in one snapshot.
    watched.service = web(&["a", "b"]);
    watched.state.update(&watched.service, true, watched.at(2));
    assert_eq!(watched.settle(2), ["a"]);
    let retracted = watched.state.retract();
    assert_eq!(retracted, [(id("a"), Observation::default())]);
}

/// What can happen to a service.
#[derive(Debug, Clone)]
enum Event {
    Check(usize, bool),
    Sample(usize, u64, u64),
    Instances(Vec<bool>),
    Time(u64),
}

const IDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..6_usize, any::<bool>()).prop_map(|(at, passed)| Event::Check(at, passed)),
        (0..6_usize, 0..60_u64, 0..60_u64).prop_map(|(at, good, bad)| Event::Sample(at, good, bad)),
        prop::collection::vec(any::<bool>(), 6).prop_map(Event::Instances),
        (1..40_u64).prop_map(Event::Time),
    ]
}

/// Says whether the laws hold of a state that has just been settled.
fn laws(watched: &Watched, ejection: &Ejection, fail_open: f64) {
    let states = watched.state.instances();
    let ejected = states.values().filter(|one| one.ejection().is_some());
    let most = (states.len() as f64 * ejection.max_share) as usize;
    assert!(ejected.count() <= most);
    let bad = states.values().filter(|one| one.condition().is_bad());
    let left = states.len() - bad.count();
    let too_few = left < states.len() && (left as f64) < fail_open * states.len() as f64;
    assert_eq!(watched.state.fail_open(), too_few);
    for instance in &watched.service.instances {
        let observation = instance.observation;
        let is_bad = states[&instance.id].condition().is_bad();
        let told = matches!(observation.health, Health::Unhealthy(_));
        assert_eq!(told, is_bad && !too_few);
        assert!((1..=WHOLE).contains(&observation.share()));
        assert!(!too_few || observation.share() == WHOLE);
    }
}

proptest! {
    #[test]
    fn whatever_happens_few_are_ejected_all_come_back_and_only_changes_are_told(
        events in prop::collection::vec(event(), 0..60),
        max_share in 0.0..=1.0_f64,
        fail_open in 0.0..=1.0_f64,
        slow_start in 0..3_u64,
    ) {
        let ejection = Ejection { max_share, latency: Some(2.0), ..Ejection::default() };
        let policy = ServicePolicy {
            ejection: Some(ejection),
            fail_open,
            slow_start: Duration::from_secs(20 * slow_start),
            ..policy()
        };
        let mut watched = Watched::new(&IDS, policy);
        let mut totals = [(0, 0); 6];
        let mut seconds = 0;
        for event in events {
            match event {
                Event::Check(at, passed) => {
                    if watched.state.instances.contains_key(&id(IDS[at])) {
                        watched.check(IDS[at], passed, seconds);
                    }
                }
                Event::Sample(at, good, bad) => {
                    totals[at].0 += good;
                    totals[at].1 += bad;
                    let micros = totals[at].0 * 1000 * (at as u64 + 1);
                    let row = if good == 0 { bad as u32 } else { 0 };
                    watched.sample(IDS[at], (totals[at].0, totals[at].1, micros, row), seconds);
                }
                Event::Instances(present) => {
                    let old = watched.service.clone();
                    let present = IDS.iter().zip(present).filter(|(_, is)| *is);
                    watched.service = web(&present.map(|(id, _)| *id).collect::<Vec<_>>());
                    for instance in &mut watched.service.instances {
                        // The registry keeps what it was told; addresses are another matter.
                        if let Some(old) = old.instance(&instance.id) {
                            Arc::make_mut(instance).observation = old.observation;
                        }
                    }
                    watched.state.update(&watched.service, true, watched.at(seconds));
                    watched.state.plan(&mut watched.turns);
                }
                Event::Time(more) => seconds += more,
            }
            watched.settle(seconds);
            laws(&watched, &ejection, fail_open);
            prop_assert_eq!(watched.settle(seconds), [""; 0]);
        }
        let max_time = Setting::from_secs(300).get().as_secs();
        watched.settle(seconds + max_time);
        let mut states = watched.state.instances().values();
        prop_assert!(states.all(|one| one.ejection().is_none()));
    }
}
