use super::*;
use crate::{InstanceId, Registration, testing, testing::Told};

fn config(dir: &tempfile::TempDir) -> Config {
    Config {
        path: dir.path().to_owned(),
        registrations_max: 2,
    }
}

fn place(id: &str) -> Place {
    Place {
        service: "web".parse().unwrap(),
        id: InstanceId::from_text(id),
    }
}

fn registration(port: i64) -> Registration {
    Registration {
        address: "10.0.0.1".to_owned(),
        port: Some(port),
        ..Registration::default()
    }
}

async fn reset(told: &mut Told) -> Vec<String> {
    match told.next().await {
        Update::Reset { entries, refused } if refused.is_empty() => {
            let keys = entries.iter().map(|entry| entry.key.to_string());
            keys.collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn registrations_survive_a_restart_and_are_told_when_they_are_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::from(config(&dir));
    let writer = store.writer().unwrap();
    let mut told = testing::run(store);
    assert!(reset(&mut told).await.is_empty());
    let put = |id, port| writer.put(place(id), registration(port), None);
    assert_eq!(put("a", 80).await, Ok(Written::Created));
    assert!(matches!(told.next().await, Update::Put(entry) if entry.key.as_str() == "web/a"));
    assert_eq!(put("a", 81).await, Ok(Written::Replaced));
    assert!(
        matches!(told.next().await, Update::Put(entry) if entry.instances[0].ports[0].number == 81)
    );
    assert_eq!(put("b", 80).await, Ok(Written::Created));
    assert_eq!(put("c", 80).await, Err(WriteError::Full(2)));
    assert_eq!(writer.remove(place("a")).await, Ok(Written::Removed));
    let gone = WriteError::NotFound(place("a"));
    assert_eq!(writer.remove(place("a")).await, Err(gone));
    told.stop().await;

    let mut told = testing::run(Store::from(config(&dir)));
    assert_eq!(reset(&mut told).await, ["web/b"]);
}

#[tokio::test]
async fn what_cannot_be_is_told_to_the_one_who_wrote_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::from(config(&dir));
    let writer = store.writer().unwrap();
    let _told = testing::run(store);
    let error = writer
        .put(place("a"), registration(70_000), None)
        .await
        .unwrap_err();
    assert!(matches!(error, WriteError::Invalid(reason) if reason.contains("70000")));
    writer
        .put(place("a"), registration(80), None)
        .await
        .unwrap();
    let error = writer.renew(place("a")).await.unwrap_err();
    assert_eq!(error, WriteError::NoLease(place("a")));
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_takes_its_instance_away() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::from(config(&dir));
    let writer = store.writer().unwrap();
    let mut told = testing::run(store);
    let ttl = Some(Duration::from_millis(300));
    let put = |id, ttl| writer.put(place(id), registration(80), ttl);
    put("a", ttl).await.unwrap();
    put("b", None).await.unwrap();
    assert_eq!(writer.renew(place("a")).await, Ok(Written::Renewed));
    let gone = told
        .until(|update| matches!(update, Update::Remove(_)))
        .await;
    assert_eq!(gone, Update::Remove(Key::new("web/a")));
    told.stop().await;

    // Gone from the disk too.
    let mut told = testing::run(Store::from(config(&dir)));
    assert_eq!(reset(&mut told).await, ["web/b"]);
}

#[tokio::test]
async fn a_lease_starts_again_with_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::from(config(&dir));
    let writer = store.writer().unwrap();
    let told = testing::run(store);
    let ttl = Some(Duration::from_millis(300));
    writer.put(place("a"), registration(80), ttl).await.unwrap();
    told.stop().await;

    let mut told = testing::run(Store::from(config(&dir)));
    assert_eq!(reset(&mut told).await, ["web/a"]);
    assert_eq!(told.next().await, Update::Remove(Key::new("web/a")));
}

#[tokio::test]
async fn a_store_that_is_handed_over_refuses_until_it_has_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::from(config(&dir));
    let writer = store.writer().unwrap();
    let mut told = testing::run(store);
    reset(&mut told).await;
    let put = |id| writer.put(place(id), registration(80), Some(Duration::from_secs(60)));
    assert_eq!(put("a").await, Ok(Written::Created));
    writer.release().await;
    assert_eq!(put("b").await, Err(WriteError::HandedOver));

    // Another process has the files meanwhile.
    let other = Store::from(config(&dir));
    let others = other.writer().unwrap();
    let mut told_by_other = testing::run(other);
    assert_eq!(reset(&mut told_by_other).await, ["web/a"]);
    let put_there = others.put(place("b"), registration(80), None);
    assert_eq!(put_there.await, Ok(Written::Created));
    told_by_other.stop().await;

    assert_eq!(writer.remove(place("a")).await, Err(WriteError::HandedOver));
    writer.resume().await;
    told.until(|update| matches!(update, Update::Reset { entries, .. } if entries.len() == 2))
        .await;
    assert_eq!(writer.renew(place("a")).await, Ok(Written::Renewed));
}
