//! A small cluster: two apps of a Marathon, and rules in a real ZooKeeper.

use std::time::Duration;

use serde_json::json;
use tokio::runtime::Runtime;
use zookeeper_client::{Acls, Client, CreateMode};

use super::config;
use crate::support::{
    eventually,
    marathon::{Marathon, app, task},
    signpost::Signpost,
    upstream::Upstream,
    zookeeper::Ensemble,
};

/// Where the rules are.
pub(super) const PATH: &str = "/marathon-haproxy/state";

/// A cluster of two apps and ZooKeeper, with signpost beside it.
pub(super) struct Cluster {
    runtime: Runtime,
    pub(super) ensemble: Ensemble,
    client: Client,
    pub(super) signpost: Signpost,
    pub(super) marathon: Marathon,
    _upstreams: [Upstream; 2],
}

impl Cluster {
    /// Starts all; `None` where there is no ZooKeeper.
    pub(super) fn start(more: &str) -> Option<Self> {
        let runtime = Runtime::new().unwrap();
        let ensemble = runtime.block_on(Ensemble::start(1))?;
        let client = runtime.block_on(ensemble.client(Duration::from_secs(30)));
        let upstreams = [Upstream::start("web"), Upstream::start("api")];
        let marathon = Marathon::start();
        let [web, api] = &upstreams;
        marathon.put(&app(
            "/web",
            10_000,
            json!({}),
            &[task("web.1", web.port())],
        ));
        marathon.put(&app(
            "/group/api",
            10_001,
            json!({}),
            &[task("api.1", api.port())],
        ));
        let rules = format!(
            "[sources.rules.bamboo]\nzk = 'zk://{}{PATH}'\n\
             [compat.bamboo]\nlisten = '127.0.0.1:0'\n{more}",
            ensemble.connect()
        );
        let signpost = Signpost::start(&config(&marathon, &rules));
        eventually("all is known", || signpost.get("/readyz").0 == 200);
        Some(Self {
            runtime,
            ensemble,
            client,
            signpost,
            marathon,
            _upstreams: upstreams,
        })
    }

    pub(super) fn api(&self) -> String {
        format!("http://{}", self.signpost.listens("bamboo api listens")[0])
    }

    /// Writes a rule as another Bamboo would.
    pub(super) fn write(&self, name: &str, data: &str) {
        let (path, data) = (format!("{PATH}/{name}"), data.as_bytes());
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        self.runtime.block_on(async {
            self.client.mkdir(PATH, &options).await.unwrap();
            match self.client.create(&path, data, &options).await {
                Err(zookeeper_client::Error::NodeExists) => {
                    self.client.set_data(&path, data, None).await.map(drop)
                }
                created => created.map(drop),
            }
            .unwrap();
        });
    }

    pub(super) fn read(&self, name: &str) -> String {
        let path = format!("{PATH}/{name}");
        let (data, _) = self.runtime.block_on(self.client.get_data(&path)).unwrap();
        String::from_utf8(data).unwrap()
    }

    pub(super) fn to(&self, host: &str, path: &str) -> String {
        let (status, body) = self.signpost.curl(host, path);
        match status {
            200 => body,
            _ => status.to_string(),
        }
    }

    pub(super) fn refused(&self) -> Vec<String> {
        let sources = self.signpost.get("/v1/sources").1;
        let sources = sources.as_array().unwrap().clone();
        let rules = sources.iter().find(|one| one["name"] == "rules").unwrap();
        let all = rules["refusals"].as_array().unwrap().iter();
        all.map(|one| format!("{}: {}", one["path"], one["reason"]).replace('"', ""))
            .collect()
    }
}
