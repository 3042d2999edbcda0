//! The agent that keeps one instance registered while it works.
//!
//! A [`Check`] says whether the instance works, [`Health`] whether that has been so for long enough, and
//! the [`Target`] is made to agree with it at every turn: what was lost meanwhile (a session that
//! expired, a server that forgot) is made good then.

mod admin;
mod check;
mod health;
mod target;
mod zookeeper;

pub(crate) use check::Check;
pub(crate) use health::Schedule;
pub(crate) use target::Target;

use health::Health;
use registry::{InstanceId, Registration, ServiceName};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::MissedTickBehavior,
};

/// Keeps one instance registered.
#[derive(Debug)]
pub(crate) struct Registrar {
    pub(crate) service: ServiceName,
    pub(crate) id: InstanceId,
    pub(crate) registration: Registration,
    /// Without one the instance counts as working for as long as this process runs.
    pub(crate) check: Option<Check>,
    pub(crate) schedule: Schedule,
}

impl Registrar {
    /// Runs until SIGTERM or SIGINT, and takes the instance out then.
    ///
    /// # Errors
    ///
    /// Returns in words why signals can't be taken or why the instance could not be taken out.
    pub(crate) async fn run(self, mut target: Target) -> Result<(), String> {
        let signals = |kind| signal(kind).map_err(|error| format!("can't take signals: {error}"));
        let mut terminate = signals(SignalKind::terminate())?;
        let mut interrupt = signals(SignalKind::interrupt())?;
        let mut health = Health::new(self.schedule);
        let mut ticks = tokio::time::interval(self.schedule.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
            tokio::select! {
                () = self.turn(&mut health, &mut target) => {}
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        tracing::info!(service = %self.service, id = %self.id, "taking the instance out");
        target.remove(&self.service, &self.id).await
    }

    /// Checks once, and makes the target agree.
    async fn turn(&self, health: &mut Health, target: &mut Target) {
        let result = match &self.check {
            Some(check) => check.run(self.schedule.timeout).await,
            None => Ok(()),
        };
        let (service, id) = (&self.service, &self.id);
        if let Some(works) = health.take(result.is_ok()) {
            match (works, result) {
                (true, _) => tracing::info!(%service, %id, "the check passes"),
                (false, Err(reason)) => tracing::warn!(%service, %id, %reason, "the check fails"),
                (false, Ok(())) => {}
            }
        }
        let done = match health.works() {
            Some(true) => target.keep(service, id, &self.registration).await,
            Some(false) => target.remove(service, id).await,
            None => Ok(()),
        };
        if let Err(error) = done {
            tracing::warn!(%service, %id, %error, "can't reach the target, trying again");
        }
    }
}

/// Returns the name of this machine.
pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}
