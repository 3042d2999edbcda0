//! The signals that ask a process to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Takes SIGTERM and SIGINT, one after the other.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes these signals from now on; they don't end the process by themselves any more.
    ///
    /// # Errors
    ///
    /// Returns in words why they can't be taken.
    pub(crate) fn take() -> Result<Self, String> {
        let take = |kind| signal(kind).map_err(|error| format!("can't take signals: {error}"));
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one and returns its name; dropped while it waits, it has taken none.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
