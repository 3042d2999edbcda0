//! The embedded store as a source.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    path::PathBuf,
    time::Duration,
};

use config::Problem;
use futures_util::{FutureExt, future::BoxFuture};
use serde::Deserialize;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    Entry, Error, Key, Origin, Refusal, Source, Update, Updates, WriteError, Writer, Written,
    clock,
    store::{Call, Database, Leases, Place, Request, Stored, Write},
};

/// How many requests are written to disk together at the most.
const BATCH_MAX: usize = 256;

/// Being so late for the end of a lease means that nobody could have renewed meanwhile.
const LATE: Duration = Duration::from_millis(500);

/// Why a run ends whose writer is gone.
const FORSAKEN: &str = "nobody can ask for anything any more";

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
    calls: mpsc::Receiver<Call>,
    held: Held,
}

/// What has to outlive a run that fails, when the disk can't be trusted.
#[derive(Debug, Default)]
struct Held {
    leases: Leases,
    /// Registrations whose lease has ended and which may still be on disk.
    ended: BTreeSet<Place>,
}

impl From<Config> for Store {
    fn from(config: Config) -> Self {
        let (writer, calls) = Writer::channel();
        Self {
            config,
            writer,
            calls,
            held: Held::default(),
        }
    }
}

impl Source for Store {
    fn run<'a>(&'a mut self, updates: &'a Updates) -> BoxFuture<'a, Result<Infallible, Error>> {
        async move {
            loop {
                let mut open = Open::start(&self.config, &mut self.held, updates).await?;
                let released = loop {
                    if let Some(released) = open.turn(&mut self.calls).await? {
                        break released;
                    }
                };
                // With it the files are closed.
                drop(open);
                // Who asked may have lost patience.
                released.send(()).ok();
                refuse_until_resumed(&mut self.calls).await?;
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
    held: &'a mut Held,
}

/// What one batch of requests comes to.
#[derive(Default)]
struct Batch {
    changes: Changes,
    answers: Vec<(Request, Result<Written, WriteError>)>,
}

/// What is to be stored, or removed.
type Changes = BTreeMap<Place, Option<Stored>>;

impl<'a> Open<'a> {
    async fn start(
        config: &Config,
        held: &'a mut Held,
        updates: &'a Updates,
    ) -> Result<Self, Error> {
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
            stored: content.stored,
            held,
        };
        let mut refused = content.broken;
        let (mut entries, now) = (Vec::new(), Instant::now());
        for (place, stored) in &open.stored {
            if open.held.ended.contains(place) {
                continue;
            }
            if !open.held.leases.contains(place) {
                open.held.leases.set(place, stored, now);
            }
            match entry(updates, place, stored) {
                Ok(entry) => entries.push(entry),
                Err(reason) => refused.push(refusal(place, reason)),
            }
        }
        updates.send(Update::Reset { entries, refused }).await;
        // What couldn't be removed from the disk before.
        let ended = open.held.ended.clone();
        let batch = Batch {
            changes: ended.into_iter().map(|place| (place, None)).collect(),
            ..Batch::default()
        };
        open.commit(batch).await?;
        Ok(open)
    }

    /// Waits for calls or for the end of a lease, and does what is to be done then; returns who has
    /// asked for the files to be closed.
    async fn turn(
        &mut self,
        calls: &mut mpsc::Receiver<Call>,
    ) -> Result<Option<oneshot::Sender<()>>, Error> {
        let next_end = self.held.leases.next_end();
        let lease_ends = async {
            match next_end {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        let mut received = Vec::new();
        tokio::select! {
            // Renewals that wait go before the ends of leases.
            biased;
            count = calls.recv_many(&mut received, BATCH_MAX) => {
                if count == 0 {
                    return Err(FORSAKEN.into());
                }
            }
            () = lease_ends => {}
        }
        let now = Instant::now();
        let (mut batch, mut released) = (Batch::default(), None);
        for call in received {
            match call {
                Call::Release(done) => released = Some(done),
                Call::Resume => released = None,
                // Who has given up waiting was told that nothing would change.
                Call::Write(request) if request.answer.is_closed() => {}
                Call::Write(request) => {
                    let answer = match released {
                        None => self.decide(&request.write, &mut batch.changes, now),
                        Some(_) => Err(WriteError::HandedOver),
                    };
                    batch.answers.push((request, answer));
                }
            }
        }
        if calls.is_empty() {
            self.expire(next_end, &mut batch.changes, now);
        }
        self.commit(batch).await?;
        Ok(released)
    }

    /// Takes out registrations whose leases have ended.
    ///
    /// When that comes late, because the process or the whole machine stood still, clients may have
    /// tried to renew in vain: they are given the time again.
    fn expire(&mut self, next_end: Option<Instant>, changes: &mut Changes, now: Instant) {
        let late = next_end.map(|end| now.saturating_duration_since(end));
        if let Some(late) = late.filter(|late| *late > LATE) {
            tracing::warn!(
                ?late,
                "leases are looked after late, and last as much longer"
            );
            self.held.leases.extend(late);
        }
        for place in self.held.leases.expire(now) {
            tracing::info!(source = %self.updates.source(), %place, "a lease has ended");
            self.held.ended.insert(place.clone());
            changes.insert(place, None);
        }
    }

    /// Decides on one request; `changes` is what the batch has come to so far.
    fn decide(
        &mut self,
        write: &Write,
        changes: &mut Changes,
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
                self.held.leases.set(place, &stored, now);
                self.held.ended.remove(place);
                changes.insert(place.clone(), Some(stored));
                Ok(match created {
                    true => Written::Created,
                    false => Written::Replaced,
                })
            }
            Write::Remove(place) if held(place) => {
                self.held.leases.revoke(place);
                changes.insert(place.clone(), None);
                Ok(Written::Removed)
            }
            Write::Renew(place) if held(place) => match self.held.leases.renew(place, now) {
                true => Ok(Written::Renewed),
                false => Err(WriteError::NoLease(place.clone())),
            },
            Write::Remove(place) | Write::Renew(place) => Err(WriteError::NotFound(place.clone())),
        }
    }

    /// Puts the changes on disk, then tells the registry, then answers.
    ///
    /// The end of a lease is told even if the disk takes nothing: an instance that is gone must not be
    /// answered because of that.
    async fn commit(&mut self, mut batch: Batch) -> Result<(), Error> {
        // A heartbeat by PUT says what was said before: nothing of it has to touch the disk.
        batch
            .changes
            .retain(|place, change| self.stored.get(place) != change.as_ref());
        let written = self.write(&batch.changes).await;
        for (place, change) in batch.changes {
            if written.is_ok() || self.held.ended.contains(&place) {
                self.updates
                    .send(self.update(&place, change.as_ref()))
                    .await;
            }
            if written.is_ok() {
                self.held.ended.remove(&place);
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

    async fn write(&self, changes: &Changes) -> Result<(), Error> {
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

/// Refuses registrations until the files are to be opened again.
async fn refuse_until_resumed(calls: &mut mpsc::Receiver<Call>) -> Result<(), Error> {
    while let Some(call) = calls.recv().await {
        // Each time: who asked may be gone.
        match call {
            Call::Resume => return Ok(()),
            Call::Release(done) => drop(done.send(())),
            Call::Write(request) => drop(request.answer.send(Err(WriteError::HandedOver))),
        }
    }
    Err(FORSAKEN.into())
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
    Ok(Entry::new(key, place.service.clone(), vec![instance]))
}

fn refusal(place: &Place, reason: String) -> Refusal {
    Refusal {
        key: Key::new(place.to_string()),
        reason,
    }
}

#[cfg(test)]
mod tests;
