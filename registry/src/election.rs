//! Who leads among the servers of a store: as they elect it in ZooKeeper, or as a list says.

use std::time::Duration;

use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};
use zookeeper_client::{Client, OneshotWatcher};

use crate::{Backoff, Error, instance::address, sources::zookeeper::Ensemble};

/// How long those who have failed are given to be replaced.
const ELECTED_WITHIN: Duration = Duration::from_secs(1);

/// A server: its host (a v6 address in brackets) and its port.
pub(crate) type Place = (String, u16);

/// The servers that may lead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Candidates {
    pub(crate) leader: Option<Place>,
    /// In the order in which they came, or as they are listed.
    pub(crate) all: Vec<Place>,
}

impl Candidates {
    /// Lists all in the order in which they are asked, whoever leads first.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &Place> {
        let others = self.all.iter();
        let others = others.filter(|one| Some(*one) != self.leader.as_ref());
        self.leader.iter().chain(others)
    }
}

/// How servers of one kind stand in their election.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Who they are, for people.
    pub(crate) name: &'static str,
    /// The znodes below the one that is configured, of which the first that exists counts.
    pub(crate) below: &'static [&'static str],
    /// Reads the number of a candidate's znode, which says who came first; `None` for other znodes.
    pub(crate) number: fn(&str) -> Option<u64>,
    /// Reads where a candidate is.
    pub(crate) place: fn(&[u8]) -> Option<Place>,
}

/// How long to wait after ZooKeeper has failed before it is asked again, at first and at the most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How long a look at the masters holds when nothing tells of a change; a lost watch is noticed so.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Reads `zk://h1:2181,h2:2181/path`: the ensemble, and the znode; `like` is such a path.
///
/// # Errors
///
/// Returns in words what is wrong with it.
pub(crate) fn place_of(zk: &str, like: &str) -> Result<(Ensemble, String), String> {
    let Some(rest) = zk.strip_prefix("zk://") else {
        return Err(format!("`{zk}` doesn't start with `zk://`"));
    };
    if rest.contains('@') {
        return Err("a user and a password in the URL are not supported".to_owned());
    }
    let (ensemble, path) = Ensemble::from_url(&format!("zookeeper://{rest}"))?;
    match path.as_str() {
        "/" => Err(format!("`{zk}` has no path such as `{like}`")),
        _ => Ok((ensemble, path)),
    }
}

/// Knows who leads, for as long as it lives: whatever becomes of those who ask it.
#[derive(Debug)]
pub(crate) struct Election {
    results: watch::Receiver<Candidates>,
    /// Of a list nobody tells anything.
    _list: Option<watch::Sender<Candidates>>,
    following: Option<AbortHandle>,
}

impl Election {
    /// Takes those that are listed, of which nobody knows who leads.
    pub(crate) fn of_list(all: Vec<Place>) -> Self {
        let candidates = Candidates { leader: None, all };
        let (list, results) = watch::channel(candidates);
        Self {
            results,
            _list: Some(list),
            following: None,
        }
    }

    /// Follows an election in ZooKeeper.
    pub(crate) fn follow(kind: &'static Kind, ensemble: Ensemble, path: String) -> Self {
        let (sender, results) = watch::channel(Candidates::default());
        let following = tokio::spawn(follow(kind, ensemble, path, sender));
        Self {
            results,
            _list: None,
            following: Some(following.abort_handle()),
        }
    }

    /// Returns who may lead, as it changes.
    pub(crate) fn results(&self) -> watch::Receiver<Candidates> {
        self.results.clone()
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        if let Some(following) = &self.following {
            following.abort();
        }
    }
}

/// Waits until somebody is known to ask, and returns whom in which order; what was waited for counts as
/// seen.
///
/// # Errors
///
/// Returns in words that nobody is known within `patience`.
pub(crate) async fn known(
    kind: &Kind,
    results: &mut watch::Receiver<Candidates>,
    patience: Duration,
) -> Result<Candidates, Error> {
    let known = results.wait_for(|known| !known.all.is_empty());
    match timeout(patience, known).await {
        Ok(Ok(known)) => Ok(known.clone()),
        _ => Err(format!(
            "none of the {} is elected, as far as ZooKeeper tells",
            kind.name
        )
        .into()),
    }
}

/// Waits a moment, after those who are known have failed, whether others are elected.
pub(crate) async fn is_another(results: &mut watch::Receiver<Candidates>) -> bool {
    let changed = timeout(ELECTED_WITHIN, results.changed()).await;
    changed.is_ok_and(|changed| changed.is_ok())
}

/// Follows the election at a znode for ever, and tells each result; a ZooKeeper that is away changes
/// nothing.
async fn follow(
    kind: &'static Kind,
    ensemble: Ensemble,
    path: String,
    results: watch::Sender<Candidates>,
) {
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    while !results.is_closed() {
        let begun = Instant::now();
        if let Err(error) = watch_once(kind, &ensemble, &path, &results).await {
            tracing::debug!(of = kind.name, %error, "the election can't be followed");
        }
        sleep(backoff.next(begun.elapsed(), fastrand::f64())).await;
    }
}

async fn watch_once(
    kind: &Kind,
    ensemble: &Ensemble,
    path: &str,
    results: &watch::Sender<Candidates>,
) -> Result<(), Error> {
    let client = ensemble.connect().await?;
    loop {
        let (path, children, watcher) = list(kind, &client, path).await?;
        if let Some(read) = read(kind, &client, &path, &children).await? {
            results.send_if_modified(|known| {
                let is_news = *known != read;
                *known = read;
                is_news
            });
        }
        tokio::select! {
            _ = watcher.changed() => {}
            () = sleep(LOOK_AGAIN) => {}
            () = results.closed() => return Ok(()),
        }
    }
}

/// Lists the znodes of an election, and watches them.
async fn list(
    kind: &Kind,
    client: &Client,
    path: &str,
) -> Result<(String, Vec<String>, OneshotWatcher), Error> {
    for below in kind.below {
        let path = format!("{path}{below}");
        match client.list_and_watch_children(&path).await {
            Ok((children, watcher)) => return Ok((path, children, watcher)),
            Err(zookeeper_client::Error::NoNode) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(format!("there is no election of {} at {path}", kind.name).into())
}

/// Reads the candidates in the order in which they came; `None` while there is none, which says nothing.
async fn read(
    kind: &Kind,
    client: &Client,
    path: &str,
    children: &[String],
) -> Result<Option<Candidates>, Error> {
    let number = |name: &String| (kind.number)(name);
    let children = children.iter();
    let mut candidates: Vec<_> = children.filter(|name| number(name).is_some()).collect();
    candidates.sort_by_key(|name| number(name));
    let mut all = Vec::new();
    for name in candidates {
        match client.get_data(&format!("{path}/{name}")).await {
            Ok((data, _)) => all.extend((kind.place)(&data)),
            // It has gone meanwhile, and the watch says so.
            Err(zookeeper_client::Error::NoNode) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let leader = all.first().cloned();
    Ok(leader.is_some().then_some(Candidates { leader, all }))
}

/// Puts a v6 address into brackets, as it stands in URLs.
pub(crate) fn bracketed(host: &str) -> String {
    match address(host) {
        Some(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        _ => host.to_owned(),
    }
}
