//! The seam between the registry and the stores.

use std::{convert::Infallible, error, net::IpAddr, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::{Update, Writer, controls::Command};

/// Any reason for which a source gives up its run; the supervisor logs it and runs the source again.
pub type Error = Box<dyn error::Error + Send + Sync>;

/// Watches one store and says what it sees.
pub trait Source: Send + 'static {
    /// Runs until the store fails; never ends well.
    ///
    /// The first update of every run is a `Reset`, so a reconnect and a first sync are one thing. A run
    /// keeps nothing but what it needs to read less: the registry has the truth. It is stopped by being
    /// dropped at any `await`.
    fn run<'a>(&'a mut self, updates: &'a Updates) -> BoxFuture<'a, Result<Infallible, Error>>;

    /// Returns what registers instances in the store, if the source takes registrations.
    fn writer(&self) -> Option<Writer> {
        None
    }
}

/// Takes a source's updates to the registry, in order.
#[derive(Debug, Clone)]
pub struct Updates {
    source: Arc<str>,
    generation: u64,
    /// Weak, so that the registry's task ends with its last user and not with its last source.
    messages: mpsc::WeakSender<Message>,
}

/// Whatever the registry's task is told or asked, in one queue: who asks sees what was told before.
#[derive(Debug)]
pub(crate) enum Message {
    Report(Report),
    Command(Command),
    Resolved(Arc<str>, Result<Vec<IpAddr>, String>),
}

/// One thing that a source's run has to say.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) source: Arc<str>,
    /// Tells a source from the one it replaced under the same name: what comes late is ignored.
    pub(crate) generation: u64,
    pub(crate) what: What,
}

/// What a source's run has to say.
#[derive(Debug)]
pub enum What {
    /// Records have come, changed or gone.
    Update(Update),
    /// The connection to the store is gone, but the run goes on and hopes to get it back.
    Stale(String),
    /// An audit compared what it read with what it had said; so many records differed.
    Audited(u64),
    /// The run has ended.
    Failed(String),
}

impl Updates {
    pub(crate) fn new(
        source: Arc<str>,
        generation: u64,
        messages: mpsc::WeakSender<Message>,
    ) -> Self {
        Self {
            source,
            generation,
            messages,
        }
    }

    /// Returns the source's name, for the origin of instances and for logs.
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// Hands over an update; waits while the registry has too much to do.
    pub async fn send(&self, update: Update) {
        self.report(What::Update(update)).await;
    }

    /// Says that the store can't be reached, while the run itself goes on; the next `Reset` ends it.
    pub async fn stale(&self, reason: impl Into<String>) {
        self.report(What::Stale(reason.into())).await;
    }

    /// Says that an audit has read everything again and found `drift` records that had been missed.
    pub async fn audited(&self, drift: u64) {
        self.report(What::Audited(drift)).await;
    }

    pub(crate) async fn report(&self, what: What) {
        let report = Report {
            source: Arc::clone(&self.source),
            generation: self.generation,
            what,
        };
        // Without a registry the process is about to end, and so is this run.
        if let Some(messages) = self.messages.upgrade() {
            messages.send(Message::Report(report)).await.ok();
        }
    }
}

/// Creates the two ends for runs of a source without a registry; at most `capacity` reports wait.
pub fn channel(source: impl Into<Arc<str>>, capacity: usize) -> (Updates, Reports) {
    let (sender, messages) = mpsc::channel(capacity);
    let updates = Updates::new(source.into(), 0, sender.downgrade());
    let reports = Reports {
        messages,
        _sender: sender,
    };
    (updates, reports)
}

/// Takes what the runs of one source say, in order.
#[derive(Debug)]
pub struct Reports {
    messages: mpsc::Receiver<Message>,
    /// Keeps the channel open for [`Updates`], which are weak.
    _sender: mpsc::Sender<Message>,
}

impl Reports {
    /// Waits for the next report.
    pub async fn next(&mut self) -> What {
        loop {
            let message = self.messages.recv().await;
            // Sources send nothing but reports.
            if let Message::Report(report) = message.expect("a sender is held here") {
                return report.what;
            }
        }
    }
}
