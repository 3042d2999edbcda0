//! What people are shown of health.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use registry::{InstanceId, Timestamp};
use serde::Serialize;
use tokio::time::Instant;

use super::state::{Condition, InstanceState, ServiceState, Why};

/// Shows what is seen of a service's instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceHealth {
    /// Whether so many are unhealthy that this is not believed, and all are used.
    pub fail_open: bool,
    /// The instances, those too that clients aren't sent to for other reasons.
    pub instances: BTreeMap<InstanceId, InstanceHealth>,
}

/// Shows what is seen of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceHealth {
    /// How it is.
    pub verdict: Verdict,
    /// Since when it is so.
    pub since: Timestamp,
    /// Why it is not healthy, or what the last check found that didn't decide anything yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when it is ejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ejected_until: Option<Timestamp>,
    /// How many times it was ejected, less what it has made up for.
    #[serde(skip_serializing_if = "is_zero")]
    pub ejections: u32,
    /// The percentage of its weight that it gets.
    pub share: u8,
}

/// Says how an instance is by what was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Not enough has been seen; it is used.
    Unknown,
    /// Its checks pass.
    Healthy,
    /// Its checks fail.
    CheckFailed,
    /// It was ejected.
    Ejected,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl ServiceHealth {
    /// Shows a service at this moment.
    pub(super) fn of(state: &ServiceState, now: Instant) -> Self {
        let instances = state.instances().iter();
        Self {
            fail_open: state.fail_open(),
            instances: instances
                .map(|(id, state)| (id.clone(), InstanceHealth::of(state, now)))
                .collect(),
        }
    }
}

impl InstanceHealth {
    fn of(state: &InstanceState, now: Instant) -> Self {
        let condition = state.condition();
        let ejection = state.ejection();
        let reason = match (condition, ejection) {
            (Condition::Ejected, Some((_, why))) => Some(words(why).to_owned()),
            _ => state
                .trouble()
                .map(|trouble| format!("the last check: {trouble}")),
        };
        Self {
            verdict: match condition {
                Condition::Unknown => Verdict::Unknown,
                Condition::Healthy => Verdict::Healthy,
                Condition::CheckFailed => Verdict::CheckFailed,
                Condition::Ejected => Verdict::Ejected,
            },
            since: timestamp(state.since(), now),
            reason,
            ejected_until: ejection.map(|(until, _)| timestamp(until, now)),
            ejections: state.ejections(),
            share: state.share(),
        }
    }
}

fn words(why: Why) -> &'static str {
    match why {
        Why::ConsecutiveFailures => "it failed one request after the other",
        Why::FailureRatio => "it failed too many of its requests",
        Why::Latency => "it takes much longer than the others",
    }
}

/// Says by the wall clock when a moment was, or will be.
fn timestamp(at: Instant, now: Instant) -> Timestamp {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH);
    let ago = now.saturating_duration_since(at);
    let ahead = at.saturating_duration_since(now);
    let since_epoch: Duration = wall.unwrap_or_default() + ahead;
    let millis = since_epoch.saturating_sub(ago).as_millis();
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
