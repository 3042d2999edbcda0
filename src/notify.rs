//! What systemd is told of the process (`sd_notify(3)`), where it has started it and wants to know.

use sd_notify::NotifyState;

/// Says that the process serves, also once a reload is over.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Says that the configuration is being read again.
pub(crate) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// Says that the process is about to end.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says that another process goes on, whose end is the service's from now on.
pub(crate) fn replaced_by(process: u32) {
    tell(&[NotifyState::MainPid(process), NotifyState::Ready]);
}

/// Without systemd, nothing is told; and one that doesn't listen is its own trouble.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "can't notify systemd");
    }
}
