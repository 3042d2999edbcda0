//! Nothing is lost while records come and go and servers die.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use futures_util::{StreamExt as _, stream};
use registry::sources::zookeeper::Config;
use zookeeper_client::{Acls, Client, CreateMode, Error};

use super::follower::{Follower, make};
use crate::support::zookeeper::Ensemble;

const SESSION: Duration = Duration::from_secs(30);
const SERVICES: u32 = 4;
const INSTANCES: u32 = 400;

/// How many writers work at a time.
const WRITERS: usize = 16;

#[tokio::test]
async fn under_churn_and_restarts_the_end_is_the_truth() {
    let Some(mut ensemble) = Ensemble::start(3).await else {
        return;
    };
    let writer = ensemble.client(SESSION).await;
    for service in 0..SERVICES {
        make(&writer, &format!("/service/s{service}"), "").await;
    }
    let mut config = Config::new(ensemble.connect(), "/service");
    config.removal_delay = Duration::from_millis(20).into();
    config.session_timeout = SESSION.into();
    // Far below what the configuration takes: many audits run into the churn.
    config.audit_interval = Duration::from_millis(150).into();

    let mut random = Rng::with_seed(1);
    churn(&writer, &mut random, 3000).await;
    // Many first scans run while the records change.
    let first_scans = drift_after_first_scans(&config, 8);
    let (drift, ()) = tokio::join!(first_scans, churn(&writer, &mut random, 6000));
    assert_eq!(drift, 0, "an update was lost");

    let mut follower = Follower::start(config);
    follower.until("the first reset", |f| f.resets == 1).await;
    for _ in 0..4 {
        let resets = follower.resets;
        let victim = ensemble.leader().await;
        ensemble.kill(victim);
        tokio::join!(churn(&writer, &mut random, 2000), ensemble.restart());
        follower
            .until("the next reset", |f| f.resets > resets)
            .await;
    }
    let truth = read(&writer).await;
    follower.until("the truth", |f| f.places() == truth).await;
    let audits = follower.audits.0;
    follower
        .until("another audit", |f| f.audits.0 > audits + 1)
        .await;
    assert_eq!(follower.audits.1, 0, "an update was lost");
    assert_eq!(follower.failures, Vec::<String>::new());
    assert_eq!(follower.places(), truth);
}

/// Starts one follower after the other; returns how much their first audits have found.
async fn drift_after_first_scans(config: &Config, followers: usize) -> u64 {
    let mut drift = 0;
    for _ in 0..followers {
        let mut follower = Follower::start(config.clone());
        follower.until("an audit", |f| f.audits.0 >= 1).await;
        drift += follower.audits.1;
    }
    drift
}

/// Creates, changes and deletes records; what an outage interrupts is left.
async fn churn(client: &Client, random: &mut Rng, steps: usize) {
    let steps: Vec<_> = (0..steps)
        .map(|_| {
            let (service, instance) = (random.u32(0..SERVICES), random.u32(0..INSTANCES));
            let path = format!("/service/s{service}/i{instance}");
            (
                path,
                format!("127.0.0.1:{}", random.u16(1..)),
                random.u8(0..3),
            )
        })
        .collect();
    stream::iter(steps)
        .for_each_concurrent(WRITERS, |(path, data, what)| async move {
            let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
            let done = match what {
                0 => client
                    .create(&path, data.as_bytes(), &options)
                    .await
                    .map(drop),
                1 => client
                    .set_data(&path, data.as_bytes(), None)
                    .await
                    .map(drop),
                _ => client.delete(&path, None).await,
            };
            match done {
                Ok(()) | Err(Error::NoNode | Error::NodeExists) => {}
                // What a lost connection looks like.
                Err(Error::ConnectionLoss | Error::Custom(_)) => {}
                Err(error) => panic!("{path}: {error}"),
            }
        })
        .await;
}

/// Reads all records the plain way.
async fn read(client: &Client) -> BTreeMap<String, String> {
    client.sync("/service").await.unwrap();
    let mut all = BTreeMap::new();
    for service in client.list_children("/service").await.unwrap() {
        let parent = format!("/service/{service}");
        for instance in client.list_children(&parent).await.unwrap() {
            let path = format!("{parent}/{instance}");
            let (data, _) = client.get_data(&path).await.unwrap();
            all.insert(path, String::from_utf8(data).unwrap());
        }
    }
    all
}
