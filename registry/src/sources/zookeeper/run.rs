//! One run of the source, from a fresh session to its end.

use std::{convert::Infallible, future::Future, pin::pin, sync::Arc, time::Duration};

use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, OptionFuture},
    stream::FuturesUnordered,
};
use tokio::{
    select,
    time::{Instant, sleep_until},
};
use zookeeper_client::{Client, SessionState};

use super::{
    layout::Layout,
    scan::{self, READS_MAX},
    session::{Link, Session},
    tree::{Node, Scan, Tree, Version},
};
use crate::{Update, Updates};

/// The least time between two comparisons, whatever happens to the root.
const COMPARISON_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Says why a run has ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error("the servers don't support recursive watches: ZooKeeper 3.6 or newer is needed")]
    WatchUnsupported,
    #[error("the session has ended: {0}")]
    Ended(SessionState),
    #[error("can't {what} {path}: {source}")]
    Request {
        what: &'static str,
        path: String,
        source: zookeeper_client::Error,
    },
}

type Read = Result<(Arc<str>, Option<Node>), zookeeper_client::Error>;

/// Watches, reads and tells, until the session ends.
pub(super) struct Run<'a> {
    updates: &'a Updates,
    layout: Arc<Layout>,
    session: Session,
    tree: &'a mut Tree,
    records_max: usize,
    audit_interval: Duration,
    /// An event for the root itself: everything may have changed.
    root_touched: bool,
}

/// A scan of all versions that is under way.
struct Comparison {
    scan: BoxFuture<'static, Result<Scan<Version>, zookeeper_client::Error>>,
    is_audit: bool,
}

impl<'a> Run<'a> {
    /// Sets the watch, before anything is read.
    pub(super) async fn start(
        client: Client,
        layout: Layout,
        tree: &'a mut Tree,
        audit_interval: Duration,
        updates: &'a Updates,
    ) -> Result<Self, RunError> {
        let session = match Session::start(client, layout.root()).await {
            Err(zookeeper_client::Error::Unimplemented) => Err(RunError::WatchUnsupported),
            Err(source) => Err(request("watch", layout.root(), source)),
            Ok(session) => Ok(session),
        }?;
        Ok(Self {
            updates,
            layout: Arc::new(layout),
            session,
            records_max: tree.records_max(),
            tree,
            audit_interval,
            root_touched: false,
        })
    }

    /// Reads everything and follows the changes, again and again after each loss of the connection.
    pub(super) async fn run(mut self) -> Result<Infallible, RunError> {
        loop {
            self.synchronize().await?;
            self.follow().await?;
            self.tell_loss().await;
        }
    }

    /// Reads everything and tells it, once there is a connection that has lasted for the whole
    /// scan.
    async fn synchronize(&mut self) -> Result<(), RunError> {
        loop {
            self.connection().await?;
            let scan = scan::records(
                self.session.client().clone(),
                Arc::clone(&self.layout),
                self.records_max,
            );
            let scan = self.attend(scan).await;
            self.drain();
            match (scan, self.session.link()) {
                (Ok(scan), Link::Up) => {
                    let root = self.layout.root_key();
                    let reset = self.tree.commit(scan, root, Instant::now());
                    self.tell(reset).await;
                    return Ok(());
                }
                (Err(source), Link::Up) => {
                    return Err(request("read all below", self.layout.root(), source));
                }
                // What was read before and after a loss doesn't fit together.
                (_, Link::Lost | Link::Back | Link::Ended(_)) => self.tell_loss().await,
            }
        }
    }

    /// Waits until there is a connection and the watch is set on it.
    async fn connection(&mut self) -> Result<(), RunError> {
        loop {
            match self.session.link() {
                Link::Up => return Ok(()),
                Link::Ended(state) => return Err(RunError::Ended(state)),
                Link::Lost => {
                    let event = self.session.event().await;
                    self.note(event);
                }
                Link::Back => {
                    let losses = self.session.losses();
                    let armed = self.session.arm(self.layout.root()).await;
                    self.drain();
                    // A request may fail in many ways when its connection is lost.
                    let lost = self.session.losses() > losses || !self.session.is_open();
                    match armed {
                        Err(source) if !lost => {
                            return Err(request("watch", self.layout.root(), source));
                        }
                        Ok(()) | Err(_) => {}
                    }
                }
            }
        }
    }

    /// Reads what events have marked and tells what has changed, as long as the connection lasts.
    async fn follow(&mut self) -> Result<(), RunError> {
        let mut reads = FuturesUnordered::<BoxFuture<'static, Read>>::new();
        let mut comparison = None::<Comparison>;
        let mut last_comparison = Instant::now();
        let mut audit_at = last_comparison + jittered(self.audit_interval);
        while self.session.link() == Link::Up {
            self.start_reads(&reads);
            let due = match self.root_touched {
                true => audit_at.min(last_comparison + COMPARISON_INTERVAL_MIN),
                false => audit_at,
            };
            let removal_at = self.tree.next_deadline();
            select! {
                biased;
                event = self.session.event() => self.note(event),
                Some(read) = reads.next() => self.take(read).await?,
                () = sleep_until(removal_at.unwrap_or(due)), if removal_at.is_some() => {
                    for update in self.tree.expire(Instant::now()) {
                        self.tell(update).await;
                    }
                }
                () = sleep_until(due), if comparison.is_none() => {
                    comparison = Some(self.begin_comparison(due == audit_at));
                    last_comparison = Instant::now();
                    audit_at = last_comparison + jittered(self.audit_interval);
                }
                Some(scan) = OptionFuture::from(comparison.as_mut().map(|one| &mut one.scan)) => {
                    let is_audit = comparison.take().is_some_and(|one| one.is_audit);
                    self.compare(scan, is_audit).await?;
                }
            }
        }
        self.tree.abandon_reads();
        match self.session.link() {
            Link::Ended(state) => Err(RunError::Ended(state)),
            Link::Up | Link::Lost | Link::Back => Ok(()),
        }
    }

    fn start_reads(&mut self, reads: &FuturesUnordered<BoxFuture<'static, Read>>) {
        while reads.len() < READS_MAX {
            let Some(path) = self.tree.next_read() else {
                return;
            };
            let client = self.session.client().clone();
            reads.push(scan::read(client, Arc::clone(&self.layout), path).boxed());
        }
    }

    async fn take(&mut self, read: Read) -> Result<(), RunError> {
        match read {
            Ok((path, found)) => {
                if let Some(update) = self.tree.read(&path, found, Instant::now()) {
                    self.tell(update).await;
                }
                Ok(())
            }
            Err(source) => self.failed("read below", source),
        }
    }

    fn begin_comparison(&mut self, is_audit: bool) -> Comparison {
        self.root_touched = false;
        self.tree.begin_comparison();
        let client = self.session.client().clone();
        let scan = scan::versions(client, Arc::clone(&self.layout), self.records_max);
        Comparison {
            scan: scan.boxed(),
            is_audit,
        }
    }

    async fn compare(
        &mut self,
        scan: Result<Scan<Version>, zookeeper_client::Error>,
        is_audit: bool,
    ) -> Result<(), RunError> {
        // What changed during the scan has an event, which must be seen before it is judged.
        self.drain();
        let scan = match scan {
            Ok(scan) => scan,
            Err(source) => return self.failed("audit all below", source),
        };
        let drift = self.tree.compare(&scan);
        if drift > 0 {
            let (source, root) = (self.updates.source(), self.layout.root());
            tracing::warn!(%source, root, drift, "znodes had changed without an event");
        }
        if is_audit {
            let updates = self.updates;
            self.attend(updates.audited(drift)).await;
        }
        Ok(())
    }

    /// Forgives a failed request if the connection is lost: then everything is read again anyway.
    fn failed(
        &mut self,
        what: &'static str,
        source: zookeeper_client::Error,
    ) -> Result<(), RunError> {
        self.drain();
        match self.session.link() {
            Link::Up => Err(request(what, self.layout.root(), source)),
            Link::Lost | Link::Back | Link::Ended(_) => Ok(()),
        }
    }

    async fn tell(&mut self, update: Update) {
        let updates = self.updates;
        self.attend(updates.send(update)).await;
    }

    async fn tell_loss(&mut self) {
        let updates = self.updates;
        self.attend(updates.stale("the connection is lost")).await;
    }

    /// Waits for something while events are noted, so that they don't pile up in the client.
    async fn attend<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            select! {
                biased;
                event = self.session.event() => self.note(event),
                done = &mut work => return done,
            }
        }
    }

    /// Notes the events that are already here.
    fn drain(&mut self) {
        while let Some(event) = self.session.event_now() {
            self.note(event);
        }
    }

    fn note(&mut self, event: Option<String>) {
        let Some(path) = event else { return };
        if path == self.layout.root() {
            self.root_touched = true;
        } else if let Some(path) = self.layout.relative(&path) {
            self.tree.mark(path);
        }
    }
}

fn request(what: &'static str, path: &str, source: zookeeper_client::Error) -> RunError {
    RunError::Request {
        what,
        path: path.to_owned(),
        source,
    }
}

/// Spreads audits by a tenth, so that many processes don't ask at the same moment.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * fastrand::f64())
}
