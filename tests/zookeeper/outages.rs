//! Servers die and come back.

use std::time::Duration;

use registry::sources::zookeeper::Config;

use super::follower::{Follower, make};
use crate::support::zookeeper::Ensemble;

fn config(ensemble: &Ensemble, session_timeout: Duration) -> Config {
    let mut config = Config::new(ensemble.connect(), "/service");
    config.removal_delay = Duration::from_millis(200).into();
    config.session_timeout = session_timeout.into();
    config.connect_timeout = Duration::from_secs(3).into();
    config
}

#[tokio::test]
async fn after_the_leaders_death_events_still_arrive() {
    let Some(mut ensemble) = Ensemble::start(3).await else {
        return;
    };
    let writer = ensemble.client(Duration::from_secs(30)).await;
    make(&writer, "/service/web/s1", "127.0.0.1:1").await;
    let mut follower = Follower::start(config(&ensemble, Duration::from_secs(30)));
    follower.until("the first reset", |f| f.resets == 1).await;

    for round in 1..=2 {
        let leader = ensemble.leader().await;
        ensemble.kill(leader);
        follower.until("the loss", |f| f.losses >= round).await;
        ensemble.serving().await;
        follower.until("the next reset", |f| f.resets > round).await;
        let resets = follower.resets;
        for n in 0..5 {
            let path = format!("/service/web/round{round}-{n}");
            make(
                &ensemble.client(Duration::from_secs(30)).await,
                &path,
                "127.0.0.1:2",
            )
            .await;
            follower
                .until("a create", |f| f.instances.contains_key(&path))
                .await;
        }
        assert_eq!(
            follower.resets, resets,
            "events told of the creates, not another reading"
        );
        ensemble.restart().await;
    }
    assert_eq!(
        follower.failures,
        Vec::<String>::new(),
        "it was one run throughout"
    );
    assert_eq!(follower.removed, Vec::<String>::new());
}

#[tokio::test]
async fn an_outage_changes_nothing_and_ends_in_the_truth() {
    let Some(mut ensemble) = Ensemble::start(3).await else {
        return;
    };
    let writer = ensemble.client(Duration::from_secs(30)).await;
    for name in ["stays", "changes", "goes"] {
        make(&writer, &format!("/service/web/{name}"), "127.0.0.1:1").await;
    }
    drop(writer);
    // One session outlives the outage, the other one expires in it.
    let mut patient = Follower::start(config(&ensemble, Duration::from_secs(50)));
    let mut hasty = Follower::start(config(&ensemble, Duration::from_secs(1)));
    for follower in [&mut patient, &mut hasty] {
        follower.until("the first reset", |f| f.resets == 1).await;
    }

    ensemble.kill_all();
    patient.until("the loss", |f| f.losses == 1).await;
    hasty.until("the expiry", |f| f.failures.len() >= 2).await;
    assert_eq!(hasty.failures[0], "the session has ended: Expired");
    assert!(
        hasty.failures[1].starts_with("no server of 127.0.0.1:"),
        "{}",
        hasty.failures[1]
    );
    for follower in [&patient, &hasty] {
        assert_eq!(
            (follower.instances.len(), follower.resets),
            (3, 1),
            "an outage is no change"
        );
        assert_eq!(follower.removed, Vec::<String>::new());
    }

    ensemble.restart().await;
    let writer = ensemble.client(Duration::from_secs(30)).await;
    writer
        .set_data("/service/web/changes", b"127.0.0.1:2", None)
        .await
        .unwrap();
    writer.delete("/service/web/goes", None).await.unwrap();
    make(&writer, "/service/web/comes", "127.0.0.1:3").await;
    let truth = [("changes", 2), ("comes", 3), ("stays", 1)]
        .map(|(name, port)| (format!("/service/web/{name}"), format!("127.0.0.1:{port}")))
        .into();
    for follower in [&mut patient, &mut hasty] {
        follower.until("the truth", |f| f.places() == truth).await;
        assert!(follower.resets >= 2, "everything was read again");
    }
    assert_eq!(
        patient.failures,
        Vec::<String>::new(),
        "the session was kept"
    );
    make(&writer, "/service/web/later", "127.0.0.1:4").await;
    for follower in [&mut patient, &mut hasty] {
        follower.until("a create", |f| f.instances.len() == 4).await;
    }
}
