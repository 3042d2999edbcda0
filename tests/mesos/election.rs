//! Masters that elect their leader in a real ZooKeeper.

use std::time::Duration;

use serde_json::json;
use tokio::runtime::Runtime;
use zookeeper_client::{Acls, Client, CreateMode};

use super::cluster;
use crate::support::{
    eventually, mesos_master::MesosMaster, signpost::Signpost, zookeeper::Ensemble,
};

/// Writes a master's znode as masters do; returns its path.
pub(crate) async fn stand(client: &Client, master: &MesosMaster) -> String {
    let address = master.address();
    let info = json!({
        "address": {"hostname": "m", "ip": address.ip(), "port": address.port()},
        "hostname": "m", "id": "x", "ip": 16777343, "pid": format!("master@{address}"),
        "port": address.port(), "version": "1.11.0",
    });
    let options = CreateMode::PersistentSequential.with_acls(Acls::anyone_all());
    let path = "/mesos/json.info_";
    let created = client.create(path, info.to_string().as_bytes(), &options);
    let (_, sequence) = created.await.unwrap();
    format!("{path}{sequence}")
}

fn leader_port(signpost: &Signpost) -> Option<u16> {
    let records = signpost.dig(&["_leader._tcp.mesos", "SRV"]);
    let [record] = records.as_slice() else {
        return None;
    };
    record.split(' ').nth(2)?.parse().ok()
}

#[test]
fn the_leader_is_the_one_that_zookeeper_says_and_an_outage_changes_nothing() {
    let runtime = Runtime::new().unwrap();
    let Some(mut ensemble) = runtime.block_on(Ensemble::start(1)) else {
        return;
    };
    let (first, second) = (
        MesosMaster::start(cluster::state()),
        MesosMaster::start_at("127.0.0.2", cluster::state()),
    );
    let znode = runtime.block_on(async {
        let client = ensemble.client(Duration::from_secs(30)).await;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.create("/mesos", b"", &options).await.unwrap();
        let replicas = "/mesos/log_replicas";
        client.create(replicas, b"", &options).await.unwrap();
        let znode = stand(&client, &first).await;
        stand(&client, &second).await;
        znode
    });
    let signpost = Signpost::start(&format!(
        "[sources.cluster.mesos]\nzk = 'zk://{}/mesos'\n\
         [[dns.zones]]\ndomain = 'mesos'\nscheme = 'mesos'\n",
        ensemble.connect()
    ));
    let led_by = |master: &MesosMaster| leader_port(&signpost) == Some(master.address().port());
    eventually("the first one leads", || led_by(&first));
    let masters = ["127.0.0.1", "127.0.0.2"];
    assert_eq!(signpost.dig(&["master.mesos", "A"]), masters);
    assert_eq!(signpost.dig(&["master1.mesos", "A"]), ["127.0.0.2"]);
    eventually("its tasks are known", || {
        !signpost.dig(&["chronos.marathon.mesos", "A"]).is_empty()
    });

    // It goes, and its session with it.
    first.stop();
    assert_eq!(signpost.dig(&["chronos.marathon.mesos", "A"]), ["1.2.3.11"]);
    runtime.block_on(async {
        let client = ensemble.client(Duration::from_secs(30)).await;
        client.delete(&znode, None).await.unwrap();
    });
    eventually("the second one leads", || led_by(&second));
    assert_eq!(signpost.dig(&["chronos.marathon.mesos", "A"]), ["1.2.3.11"]);

    // Without ZooKeeper the leader is who it was, and its events arrive.
    runtime.block_on(async { ensemble.kill_all() });
    let (framework, task) = cluster::late();
    second.add(framework, &task);
    eventually("what it tells is there", || {
        signpost.dig(&["late.marathon.mesos", "A"]) == ["1.2.3.11"]
    });
    assert!(led_by(&second));
}
