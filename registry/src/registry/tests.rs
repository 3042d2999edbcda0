use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{App, AppRule, Exclusion, Health, Reason, State, testing};

fn entry(key: &str, service: &str, hosts: &[&str]) -> Entry {
    let instances = hosts.iter().map(|host| {
        let mut instance = testing::instance(&format!("{key}-{host}"), host, 80);
        instance.origin.path = key.into();
        instance
    });
    Entry::new(Key::new(key), service.parse().unwrap(), instances.collect())
}

fn refusal(key: &str) -> Refusal {
    Refusal {
        key: Key::new(key),
        reason: "rubbish".to_owned(),
    }
}

fn registry(sources: &[&str]) -> Registry {
    let mut registry = Registry::new(0, Limits::default());
    for source in sources {
        registry.add_source(&Arc::from(*source));
        registry.apply(source, Update::reset(Vec::new()));
    }
    registry.publish();
    registry
}

fn places(snapshot: &Snapshot, service: &str) -> Vec<String> {
    snapshot.service(service).map_or_else(Vec::new, |service| {
        let addresses = service.instances.iter().flat_map(|one| &one.addresses);
        addresses.map(ToString::to_string).collect()
    })
}

#[test]
fn a_source_is_unsynced_until_its_first_reset() {
    let mut registry = Registry::new(7, Limits::default());
    registry.add_source(&"a".into());
    registry.add_source(&"b".into());
    let snapshot = registry.publish().unwrap();
    assert_eq!((snapshot.version(), snapshot.unsynced().len()), (8, 2));
    registry.apply("a", Update::reset(Vec::new()));
    assert_eq!(*registry.publish().unwrap().unsynced(), [Arc::from("b")]);
    registry.stop_waiting("b");
    assert!(registry.publish().unwrap().unsynced().is_empty());
    assert!(registry.publish().is_none());
}

#[test]
fn a_source_without_its_store_is_stale_until_its_next_reset() {
    let mut registry = registry(&["a", "b"]);
    registry.apply("a", Update::Put(entry("/1", "web", &["10.0.0.1"])));
    let before = registry.publish().unwrap();
    assert!(before.stale().is_empty());
    registry.lose("a");
    let stale = registry.publish().unwrap();
    assert_eq!(*stale.stale(), [Arc::from("a")]);
    assert_eq!(stale.version(), before.version() + 1);
    assert_eq!(stale.changes_since(&before).count(), 0);
    assert!(stale.unsynced().is_empty());
    // Again, and to one that isn't there.
    registry.lose("a");
    registry.lose("c");
    registry.stop_waiting("a");
    assert!(registry.publish().is_none());
    let all = vec![entry("/1", "web", &["10.0.0.1"])];
    registry.apply("a", Update::reset(all));
    let after = registry.publish().unwrap();
    assert!(after.stale().is_empty());
    assert_eq!(after.changes_since(&before).count(), 0);

    registry.lose("b");
    assert_eq!(*registry.publish().unwrap().stale(), [Arc::from("b")]);
    registry.remove_source("b");
    assert!(registry.publish().unwrap().stale().is_empty());
}

#[test]
fn a_source_that_has_never_synced_is_not_stale() {
    let mut registry = Registry::new(0, Limits::default());
    registry.add_source(&"a".into());
    registry.lose("a");
    let waiting = registry.publish().unwrap();
    assert_eq!((waiting.unsynced().len(), waiting.stale().len()), (1, 0));
    registry.stop_waiting("a");
    registry.lose("a");
    let denied = registry.publish().unwrap();
    assert_eq!((denied.unsynced().len(), denied.stale().len()), (0, 0));
}

#[test]
fn a_change_that_clients_cannot_see_makes_no_version() {
    let mut registry = registry(&["a"]);
    registry.apply("a", Update::Put(entry("/1", "web", &["10.0.0.1"])));
    assert!(registry.publish().is_some());
    let mut same = entry("/1", "web", &["10.0.0.1"]);
    same.instances[0].origin.revision = Some(9);
    registry.apply("a", Update::Put(same));
    registry.apply("a", Update::Put(entry("/2", "web", &[])));
    registry.apply("a", Update::Remove(Key::new("/3")));
    assert!(registry.publish().is_none());
}

#[test]
fn two_sources_of_one_service_are_united() {
    let mut registry = registry(&["a", "b"]);
    registry.apply("a", Update::Put(entry("/1", "web", &["10.0.0.1"])));
    registry.apply("b", Update::Put(entry("/1", "web", &["10.0.0.2"])));
    let snapshot = registry.publish().unwrap();
    assert_eq!(places(&snapshot, "web"), ["10.0.0.1", "10.0.0.2"]);
    registry.remove_source("a");
    assert_eq!(places(&registry.publish().unwrap(), "web"), ["10.0.0.2"]);
    registry.apply("b", Update::Remove(Key::new("/1")));
    assert!(registry.publish().unwrap().service("web").is_none());
}

#[test]
fn a_refused_record_keeps_what_it_said_before() {
    let mut registry = registry(&["a"]);
    registry.apply("a", Update::Put(entry("/1", "web", &["10.0.0.1"])));
    registry.publish();
    registry.apply("a", Update::Refuse(refusal("/1")));
    registry.apply(
        "a",
        Update::Reset {
            entries: Vec::new(),
            refused: vec![refusal("/1"), refusal("/2")],
        },
    );
    assert!(registry.publish().is_none());
    assert_eq!(registry.counts("a"), (1, 1, 2));
    registry.apply("a", Update::Put(entry("/1", "web", &["10.0.0.2"])));
    registry.apply("a", Update::Remove(Key::new("/2")));
    assert_eq!(registry.counts("a"), (1, 1, 0));
    assert_eq!(places(&registry.publish().unwrap(), "web"), ["10.0.0.2"]);
}

#[test]
fn a_record_may_move_to_another_service() {
    let mut registry = registry(&["a"]);
    registry.apply("a", Update::Put(entry("/1", "web", &["10.0.0.1"])));
    registry.apply("a", Update::Put(entry("/1", "shop", &["10.0.0.1"])));
    let snapshot = registry.publish().unwrap();
    assert!(snapshot.service("web").is_none());
    assert_eq!(places(&snapshot, "shop"), ["10.0.0.1"]);
}

#[test]
fn host_names_are_resolved_and_forgotten_with_their_last_user() {
    let mut registry = registry(&["a"]);
    registry.apply("a", Update::Put(entry("/1", "web", &["h1.example"])));
    registry.apply("a", Update::Put(entry("/2", "web", &["h1.example"])));
    assert!(places(&registry.publish().unwrap(), "web").is_empty());
    let two = ["10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap()];
    registry.resolve("h1.example", two.to_vec());
    assert_eq!(places(&registry.publish().unwrap(), "web").len(), 4);
    registry.resolve("h1.example", vec![two[1], two[0]]);
    assert!(registry.publish().is_none());
    registry.apply("a", Update::Put(entry("/1", "web", &["10.0.0.3"])));
    assert!(registry.has_host("h1.example"));
    registry.apply("a", Update::Remove(Key::new("/2")));
    assert!(!registry.has_host("h1.example"));
}

#[test]
fn records_beyond_the_limit_are_refused_by_themselves() {
    let limits = Limits {
        entries_per_source_max: 1,
        ..Limits::default()
    };
    let mut registry = Registry::new(0, limits);
    registry.add_source(&"a".into());
    let entries = vec![
        entry("/1", "web", &["10.0.0.1"]),
        entry("/2", "web", &["10.0.0.2"]),
    ];
    registry.apply("a", Update::reset(entries));
    assert_eq!(registry.counts("a"), (1, 1, 1));
    let refused = registry.refused("a").next().unwrap();
    assert!(refused.reason.contains("entries_per_source_max"));
    // What goes makes room, also within one reset.
    registry.apply("a", Update::reset(vec![entry("/2", "web", &["10.0.0.2"])]));
    assert_eq!(registry.counts("a"), (1, 1, 0));
}

fn update() -> impl Strategy<Value = Update> {
    let entry = ("[1-4]", "[x-z]", vec(r"10\.0\.0\.[1-3]|h[12]", 0..3)).prop_map(
        |(key, service, hosts)| {
            let hosts: Vec<_> = hosts.iter().map(String::as_str).collect();
            entry(&key, &service, &hosts)
        },
    );
    prop_oneof![
        entry.clone().prop_map(Update::Put),
        "[1-4]".prop_map(|key: String| Update::Remove(Key::new(key))),
        vec(entry, 0..4).prop_map(|mut entries| {
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            entries.dedup_by(|a, b| a.key == b.key);
            Update::reset(entries)
        }),
    ]
}

#[test]
fn what_is_known_of_an_instance_lies_over_its_record() {
    let mut registry = registry(&["a"]);
    registry.apply(
        "a",
        Update::Put(entry("/1", "web", &["10.0.0.1", "h1.example"])),
    );
    let before = registry.publish().unwrap();
    let instances = &before.service("web").unwrap().instances;
    let (web, id) = (|| "web".parse().unwrap(), &instances[0].id);
    let ejected = Observation::new(Health::Unhealthy(Reason::Ejected), 100);
    registry.observe(web(), id.clone(), ejected);
    registry.drain(web(), instances[1].id.clone(), true);
    let after = registry.publish().unwrap();
    let known = &after.service("web").unwrap().instances;
    assert_eq!(
        known[0].exclusion(),
        Some(Exclusion::Unhealthy(Reason::Ejected))
    );
    // Whether it has an address or not.
    assert_eq!(
        known[1].exclusion(),
        Some(Exclusion::State(State::Draining))
    );
    registry.resolve("h1.example", vec!["10.0.0.9".parse().unwrap()]);
    let resolved = registry.publish().unwrap();
    assert!(resolved.service("web").unwrap().instances[1].drained);

    registry.observe(web(), id.clone(), ejected);
    registry.drain("shop".parse().unwrap(), id.clone(), true);
    assert!(registry.publish().is_none());
    registry.observe(web(), id.clone(), Observation::default());
    registry.drain(web(), instances[1].id.clone(), false);
    let again = registry.publish().unwrap();
    assert!(again.service("web").unwrap().available().count() == 2);
    assert!(registry.overlays.is_empty());
}

fn observation() -> impl Strategy<Value = Observation> {
    let health = prop_oneof![
        Just(Health::Unknown),
        Just(Health::Healthy),
        Just(Health::Unhealthy(Reason::CheckFailed)),
    ];
    (health, prop_oneof![Just(100), 1..=100_u8])
        .prop_map(|(health, share)| Observation::new(health, share))
}

/// Something that happens to a registry whose sources are `a` and `b`.
#[derive(Debug, Clone)]
enum Step {
    Apply(String, Update),
    Observe(String, String, Observation),
    Drain(String, String, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let id = r"[1-4]-(10\.0\.0\.[1-3]|h[12])";
    prop_oneof![
        ("[ab]", update()).prop_map(|(source, update)| Step::Apply(source, update)),
        ("[x-z]", id, observation()).prop_map(|(of, id, seen)| Step::Observe(of, id, seen)),
        ("[x-z]", id, any::<bool>()).prop_map(|(of, id, drained)| Step::Drain(of, id, drained)),
    ]
}

proptest! {
    /// What lies over the instances is what was said of each last, since it was last missing.
    #[test]
    fn what_is_known_is_what_was_said_last_of_those_who_are_there(steps in vec(step(), 0..60)) {
        let mut registry = registry(&["a", "b"]);
        let mut plain = self::registry(&["a", "b"]);
        let mut known: BTreeMap<(ServiceName, InstanceId), (Observation, bool)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Apply(source, update) => {
                    plain.apply(&source, update.clone());
                    registry.apply(&source, update);
                }
                Step::Observe(service, id, seen) => {
                    let key = (service.parse().unwrap(), InstanceId::from_text(&id));
                    known.entry(key.clone()).or_default().0 = seen;
                    registry.observe(key.0, key.1, seen);
                }
                Step::Drain(service, id, drained) => {
                    let key = (service.parse().unwrap(), InstanceId::from_text(&id));
                    known.entry(key.clone()).or_default().1 = drained;
                    registry.drain(key.0, key.1, drained);
                }
            }
            let before = registry.snapshot();
            let published = registry.publish();
            plain.publish();
            known.retain(|(service, id), _| plain.has_instance(service, id));
            let mut expected = plain.snapshot().services().clone();
            for ((service, id), (observation, drained)) in &known {
                let service = Arc::make_mut(expected.get_mut(service).unwrap());
                let mut instances = service.instances.iter_mut();
                let instance = Arc::make_mut(instances.find(|one| one.id == *id).unwrap());
                instance.observation = *observation;
                instance.drained = *drained;
                if *drained && instance.state == State::Up {
                    instance.state = State::Draining;
                }
            }
            let after = registry.snapshot();
            prop_assert_eq!(after.services(), &expected);
            prop_assert_eq!(published.is_some(), before.services() != after.services());
            known.retain(|_, known| *known != Default::default());
            let kept = registry.overlays.keys().collect::<BTreeSet<_>>();
            prop_assert_eq!(kept, known.keys().map(|(service, _)| service).collect());
        }
    }
}

proptest! {
    /// The state after any history is the one of a registry that was only told the end of it.
    #[test]
    fn history_leaves_no_trace(updates in vec(("[ab]", update(), any::<bool>()), 0..30)) {
        let mut registry = registry(&["a", "b"]);
        let mut last: BTreeMap<(String, Key), Entry> = BTreeMap::new();
        for (source, update, publish) in updates {
            match &update {
                Update::Put(entry) => {
                    last.insert((source.clone(), entry.key.clone()), entry.clone());
                }
                Update::Remove(key) => drop(last.remove(&(source.clone(), key.clone()))),
                Update::Reset { entries, .. } => {
                    last.retain(|(of, _), _| *of != source);
                    for entry in entries {
                        last.insert((source.clone(), entry.key.clone()), entry.clone());
                    }
                }
                Update::Refuse(_) => {}
            }
            registry.apply(&source, update);
            let before = registry.version();
            if publish && let Some(snapshot) = registry.publish() {
                prop_assert_eq!(snapshot.version(), before + 1);
            }
        }
        registry.publish();

        let mut fresh = self::registry(&["a", "b"]);
        for ((source, _), entry) in last {
            fresh.apply(&source, Update::Put(entry));
        }
        fresh.publish();
        prop_assert_eq!(&registry.services, &fresh.services);
        prop_assert_eq!(&registry.records, &fresh.records);
        let names = |r: &Registry| r.hosts().cloned().collect::<BTreeSet<_>>();
        prop_assert_eq!(names(&registry), names(&fresh));
    }
}

#[test]
fn a_record_that_changes_shares_its_texts_with_what_is_kept() {
    let source: Arc<str> = "s".into();
    let mut registry = Registry::new(0, Limits::default());
    registry.add_source(&source);
    for weight in [1, 2] {
        let key = Key::new("/a");
        let mut instance = testing::instance("a", "10.0.0.1", 80);
        instance.weight = weight;
        instance.origin.path = (&key).into();
        let service = "web".parse().unwrap();
        let instances = vec![instance];
        registry.apply("s", Update::Put(Entry::new(key, service, instances)));
    }
    let (key, record) = registry.sources["s"].entries.iter().next().unwrap();
    assert!(std::ptr::eq(
        &*record.instances[0].origin.path,
        key.as_str()
    ));
    let (_, kept) = registry.records.values().flatten().next().unwrap();
    assert!(std::ptr::eq(kept.as_str(), key.as_str()));
}

#[test]
fn a_service_is_about_what_its_records_say() {
    let mut registry = Registry::new(0, Limits::default());
    registry.add_source(&"a".into());
    registry.add_source(&"b".into());
    let app = |id: &str| {
        let app = App {
            id: id.into(),
            ..App::default()
        };
        About {
            app: Some(Arc::new(app)),
            rules: Vec::new(),
        }
    };
    let rule = AppRule {
        id: "/web".into(),
        acl: "path /".into(),
        config: BTreeMap::new(),
        path: "/rules/web".into(),
        source: "b".into(),
    };
    let rule = About {
        app: None,
        rules: vec![Arc::new(rule)],
    };
    let with = |about| Entry {
        about,
        ..entry("/web", "web", &[])
    };
    let published = |registry: &mut Registry| {
        registry
            .publish()
            .map(|new| new.services()["web"].about.clone())
    };
    let instances = entry("/web/1", "web", &["10.0.0.1"]);
    registry.apply("a", Update::reset(vec![instances, with(app("/web"))]));
    assert_eq!(published(&mut registry), Some(app("/web")));
    registry.apply("a", Update::Put(with(app("/web"))));
    assert_eq!(published(&mut registry), None);
    registry.apply("b", Update::reset(vec![with(rule.clone())]));
    let both = app("/web").and(&rule);
    assert_eq!(published(&mut registry), Some(both));
    registry.apply("a", Update::Remove(Key::new("/web")));
    assert_eq!(published(&mut registry), Some(rule));
}
