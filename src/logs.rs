//! Where log lines go and what they look like.

use std::io::IsTerminal;

use ::config::Problem;
use serde::Deserialize;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// What it says below is of use only when looking for a fault in it.
const QUIET: &str = "zookeeper_client=error";

/// Configures the log: the table `[log]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a list such as `info,registry=debug`.
    pub level: String,
    /// How a line looks.
    pub format: Format,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: Format::Text,
        }
    }
}

/// Names what a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Lists what is wrong beyond what the types can tell; keys are relative to `[log]`.
    pub fn problems(&self) -> Vec<Problem> {
        let reason = self.filter().err();
        reason
            .map(|reason| Problem::new("level", reason))
            .into_iter()
            .collect()
    }

    fn filter(&self) -> Result<EnvFilter, String> {
        let text = format!("{QUIET},{}", self.level);
        EnvFilter::try_new(text).map_err(|error| format!("`{}`: {error}", self.level))
    }
}

/// Starts logging to standard error; later calls change nothing.
///
/// # Errors
///
/// Returns the reason in words when the level is none.
pub(crate) fn start(config: &Config) -> Result<(), String> {
    let registry = tracing_subscriber::registry().with(config.filter()?);
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // It fails only when there is a subscriber already, as in tests, and that one is as good.
    match config.format {
        Format::Text => registry.with(lines.with_target(false)).try_init().ok(),
        Format::Json => registry
            .with(lines.json().flatten_event(true))
            .try_init()
            .ok(),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_none_is_a_problem() {
        let level = |level: &str| Config {
            level: level.to_owned(),
            ..Config::default()
        };
        assert_eq!(level("info,registry=debug").problems(), []);
        let problems = level("registry=loud").problems();
        assert!(
            problems[0]
                .to_string()
                .starts_with("level: `registry=loud`")
        );
    }
}
