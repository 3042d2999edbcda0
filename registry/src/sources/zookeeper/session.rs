//! The session: its watch on everything below the root, and how it is.

use futures_util::FutureExt as _;
use zookeeper_client::{AddWatchMode, Client, EventType, PersistentWatcher, SessionState};

/// Holds the client and the one recursive watch.
///
/// The client sets no persistent watch again when it reconnects, and the servers replay no event
/// for one. So after every reconnect the watch is set anew ([`Session::arm`]) and everything read
/// again; nothing depends on whether the servers have really kept the session.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    watcher: PersistentWatcher,
    link: Link,
    losses: u64,
}

/// Says how a session is, as far as its events have been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Connected, and the watch is set.
    Up,
    /// Without a connection.
    Lost,
    /// Connected again, but no watch is set.
    Back,
    /// Over.
    Ended(SessionState),
}

impl Session {
    /// Sets the first watch; the root need not exist.
    pub(super) async fn start(client: Client, root: &str) -> Result<Self, zookeeper_client::Error> {
        let watcher = client
            .watch(root, AddWatchMode::PersistentRecursive)
            .await?;
        Ok(Self {
            client,
            watcher,
            link: Link::Up,
            losses: 0,
        })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn link(&self) -> Link {
        self.link
    }

    /// Returns how often the connection has been lost.
    pub(super) fn losses(&self) -> u64 {
        self.losses
    }

    /// Tells whether there may be further events.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.link, Link::Ended(_))
    }

    /// Sets the watch again after a reconnect.
    ///
    /// The old watcher is dropped only after the new one is there, or the client would take the
    /// watch from the server as well. When this fails, the old one tells of the state.
    pub(super) async fn arm(&mut self, root: &str) -> Result<(), zookeeper_client::Error> {
        let mode = AddWatchMode::PersistentRecursive;
        self.watcher = self.client.watch(root, mode).await?;
        self.link = Link::Up;
        Ok(())
    }

    /// Waits for the next event; returns the path when it is about a znode.
    ///
    /// Waits for ever once the session has ended.
    pub(super) async fn event(&mut self) -> Option<String> {
        // The watcher panics when it is asked again after a final state.
        if !self.is_open() {
            return std::future::pending().await;
        }
        let event = self.watcher.changed().await;
        if event.event_type != EventType::Session {
            return Some(event.path);
        }
        self.link = match event.session_state {
            SessionState::Disconnected => {
                self.losses += 1;
                Link::Lost
            }
            SessionState::SyncConnected | SessionState::ConnectedReadOnly => Link::Back,
            state => Link::Ended(state),
        };
        None
    }

    /// Returns the next event if there is one already.
    pub(super) fn event_now(&mut self) -> Option<Option<String>> {
        self.event().now_or_never()
    }
}
