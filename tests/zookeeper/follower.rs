//! Runs a source again and again and believes what it says, as the registry would.

use std::{collections::BTreeMap, time::Duration};

use registry::{
    Entry, Reports, Source as _, Update, What, channel,
    sources::zookeeper::{Config, Zookeeper},
};
use tokio::{sync::mpsc, task::JoinHandle, time};
use zookeeper_client::{Acls, Client, CreateMode};

/// How long anything that must happen may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// The pause between two runs of a source.
const BACKOFF: Duration = Duration::from_millis(100);

/// Holds what a source has said so far.
pub(super) struct Follower {
    /// The entries by their path; those of services are left out.
    pub(super) instances: BTreeMap<String, Entry>,
    /// The paths of the services' own entries.
    pub(super) services: Vec<String>,
    /// The reasons by path.
    pub(super) refused: BTreeMap<String, String>,
    /// How often there was a `Reset`.
    pub(super) resets: usize,
    /// How often the connection was lost during a run.
    pub(super) losses: usize,
    /// The removed paths, in order.
    pub(super) removed: Vec<String>,
    /// What audits have found: how many there were, and what had been missed.
    pub(super) audits: (usize, u64),
    /// Why runs have ended.
    pub(super) failures: Vec<String>,
    reports: Reports,
    ends: mpsc::Receiver<String>,
    runs: JoinHandle<()>,
}

impl Follower {
    pub(super) fn start(config: Config) -> Self {
        let (updates, reports) = channel("zk", 16);
        let (failed, ends) = mpsc::channel(16);
        let mut source = Zookeeper::from(config);
        let runs = tokio::spawn(async move {
            loop {
                let Err(error) = source.run(&updates).await;
                failed.send(error.to_string()).await.unwrap();
                time::sleep(BACKOFF).await;
            }
        });
        Self {
            instances: BTreeMap::new(),
            services: Vec::new(),
            refused: BTreeMap::new(),
            resets: 0,
            losses: 0,
            removed: Vec::new(),
            audits: (0, 0),
            failures: Vec::new(),
            reports,
            ends,
            runs,
        }
    }

    /// Listens until a condition holds.
    pub(super) async fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let wait = async {
            while !condition(self) {
                self.listen().await;
            }
        };
        let in_time = time::timeout(PATIENCE, wait).await.is_ok();
        assert!(in_time, "in vain: {what}; known: {}", self.summary());
    }

    /// Listens for a time in which nothing in particular has to happen.
    pub(super) async fn listen_for(&mut self, duration: Duration) {
        let listen = async {
            loop {
                self.listen().await;
            }
        };
        // It never ends by itself.
        time::timeout(duration, listen).await.ok();
    }

    /// Returns where an instance is, as `host:port`.
    pub(super) fn place(&self, path: &str) -> Option<String> {
        let instance = self.instances.get(path)?.instances.first()?;
        let host = match instance.addresses.first() {
            Some(address) => address.to_string(),
            None => instance.host.as_deref()?.to_owned(),
        };
        Some(format!("{host}:{}", instance.ports.first()?.number))
    }

    /// Returns all instances' places by path.
    pub(super) fn places(&self) -> BTreeMap<String, String> {
        let paths = self.instances.keys();
        paths
            .filter_map(|path| Some((path.clone(), self.place(path)?)))
            .collect()
    }

    async fn listen(&mut self) {
        tokio::select! {
            report = self.reports.next() => self.believe(report),
            failure = self.ends.recv() => self.failures.extend(failure),
        }
    }

    fn believe(&mut self, what: What) {
        match what {
            What::Update(Update::Reset { entries, refused }) => {
                let paths = refused.iter().map(|refusal| refusal.key.to_string());
                let stay: Vec<_> = paths.collect();
                self.instances.retain(|path, _| stay.contains(path));
                self.services.clear();
                self.refused.clear();
                self.resets += 1;
                entries.into_iter().for_each(|entry| self.put(entry));
                for refusal in refused {
                    self.refused.insert(refusal.key.to_string(), refusal.reason);
                }
            }
            What::Update(Update::Put(entry)) => self.put(entry),
            What::Update(Update::Remove(key)) => {
                self.instances.remove(key.as_str());
                self.refused.remove(key.as_str());
                self.services.retain(|path| path != key.as_str());
                self.removed.push(key.to_string());
            }
            What::Update(Update::Refuse(refusal)) => {
                self.refused.insert(refusal.key.to_string(), refusal.reason);
            }
            What::Stale(_) => self.losses += 1,
            What::Audited(drift) => self.audits = (self.audits.0 + 1, self.audits.1 + drift),
            What::Failed(reason) => self.failures.push(reason),
        }
    }

    fn put(&mut self, entry: Entry) {
        let path = entry.key.to_string();
        self.refused.remove(&path);
        match entry.instances.is_empty() {
            true => self.services.push(path),
            false => drop(self.instances.insert(path, entry)),
        }
    }

    fn summary(&self) -> String {
        let instances: Vec<_> = self.instances.keys().take(20).collect();
        format!(
            "{} instances {instances:?}, services {:?}, refused {:?}, resets {}, losses {}, \
             removed {}, failures {:?}",
            self.instances.len(),
            self.services,
            self.refused,
            self.resets,
            self.losses,
            self.removed.len(),
            self.failures,
        )
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.runs.abort();
    }
}

/// Creates a znode and those above it, persistent and open to all.
pub(super) async fn make(client: &Client, path: &str, data: impl AsRef<[u8]>) {
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    if let Some((parent, _)) = path
        .rsplit_once('/')
        .filter(|(parent, _)| !parent.is_empty())
    {
        client.mkdir(parent, &options).await.unwrap();
    }
    client.create(path, data.as_ref(), &options).await.unwrap();
}
