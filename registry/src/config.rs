//! How the registry is configured.

use std::path::PathBuf;

use ::config::{Duration, Problem};
use serde::Deserialize;

use crate::Limits;

/// Configures the registry, whatever the sources: the table `[registry]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the version is kept, so that it doesn't go back at a restart.
    pub state_dir: PathBuf,
    /// How long a name that a source could own is not denied while the source hasn't synced.
    pub start_deadline: Duration,
    /// How often host names in records are looked up again.
    pub resolve_interval: Duration,
    /// The wait after the first failure of a source; it doubles with each further one.
    pub backoff_min: Duration,
    /// The longest wait between two tries of a source.
    pub backoff_max: Duration,
    /// What is taken at the most: the table `[registry.limits]`.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state_dir: "signpost-data".into(),
            start_deadline: Duration::from_secs(60),
            resolve_interval: Duration::from_secs(30),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(15),
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// Lists what is wrong beyond what the types can tell; keys are relative to `[registry]`.
    pub fn problems(&self) -> Vec<Problem> {
        let second = Duration::from_secs(1);
        let mut problems = Vec::new();
        if self.resolve_interval < second {
            let reason = format!("{} is less than {second}", self.resolve_interval);
            problems.push(Problem::new("resolve_interval", reason));
        }
        if self.backoff_min == Duration::default() || self.backoff_max < self.backoff_min {
            let reason = format!(
                "{} is not between 0 and backoff_max, {}",
                self.backoff_min, self.backoff_max
            );
            problems.push(Problem::new("backoff_min", reason));
        }
        problems
    }
}
