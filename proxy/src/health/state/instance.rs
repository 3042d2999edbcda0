//! What is known of one instance.

use std::net::SocketAddr;

use registry::{Addresses, Exclusion, Health, Instance, Observation, Protocol, Reason, State};
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
    /// Whether it has come after all that was there at the start.
    pub(super) is_late: bool,
    /// Whether it drains and gets no requests any more.
    pub(super) is_out: bool,
}

/// Says where an instance is and whether it is used there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    addresses: Addresses,
    port: Option<u16>,
    standing: Standing,
}

/// Says whether clients are sent to an instance if it is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Used,
    /// Those may be that know it.
    Draining,
    Unused,
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
            addresses: instance.addresses.clone(),
            port: port.map(|port| port.number),
            standing: match instance.exclusion() {
                None | Some(Exclusion::Unhealthy(_)) => Standing::Used,
                Some(Exclusion::State(State::Draining)) => Standing::Draining,
                Some(_) => Standing::Unused,
            },
        }
    }

    /// Tells whether new clients are sent there if it is well.
    pub(super) fn is_eligible(&self) -> bool {
        self.standing == Standing::Used
    }

    /// Tells whether there may be requests by which it can be known how it is.
    pub(super) fn is_watched(&self) -> bool {
        self.standing != Standing::Unused
    }

    pub(super) fn is_draining(&self) -> bool {
        self.standing == Standing::Draining
    }

    /// Tells whether there is no address as yet.
    pub(super) fn is_nowhere(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Tells whether what is known of an instance here goes on to be true of it there.
    pub(super) fn goes_on_at(&self, other: &Self) -> bool {
        let place = |one: &Self| (one.addresses.first().copied(), one.port);
        place(self) == place(other) && self.is_watched() == other.is_watched()
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
            is_late: false,
            is_out: false,
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

    /// Returns where it is asked whether it is well, in the order in which requests try the addresses too.
    pub(super) fn targets(&self, check: &Check) -> Vec<SocketAddr> {
        let port = check.port.or(self.place.port);
        let port = port.filter(|_| self.place.is_watched());
        let addresses = self.place.addresses.iter();
        port.map(|port| {
            addresses
                .map(|address| SocketAddr::new(*address, port))
                .collect()
        })
        .unwrap_or_default()
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
        if !self.place.is_watched() || (fail_open && is_bad) {
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
