//! The embedded store as a source.

use std::{collections::BTreeMap, convert::Infallible, path::PathBuf, time::Duration};

use config::Problem;
use futures_util::{FutureExt, future::BoxFuture};
use serde::Deserialize;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    Entry, Error, Key, Origin, Refusal, Source, Update, Updates, WriteError, Writer, Written,
    clock,
    store::{Database, Leases, Place, Request, Stored, Write},
};

/// How many requests are written to disk together at the most.
const BATCH_MAX: usize = 256;

/// Configures the embedded store: `[sources.NAME.store]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The directory of its file, `store.redb`; made when missing.
    pub path: PathBuf,
    /// How many registrations it takes at the most.
    pub registrations_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: "signpost-data".into(),
            registrations_max: 100_000,
        }
    }
}

impl Config {
    pub(crate) fn problems(&self) -> Vec<Problem> {
        match self.path.as_os_str().is_empty() {
            true => vec![Problem::new("path", "is empty; it must name a directory")],
            false => Vec::new(),
        }
    }
}

/// Keeps what clients register, and says it to the registry.
#[derive(Debug)]
pub struct Store {
    config: Config,
    writer: Writer,
    requests: mpsc::Receiver<Request>,
}

impl From<Config> for Store {
    fn from(config: Config) -> Self {
        let (writer, requests) = Writer::channel();
        Self {
            config,
            writer,
            requests,
        }
    }
}

impl Source for Store {
    fn run<'a>(&'a mut self, updates: &'a Updates) -> BoxFuture<'a, Result<Infallible, Error>> {
        async move {
            let mut open = Open::start(&self.config, updates).await?;
            loop {
                open.turn(&mut self.requests).await?;
            }
        }
        .boxed()
    }

    fn writer(&self) -> Option<Writer> {
        Some(self.writer.clone())
    }
}

/// The store while it runs: the disk's content in memory, and the leases.
struct Open<'a> {
    updates: &'a Updates,
    registrations_max: usize,
    database: Database,
    stored: BTreeMap<Place, Stored>,
    leases: Leases,
}

/// What one batch of requests comes to.
#[derive(Default)]
struct Batch {
    changes: BTreeMap<Place, Option<Stored>>,
    answers: Vec<(Request, Result<Written, WriteError>)>,
}

impl<'a> Open<'a> {
    async fn start(config: &Config, updates: &'a Updates) -> Result<Self, Error> {
        let path = config.path.clone();
        let read = move || {
            let database = Database::open(&path)?;
            let content = database.read()?;
            Ok::<_, Error>((database, content))
        };
        let (database, content) = tokio::task::spawn_blocking(read).await??;
        let mut open = Self {
            updates,
            registrations_max: config.registrations_max,
            database,
            leases: Leases::default(),
            stored: content.stored,
        };
        let mut refused = content.broken;
        let (mut entries, now) = (Vec::new(), Instant::now());
        for (place, stored) in &open.stored {
            open.leases.set(place, stored, now);
            match entry(updates, place, stored) {
                Ok(entry) => entries.push(entry),
                Err(reason) => refused.push(refusal(place, reason)),
            }
        }
        updates.send(Update::Reset { entries, refused }).await;
        Ok(open)
    }

    /// Waits for requests or for the end of a lease, and does what is to be done then.
    async fn turn(&mut self, requests: &mut mpsc::Receiver<Request>) -> Result<(), Error> {
        let next_end = self.leases.next_end();
        let lease_ends = async {
            match next_end {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        let mut received = Vec::new();
        tokio::select! {
            count = requests.recv_many(&mut received, BATCH_MAX) => {
                if count == 0 {
                    return Err("nobody can ask for anything any more".into());
                }
            }
            () = lease_ends => {}
        }
        let now = Instant::now();
        let mut batch = Batch::default();
        for request in received {
            let answer = self.decide(&request.write, &mut batch.changes, now);
            batch.answers.push((request, answer));
        }
        for place in self.leases.expire(now) {
            tracing::info!(source = %self.updates.source(), %place, "a lease has ended");
            batch.changes.insert(place, None);
        }
        self.commit(batch).await
    }

    /// Decides on one request; `changes` is what the batch has come to so far.
    fn decide(
        &mut self,
        write: &Write,
        changes: &mut BTreeMap<Place, Option<Stored>>,
        now: Instant,
    ) -> Result<Written, WriteError> {
        let held = |place: &Place| match changes.get(place) {
            Some(change) => change.is_some(),
            None => self.stored.contains_key(place),
        };
        match write {
            Write::Put {
                place,
                registration,
                ttl,
            } => {
                let created = !held(place);
                // Counts the batch as if it only added: near the limit the next batch will do.
                let count = self.stored.len() + changes.len();
                if created && count >= self.registrations_max {
                    return Err(WriteError::Full(self.registrations_max));
                }
                let since = self.stored.get(place).map(|stored| stored.since);
                let stored = Stored {
                    registration: (**registration).clone(),
                    ttl_ms: ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)),
                    since: since.unwrap_or_else(clock::timestamp),
                };
                entry(self.updates, place, &stored).map_err(WriteError::Invalid)?;
                self.leases.set(place, &stored, now);
                changes.insert(place.clone(), Some(stored));
                Ok(match created {
                    true => Written::Created,
                    false => Written::Replaced,
                })
            }
            Write::Remove(place) if held(place) => {
                self.leases.revoke(place);
                changes.insert(place.clone(), None);
                Ok(Written::Removed)
            }
            Write::Renew(place) if held(place) => match self.leases.renew(place, now) {
                true => Ok(Written::Renewed),
                false => Err(WriteError::NoLease(place.clone())),
            },
            Write::Remove(place) | Write::Renew(place) => Err(WriteError::NotFound(place.clone())),
        }
    }

    /// Puts the changes on disk, then tells the registry, then answers.
    async fn commit(&mut self, mut batch: Batch) -> Result<(), Error> {
        // A heartbeat by PUT says what was said before: nothing of it has to touch the disk.
        batch
            .changes
            .retain(|place, change| self.stored.get(place) != change.as_ref());
        let written = self.write(&batch.changes).await;
        if written.is_ok() {
            for (place, change) in batch.changes {
                self.updates
                    .send(self.update(&place, change.as_ref()))
                    .await;
                match change {
                    Some(stored) => drop(self.stored.insert(place, stored)),
                    None => drop(self.stored.remove(&place)),
                }
            }
        }
        for (request, answer) in batch.answers {
            let answer = match (&written, answer) {
                (Err(error), Ok(_)) => Err(WriteError::Unavailable(error.to_string())),
                (_, answer) => answer,
            };
            // Nobody waits for the answer any more: the client hung up.
            request.answer.send(answer).ok();
        }
        written
    }

    async fn write(&self, changes: &BTreeMap<Place, Option<Stored>>) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let (database, changes) = (self.database.clone(), changes.clone());
        let write = move || {
            database.write(
                changes
                    .iter()
                    .map(|(place, stored)| (place, stored.as_ref())),
            )
        };
        tokio::task::spawn_blocking(write).await?
    }

    fn update(&self, place: &Place, change: Option<&Stored>) -> Update {
        match change.map(|stored| entry(self.updates, place, stored)) {
            None => Update::Remove(Key::new(place.to_string())),
            Some(Ok(entry)) => Update::Put(entry),
            Some(Err(reason)) => Update::Refuse(refusal(place, reason)),
        }
    }
}

impl Leases {
    fn set(&mut self, place: &Place, stored: &Stored, now: Instant) {
        match stored.ttl_ms {
            Some(ttl) => self.grant(place, Duration::from_millis(ttl), now),
            None => self.revoke(place),
        }
    }
}

fn entry(updates: &Updates, place: &Place, stored: &Stored) -> Result<Entry, String> {
    let key = Key::new(place.to_string());
    let origin = Origin {
        source: updates.source().clone(),
        path: (&key).into(),
        revision: None,
        since: Some(stored.since),
    };
    let instance = stored.registration.instance(place.id.clone(), origin)?;
    Ok(Entry {
        key,
        service: place.service.clone(),
        instances: vec![instance],
    })
}

fn refusal(place: &Place, reason: String) -> Refusal {
    Refusal {
        key: Key::new(place.to_string()),
        reason,
    }
}

#[cfg(test)]
mod tests;
