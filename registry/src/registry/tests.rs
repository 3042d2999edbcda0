use proptest::{collection::vec, prelude::*};

use super::*;
use crate::testing;

fn entry(key: &str, service: &str, hosts: &[&str]) -> Entry {
    let instances = hosts.iter().map(|host| {
        let mut instance = testing::instance(&format!("{key}-{host}"), host, 80);
        instance.origin.path = key.into();
        instance
    });
    Entry {
        key: Key::new(key),
        service: service.parse().unwrap(),
        instances: instances.collect(),
    }
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
        registry.apply(
            "s",
            Update::Put(Entry {
                key,
                service,
                instances,
            }),
        );
    }
    let (key, record) = registry.sources["s"].entries.iter().next().unwrap();
    assert!(std::ptr::eq(
        &*record.instances[0].origin.path,
        key.as_str()
    ));
    let (_, kept) = registry.records.values().flatten().next().unwrap();
    assert!(std::ptr::eq(kept.as_str(), key.as_str()));
}
