//! When an instance is ejected for what it does to requests.

use config::{Duration, Problem};
use serde::{Deserialize, Serialize};

use super::not_within;

/// Configures when instances are ejected, and for how long.
///
/// A request fails an instance when there is no connection, no valid response in time, or one with
/// a status of 500 and above. The numbers are those that Envoy ejects by, but for the share of the
/// instances: 10 % of a few are none.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ejection {
    /// Whether instances are ejected at all, true; to except one service from the defaults.
    pub enabled: bool,
    /// So many failures in a row eject an instance; 5, and 0 for any number.
    pub consecutive_failures: u32,
    /// The share of failures within the window, up to 1, that ejects an instance; 0.5.
    pub failure_ratio: f64,
    /// How many requests of an instance the window must have for ratio and latency to count; 50.
    pub min_requests: u32,
    /// How far back ratio and latency look; 10 s.
    pub window: Duration,
    /// So many times the median latency of the service's instances, at least 1, eject one; never
    /// when left out.
    pub latency: Option<f64>,
    /// How long an instance is away the first time; each further time adds as much, and each such
    /// time without an ejection takes as much away; 30 s.
    pub base_time: Duration,
    /// The longest that an instance is away at a time; 5 min.
    pub max_time: Duration,
    /// The share of the instances, 0 to 1, that may be away at a time, rounded down; 0.5.
    pub max_share: f64,
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            enabled: true,
            consecutive_failures: 5,
            failure_ratio: 0.5,
            min_requests: 50,
            window: Duration::from_secs(10),
            latency: None,
            base_time: Duration::from_secs(30),
            max_time: Duration::from_secs(300),
            max_share: 0.5,
        }
    }
}

impl Ejection {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.failure_ratio == 0.0 {
            let reason = "`0` would eject whoever is asked";
            problems.push(Problem::new("failure_ratio", reason));
        }
        problems.extend(not_within("failure_ratio", self.failure_ratio, 0.0, 1.0));
        problems.extend(not_within("max_share", self.max_share, 0.0, 1.0));
        if let Some(factor) = self.latency {
            problems.extend(not_within("latency", factor, 1.0, 1000.0));
        }
        if self.min_requests == 0 {
            problems.push(Problem::new("min_requests", "`0` requests say nothing"));
        }
        for (key, time) in [("window", self.window), ("base_time", self.base_time)] {
            if time.get().is_zero() {
                problems.push(Problem::new(key, "`0s` leaves no time"));
            }
        }
        if self.max_time < self.base_time {
            let (most, base) = (self.max_time, self.base_time);
            let reason = format!("`{most}` is shorter than base_time, `{base}`");
            problems.push(Problem::new("max_time", reason));
        }
        problems
    }
}
