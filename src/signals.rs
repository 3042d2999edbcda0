//! The signals that ask a process to end, or to make way for a new one.

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

/// Takes SIGUSR2, which asks for a new process in place of this one.
#[derive(Debug)]
pub(crate) struct Upgrades(Signal);

impl Upgrades {
    /// Takes the signal from now on; it doesn't end the process by itself any more.
    ///
    /// # Errors
    ///
    /// Returns in words why it can't be taken.
    pub(crate) fn take() -> Result<Self, String> {
        let taken = signal(SignalKind::user_defined2());
        taken
            .map(Self)
            .map_err(|error| format!("can't take signals: {error}"))
    }

    /// Waits for the next one; dropped while it waits, it has taken none.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}
