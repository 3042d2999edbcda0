//! What is known of one instance.

use std::net::{IpAddr, SocketAddr};

use registry::{Exclusion, Health, Instance, Observation, Protocol, Reason};
use tokio::time::Instant;

use super::{Why, checked::Checked, ejected::Ejected, slow_start, window::Window};
use crate::config::{Check, ServicePolicy};

/// Holds what is known of one instance that is watched.
#[derive(Debug)]
pub(in crate::health) struct InstanceState {
    pub(super) place: Place,
    pub(super) checked: Checked,
    /// What went wrong with the last check.
    pub(super) trouble: Option<String>,
    pub(super) ejected: Ejected,
    pub(super) window: Window,
    pub(super) slow_since: Option<Instant>,
    /// What the registry was told last, or says.
    pub(super) reported: Observation,
    pub(super) condition: Condition,
    /// When the condition has changed last.
    pub(super) since: Instant,
    /// Which of its checks are meant, if it is checked; results of others are old.
    pub(super) turn: Option<u64>,
}

/// Says where an instance is and whether clients would be sent there if it is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    address: Option<IpAddr>,
    port: Option<u16>,
    pub(super) is_eligible: bool,
}

/// Says how an instance is by what was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::health) enum Condition {
    /// Not enough has been seen.
    #[default]
    Unknown,
    Healthy,
    CheckFailed,
    Ejected,
}

impl Place {
    pub(super) fn of(instance: &Instance) -> Self {
        let port = instance.main_port(Protocol::Tcp);
        Self {
            address: instance.addresses.first().copied(),
            port: port.map(|port| port.number),
            is_eligible: matches!(instance.exclusion(), None | Some(Exclusion::Unhealthy(_))),
        }
    }
}

impl Condition {
    /// Tells whether clients should be kept away.
    pub(in crate::health) fn is_bad(self) -> bool {
        matches!(self, Self::CheckFailed | Self::Ejected)
    }

    fn health(self) -> Health {
        match self {
            Self::Unknown => Health::Unknown,
            Self::Healthy => Health::Healthy,
            Self::CheckFailed => Health::Unhealthy(Reason::CheckFailed),
            Self::Ejected => Health::Unhealthy(Reason::Ejected),
        }
    }
}

impl InstanceState {
    /// Knows nothing of an instance yet.
    pub(super) fn new(instance: &Instance, now: Instant) -> Self {
        Self {
            place: Place::of(instance),
            checked: Checked::default(),
            trouble: None,
            ejected: Ejected::default(),
            window: Window::default(),
            slow_since: None,
            reported: instance.observation,
            condition: Condition::Unknown,
            since: now,
            turn: None,
        }
    }

    pub(in crate::health) fn condition(&self) -> Condition {
        self.condition
    }

    /// Returns since when it is in its condition.
    pub(in crate::health) fn since(&self) -> Instant {
        self.since
    }

    /// Returns what went wrong with the last check.
    pub(in crate::health) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Returns until when it is ejected, and why.
    pub(in crate::health) fn ejection(&self) -> Option<(Instant, Why)> {
        self.ejected.is()
    }

    /// Returns how many times it was ejected and hasn't made up for.
    pub(in crate::health) fn ejections(&self) -> u32 {
        self.ejected.times()
    }

    /// Returns the percentage of its weight that it gets, as the registry was told.
    pub(in crate::health) fn share(&self) -> u8 {
        self.reported.share()
    }

    /// Returns where it is asked whether it is well.
    pub(super) fn target(&self, check: &Check) -> Option<SocketAddr> {
        let port = check.port.or(self.place.port)?;
        let address = self.place.address.filter(|_| self.place.is_eligible)?;
        Some(SocketAddr::new(address, port))
    }

    /// Says how it is now.
    pub(super) fn current(&self) -> Condition {
        match (self.ejected.is(), self.checked.passes()) {
            // A check says more than what requests have come to.
            (_, Some(false)) => Condition::CheckFailed,
            (Some(_), _) => Condition::Ejected,
            (None, Some(true)) => Condition::Healthy,
            (None, None) => Condition::Unknown,
        }
    }

    /// Returns what the registry should know; `fail_open` when health is not believed.
    pub(super) fn observation(
        &self,
        fail_open: bool,
        policy: &ServicePolicy,
        now: Instant,
    ) -> Observation {
        let (whole, is_bad) = (Observation::SHARE_WHOLE, self.condition.is_bad());
        if !self.place.is_eligible || (fail_open && is_bad) {
            return Observation::default();
        }
        let share = match self.slow_since {
            Some(since) if !is_bad && !fail_open => {
                let elapsed = now.saturating_duration_since(since);
                slow_start::share(elapsed, policy.slow_start)
            }
            _ => whole,
        };
        let observation = Observation::new(self.condition.health(), share);
        let is_told = match is_bad {
            true => policy.dns.health,
            false => share == whole || policy.dns.slow_start,
        };
        match is_told {
            true => observation,
            false => observation.untold(),
        }
    }
}
