//! How others ask the embedded store for changes.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::Place;
use crate::Registration;

/// How many requests wait for the store at the most; the next one is told to come back.
const REQUESTS_MAX: usize = 4096;

/// How long a request waits for the store.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the embedded store for changes; an answer means that the change is on disk.
#[derive(Debug, Clone)]
pub struct Writer(mpsc::Sender<Call>);

/// What the store is told.
#[derive(Debug)]
pub(crate) enum Call {
    Write(Request),
    /// Close the files, and say when that is done.
    Release(oneshot::Sender<()>),
    /// Open them again.
    Resume,
}

/// One change and where its answer goes.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) write: Write,
    pub(crate) answer: oneshot::Sender<Result<Written, WriteError>>,
}

/// One change.
#[derive(Debug)]
pub(crate) enum Write {
    Put {
        place: Place,
        registration: Box<Registration>,
        ttl: Option<Duration>,
    },
    Remove(Place),
    Renew(Place),
}

/// Says what a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It wasn't there before.
    Created,
    /// It was there, and is different or as good as new now.
    Replaced,
    /// It is gone.
    Removed,
    /// Its lease has started again.
    Renewed,
}

/// Says why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// There is no registration of this name.
    #[error("no instance {0} is registered here")]
    NotFound(Place),
    /// There is one, and it has no lease to renew.
    #[error("instance {0} was registered without a ttl, so there is nothing to renew")]
    NoLease(Place),
    /// It says something that can't be.
    #[error("{0}")]
    Invalid(String),
    /// It would be one registration too many.
    #[error("there are {0} registrations already (registrations_max)")]
    Full(usize),
    /// The store's files are another process's, which takes it; nothing was changed.
    #[error("the embedded store is being handed over to a new process, which takes it in a moment")]
    HandedOver,
    /// The store can't take it now; nothing was changed.
    #[error("the embedded store is not available: {0}")]
    Unavailable(String),
}

impl Writer {
    /// Creates a writer and the end at which its requests arrive.
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Call>) {
        let (sender, receiver) = mpsc::channel(REQUESTS_MAX);
        (Self(sender), receiver)
    }

    /// Registers an instance or replaces it; with a `ttl` it leaves unless it is renewed in time.
    ///
    /// # Errors
    ///
    /// Returns why nothing was changed.
    pub async fn put(
        &self,
        place: Place,
        registration: Registration,
        ttl: Option<Duration>,
    ) -> Result<Written, WriteError> {
        let registration = Box::new(registration);
        self.request(Write::Put {
            place,
            registration,
            ttl,
        })
        .await
    }

    /// Removes an instance.
    ///
    /// # Errors
    ///
    /// As [`Writer::put`].
    pub async fn remove(&self, place: Place) -> Result<Written, WriteError> {
        self.request(Write::Remove(place)).await
    }

    /// Starts an instance's lease again.
    ///
    /// # Errors
    ///
    /// As [`Writer::put`].
    pub async fn renew(&self, place: Place) -> Result<Written, WriteError> {
        self.request(Write::Renew(place)).await
    }

    /// Has the store close its files and refuse everything; returns when they are closed.
    pub(crate) async fn release(&self) {
        let (done, released) = oneshot::channel();
        if self.0.send(Call::Release(done)).await.is_ok() {
            // A store that can't open its files, and waits to try again, has closed them.
            tokio::time::timeout(PATIENCE, released).await.ok();
        }
    }

    /// Has the store open its files again.
    pub(crate) async fn resume(&self) {
        // Without a store there is nothing to open.
        self.0.send(Call::Resume).await.ok();
    }

    async fn request(&self, write: Write) -> Result<Written, WriteError> {
        let unavailable = |reason: &str| WriteError::Unavailable(reason.to_owned());
        let (answer, answered) = oneshot::channel();
        self.0
            .try_send(Call::Write(Request { write, answer }))
            .map_err(|_| unavailable("too many requests wait for it"))?;
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(unavailable("it was stopped")),
            Err(_) => Err(unavailable("it didn't answer in time")),
        }
    }
}
