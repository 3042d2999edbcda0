//! The agent that keeps one instance registered while it works.
//!
//! A [`Check`] says whether the instance works, [`Health`] whether that has been so for long enough, and
//! the [`Target`] is made to agree with it again and again: what was lost meanwhile (a session that
//! expired, a server that forgot) is made good then.

mod admin;
mod check;
mod claim;
mod health;
mod target;
mod trouble;
mod zookeeper;

pub(crate) use check::Check;
pub(crate) use health::Schedule;
pub(crate) use target::Target;

use std::time::Duration;

use health::Health;
use registry::{InstanceId, Registration, ServiceName};
use tokio::time::{MissedTickBehavior, sleep, timeout};
use trouble::Trouble;

use crate::signals::Signals;

/// How often the target is made to agree, at least.
const AGREE_EVERY: Duration = Duration::from_secs(2);

/// How long taking the instance out at the end may take: the store may be away.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(5);

/// How long is waited before that is tried again.
const REMOVAL_PAUSE: Duration = Duration::from_millis(200);

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

/// Says why the agent ends badly.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The first thing the target has said is that it doesn't want the instance.
    #[error("{0}")]
    Refused(String),
    /// The instance could not be taken out; it goes when its session or lease ends.
    #[error("could not take the instance out: {0}")]
    LeftIn(String),
}

impl Registrar {
    /// Runs until a signal comes, and takes the instance out then; a second signal ends that.
    ///
    /// # Errors
    ///
    /// Returns an error when the target refuses from the start, or still has the instance at the end.
    pub(crate) async fn run(self, mut target: Target, mut signals: Signals) -> Result<(), End> {
        tokio::select! {
            refused = self.keep_registered(&mut target) => return Err(refused),
            signal = signals.next() => {
                let (service, id) = (&self.service, &self.id);
                tracing::info!(%service, %id, signal, "taking the instance out");
            }
        }
        if !target.may_hold() {
            return Ok(());
        }
        tokio::select! {
            done = self.take_out(&mut target) => done.map_err(End::LeftIn),
            signal = signals.next() => Err(End::LeftIn(format!("{signal} came meanwhile"))),
        }
    }

    /// Removes the instance; what may pass is tried again for as long as there is time.
    async fn take_out(&self, target: &mut Target) -> Result<(), String> {
        let mut last = "no answer".to_owned();
        let removed = timeout(REMOVAL_PATIENCE, async {
            loop {
                match target.remove(&self.service, &self.id).await {
                    Err(Trouble::Passing(reason)) => last = reason,
                    done => return done,
                }
                sleep(REMOVAL_PAUSE).await;
            }
        });
        match removed.await {
            Ok(done) => done.map_err(|refused| refused.to_string()),
            Err(_) => Err(format!("tried for {REMOVAL_PATIENCE:?}: {last}")),
        }
    }

    /// Checks at each turn of the schedule and makes the target agree, which it is made in between, too:
    /// a lease is renewed in time however seldom is checked.
    ///
    /// Returns only when the target refuses from the start.
    async fn keep_registered(&self, target: &mut Target) -> End {
        let mut health = Health::new(self.schedule);
        let ticks = |every| {
            let mut ticks = tokio::time::interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (mut checks, mut agreements) = (ticks(self.schedule.every), ticks(AGREE_EVERY));
        let mut accepted = false;
        loop {
            tokio::select! {
                _ = checks.tick() => self.check(&mut health).await,
                _ = agreements.tick() => {}
            }
            agreements.reset();
            let (service, id) = (&self.service, &self.id);
            let done = match health.works() {
                Some(true) => target.keep(service, id, &self.registration).await,
                Some(false) => target.remove(service, id).await,
                None => continue,
            };
            match done {
                Ok(()) => accepted = true,
                Err(refused @ Trouble::Refused(_)) if !accepted => {
                    return End::Refused(refused.to_string());
                }
                Err(trouble @ Trouble::Refused(_)) => {
                    tracing::error!(%service, %id, error = %trouble, "trying again");
                }
                Err(trouble @ Trouble::Passing(_)) => {
                    tracing::warn!(%service, %id, error = %trouble, "trying again");
                }
            }
        }
    }

    async fn check(&self, health: &mut Health) {
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

#[cfg(test)]
mod tests;
