//! Nothing is lost while records come and go and servers die.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use registry::sources::zookeeper::Config;
use zookeeper_client::{Acls, Client, CreateMode, Error};

use super::follower::{Follower, make};
use crate::support::zookeeper::Ensemble;

const SESSION: Duration = Duration::from_secs(30);
const SERVICES: u32 = 4;
const INSTANCES: u32 = 40;

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

    for seed in 1..=2 {
        let mut random = Rng::with_seed(seed);
        churn(&writer, &mut random, 300).await;
        // The first scan runs while the records change.
        let mut follower = Follower::start(config.clone());
        tokio::join!(
            follower.until("audits", |f| f.audits.0 >= 3),
            churn(&writer, &mut random, 1500),
        );
        for _ in 0..2 {
            let victim = ensemble.leader().await;
            ensemble.kill(victim);
            tokio::join!(churn(&writer, &mut random, 500), ensemble.restart());
            follower.until("the loss", |f| f.losses > 0).await;
        }
        tokio::join!(
            follower.listen_for(Duration::from_millis(500)),
            churn(&writer, &mut random, 500),
        );
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
}

/// Creates, changes and deletes records; what an outage interrupts is tried again or left.
async fn churn(client: &Client, random: &mut Rng, steps: usize) {
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    for _ in 0..steps {
        let path = format!(
            "/service/s{}/i{}",
            random.u32(0..SERVICES),
            random.u32(0..INSTANCES)
        );
        let data = format!("127.0.0.1:{}", random.u16(1..));
        let done = match random.u8(0..3) {
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
            Ok(()) | Err(Error::NoNode | Error::NodeExists | Error::ConnectionLoss) => {}
            Err(error) => panic!("{path}: {error}"),
        }
    }
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
