use std::{fs, path::Path, time::Duration};

use super::*;
use crate::sources::{file, store};

const LIST: &str = "[[services]]\nname = 'web'\ninstances = ['10.0.0.1:80']\n";

fn start_in(dir: &Path) -> Controls {
    start(Config {
        state_dir: dir.to_owned(),
        start_deadline: ::config::Duration::from_millis(200),
        backoff_max: ::config::Duration::from_millis(200),
        ..Config::default()
    })
}

fn file_source(path: &Path) -> sources::Config {
    let text = format!(
        "file.path = {:?}\nfile.debounce = '5ms'",
        path.display().to_string()
    );
    toml::from_str(&text).unwrap()
}

fn sources(list: &[(&str, &sources::Config)]) -> BTreeMap<String, sources::Config> {
    list.iter()
        .map(|(name, config)| ((*name).to_owned(), (*config).clone()))
        .collect()
}

async fn until(controls: &Controls, wanted: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    let mut snapshots = controls.snapshots();
    let found = snapshots.wait_for(|snapshot| wanted(snapshot));
    let found = tokio::time::timeout(Duration::from_secs(30), found).await;
    Arc::clone(&found.expect("the snapshot comes in time").unwrap())
}

fn has(snapshot: &Snapshot, service: &str) -> bool {
    snapshot.service(service).is_some()
}

#[tokio::test]
async fn a_failed_source_keeps_its_services_and_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list.toml");
    fs::write(&path, LIST).unwrap();
    let controls = start_in(dir.path());
    let source = file_source(&path);
    controls
        .set_sources(sources(&[("f", &source)]))
        .await
        .unwrap();
    let before = until(&controls, |snapshot| has(snapshot, "web")).await;
    assert!(before.unsynced().is_empty());

    fs::remove_file(&path).unwrap();
    let stale = until(&controls, |snapshot| !snapshot.stale().is_empty()).await;
    assert_eq!(*stale.stale(), [Arc::from("f")]);
    assert_eq!(stale.changes_since(&before).count(), 0);
    let status = &controls.statuses().await.unwrap()[0];
    assert!(status.failures > 0);
    assert!(
        status
            .last_error
            .as_ref()
            .unwrap()
            .reason
            .contains("list.toml")
    );
    assert!(status.stale_since.is_some());

    fs::write(&path, LIST.replace("web", "shop")).unwrap();
    let after = until(&controls, |snapshot| has(snapshot, "shop")).await;
    assert!(!has(&after, "web"));
    assert!(after.version() > stale.version() && after.stale().is_empty());
    assert_eq!(controls.statuses().await.unwrap()[0].stale_since, None);
}

#[tokio::test]
async fn a_stale_source_that_is_set_up_anew_stays_so_until_it_has_synced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list.toml");
    fs::write(&path, LIST).unwrap();
    let controls = start_in(dir.path());
    let set = async |path: &Path| {
        let sources = sources(&[("f", &file_source(path))]);
        controls.set_sources(sources).await.unwrap();
    };
    set(&path).await;
    until(&controls, |snapshot| has(snapshot, "web")).await;
    fs::remove_file(&path).unwrap();
    let stale = until(&controls, |snapshot| !snapshot.stale().is_empty()).await;
    set(&dir.path().join("none.toml")).await;
    let status = &controls.statuses().await.unwrap()[0];
    assert!(status.synced && status.stale_since.is_some());
    assert_eq!(controls.snapshot().version(), stale.version());

    let other = dir.path().join("other.toml");
    fs::write(&other, LIST).unwrap();
    set(&other).await;
    let after = until(&controls, |snapshot| snapshot.stale().is_empty()).await;
    assert!(has(&after, "web"));
    assert_eq!(controls.statuses().await.unwrap()[0].stale_since, None);
}

#[tokio::test]
async fn sources_come_and_go_with_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a.toml"), dir.path().join("b.toml"));
    fs::write(&a, LIST).unwrap();
    fs::write(&b, LIST.replace("web", "shop")).unwrap();
    let (a, b) = (file_source(&a), file_source(&b));
    let controls = start_in(dir.path());
    controls
        .set_sources(sources(&[("f", &a), ("g", &b)]))
        .await
        .unwrap();
    until(&controls, |snapshot| {
        has(snapshot, "web") && has(snapshot, "shop")
    })
    .await;
    controls.set_sources(sources(&[("g", &b)])).await.unwrap();
    let snapshot = until(&controls, |snapshot| !has(snapshot, "web")).await;
    assert!(has(&snapshot, "shop"));
    // The same name for another file: what the old one said stays until the new one has synced.
    controls.set_sources(sources(&[("g", &a)])).await.unwrap();
    let snapshot = until(&controls, |snapshot| has(snapshot, "web")).await;
    assert!(!has(&snapshot, "shop") && snapshot.unsynced().is_empty());
}

#[tokio::test]
async fn a_source_that_never_syncs_is_waited_for_until_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let controls = start_in(dir.path());
    let source = file_source(&dir.path().join("none.toml"));
    controls
        .set_sources(sources(&[("f", &source)]))
        .await
        .unwrap();
    until(&controls, |snapshot| snapshot.unsynced().len() == 1).await;
    until(&controls, |snapshot| snapshot.unsynced().is_empty()).await;
    assert!(!controls.statuses().await.unwrap()[0].synced);
}

#[tokio::test]
async fn a_restart_goes_on_with_a_higher_version() {
    let dir = tempfile::tempdir().unwrap();
    let store = sources::Config::Store(store::Config {
        path: dir.path().to_owned(),
        ..store::Config::default()
    });
    let first = {
        let controls = start_in(dir.path());
        controls
            .set_sources(sources(&[("s", &store)]))
            .await
            .unwrap();
        let writer = controls.writer(None).await.unwrap().unwrap();
        let place = crate::Place {
            service: "web".parse().unwrap(),
            id: crate::InstanceId::from_text("a"),
        };
        let registration = crate::Registration {
            address: "localhost".to_owned(),
            port: Some(80),
            ..crate::Registration::default()
        };
        writer.put(place, registration, None).await.unwrap();
        let version = controls.flush().await.unwrap();
        let snapshot = controls.snapshot();
        assert!(has(&snapshot, "web") && snapshot.version() == version);
        // Host names get their addresses a little later, away from everything else.
        until(&controls, |snapshot| {
            snapshot
                .service("web")
                .is_some_and(|web| web.available().count() == 1)
        })
        .await
        .version()
    };
    let controls = start_in(dir.path());
    controls
        .set_sources(sources(&[("s", &store)]))
        .await
        .unwrap();
    let again = until(&controls, |snapshot| has(snapshot, "web")).await;
    assert!(again.version() > first);
}

#[tokio::test]
async fn what_is_known_of_an_instance_is_in_the_next_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list.toml");
    fs::write(&path, LIST).unwrap();
    let controls = start_in(dir.path());
    let set = sources(&[("f", &file_source(&path))]);
    controls.set_sources(set).await.unwrap();
    let before = until(&controls, |snapshot| has(snapshot, "web")).await;
    let id = before.service("web").unwrap().instances[0].id.clone();
    let web = || "web".parse::<ServiceName>().unwrap();

    let observation = crate::Observation::new(crate::Health::Healthy, 50);
    let seen = vec![(web(), id.clone(), observation)];
    controls.observe(seen.clone()).await.unwrap();
    controls.observe(seen).await.unwrap();
    let version = controls.flush().await.unwrap();
    assert_eq!(version, before.version() + 1);
    let drained = controls.drain(web(), id.clone(), true).await.unwrap();
    assert_eq!(drained, Some(version + 1));
    let snapshot = controls.snapshot();
    let instance = snapshot.service("web").unwrap().instance(&id).unwrap();
    assert_eq!(instance.state, crate::State::Draining);
    assert_eq!(instance.observation, observation);

    let other = crate::InstanceId::from_text("other");
    assert_eq!(controls.drain(web(), other, true).await.unwrap(), None);
    let no_service = "shop".parse().unwrap();
    let none = controls.drain(no_service, id.clone(), true).await.unwrap();
    assert_eq!(none, None);
    let again = controls.drain(web(), id, true).await.unwrap();
    assert_eq!(again, Some(version + 1));
}

#[test]
fn a_configuration_names_the_kind_of_source() {
    let text = "[main.file]\npath = 'x'\n[embedded.store]\n";
    let all: BTreeMap<String, sources::Config> = toml::from_str(text).unwrap();
    assert_eq!(all["main"].kind(), "file");
    let path = file::Config {
        path: "x".into(),
        debounce: ::config::Duration::from_millis(50),
        file_bytes_max: ::config::Size::from_bytes(16 << 20),
    };
    assert_eq!(all["main"], sources::Config::File(path));
    assert_eq!(all["embedded"], sources::Config::embedded());
}
