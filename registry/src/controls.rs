//! How the rest of the program speaks with the registry's task.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    InstanceId, Observation, ServiceName, Snapshot, SourceStatus, Writer, source::Message, sources,
};

/// Speaks with the registry's task; may be copied freely.
#[derive(Debug, Clone)]
pub struct Controls {
    messages: mpsc::Sender<Message>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

/// What the registry's task can be asked.
#[derive(Debug)]
pub(crate) enum Command {
    SetSources(BTreeMap<String, sources::Config>, oneshot::Sender<u64>),
    Statuses(oneshot::Sender<Vec<SourceStatus>>),
    Writer(Option<String>, oneshot::Sender<Option<Writer>>),
    Writers(oneshot::Sender<Vec<Writer>>),
    Lookups(oneshot::Sender<usize>),
    Flush(oneshot::Sender<u64>),
    Observe(Vec<(ServiceName, InstanceId, Observation)>),
    Drain(Drain),
}

/// The wish that an instance drains, or no longer does.
#[derive(Debug)]
pub(crate) struct Drain {
    pub(crate) service: ServiceName,
    pub(crate) id: InstanceId,
    pub(crate) drained: bool,
    /// Takes the version of the snapshot that has it; `None` without such an instance.
    pub(crate) answer: oneshot::Sender<Option<u64>>,
}

/// Reports that the registry's task has ended; the process is about to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the registry has stopped")]
pub struct Stopped;

impl Controls {
    pub(crate) fn new(
        messages: mpsc::Sender<Message>,
        snapshots: watch::Receiver<Arc<Snapshot>>,
    ) -> Self {
        Self {
            messages,
            snapshots,
        }
    }

    /// Returns a view of the newest snapshot that can also wait for the next one.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// Returns the newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// Makes these the sources: new ones start, others stop and take what they said with them.
    ///
    /// A source whose configuration is different starts again; what it said stays until it has synced.
    /// Returns the version of the snapshot that knows of it.
    ///
    /// # Errors
    ///
    /// Fails when the registry has stopped.
    pub async fn set_sources(
        &self,
        sources: BTreeMap<String, sources::Config>,
    ) -> Result<u64, Stopped> {
        self.ask(|answer| Command::SetSources(sources, answer))
            .await
    }

    /// Says how every source is, sorted by name.
    ///
    /// # Errors
    ///
    /// As [`Controls::set_sources`].
    pub async fn statuses(&self) -> Result<Vec<SourceStatus>, Stopped> {
        self.ask(Command::Statuses).await
    }

    /// Returns what registers instances in the source of this name, or in the first that can.
    ///
    /// # Errors
    ///
    /// As [`Controls::set_sources`].
    pub async fn writer(&self, source: Option<String>) -> Result<Option<Writer>, Stopped> {
        self.ask(|answer| Command::Writer(source, answer)).await
    }

    /// Has every source that takes registrations close its files, for another process to open them.
    ///
    /// What it said stays, and registrations are refused until [`Controls::resume_stores`]. Returns
    /// when the files are closed.
    ///
    /// # Errors
    ///
    /// As [`Controls::set_sources`].
    pub async fn release_stores(&self) -> Result<(), Stopped> {
        for writer in self.ask(Command::Writers).await? {
            writer.release().await;
        }
        Ok(())
    }

    /// Has those sources open their files again.
    ///
    /// # Errors
    ///
    /// As [`Controls::set_sources`].
    pub async fn resume_stores(&self) -> Result<(), Stopped> {
        for writer in self.ask(Command::Writers).await? {
            writer.resume().await;
        }
        Ok(())
    }

    /// Returns how many host names haven't been looked up a first time yet.
    ///
    /// # Errors
    ///
    /// As [`Controls::set_sources`].
    pub async fn first_lookups(&self) -> Result<usize, Stopped> {
        self.ask(Command::Lookups).await
    }

    /// Waits until all that sources said before this call is in a snapshot; returns its version.
    ///
    /// # Errors
    ///
    /// As [`Controls::set_sources`].
    pub async fn flush(&self) -> Result<u64, Stopped> {
        self.ask(Command::Flush).await
    }

    /// Says what is observed of instances; what isn't named stays as it was.
    ///
    /// It is part of the next snapshot, and forgotten when the instance is gone. An observation that is
    /// the same as the last one of its instance changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Controls::set_sources`].
    pub async fn observe(
        &self,
        observations: Vec<(ServiceName, InstanceId, Observation)>,
    ) -> Result<(), Stopped> {
        let message = Message::Command(Command::Observe(observations));
        self.messages.send(message).await.map_err(|_| Stopped)
    }

    /// Has an instance that is up drain, whatever its record says, until this is called with `false`.
    ///
    /// It holds as long as the instance is there, and this process. Returns the version of a snapshot
    /// that has it, or `None` when there is no such instance.
    ///
    /// # Errors
    ///
    /// As [`Controls::set_sources`].
    pub async fn drain(
        &self,
        service: ServiceName,
        id: InstanceId,
        drained: bool,
    ) -> Result<Option<u64>, Stopped> {
        self.ask(|answer| {
            Command::Drain(Drain {
                service,
                id,
                drained,
                answer,
            })
        })
        .await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let message = Message::Command(command(answer));
        self.messages.send(message).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }
}
