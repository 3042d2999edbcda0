//! How the admin API is configured.

use std::{net::SocketAddr, path::PathBuf};

use ::config::{Duration, Problem, Secret};
use serde::Deserialize;

/// Configures the admin API: the table `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The address it listens on.
    pub listen: SocketAddr,
    /// A file with the token that clients must send to change anything (`Authorization: Bearer`).
    pub token_file: Option<PathBuf>,
    /// How many connections it takes at a time.
    pub connections_max: usize,
    /// How long a client has to send a request, and how long an idle connection is kept.
    pub idle_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            token_file: None,
            connections_max: 256,
            idle_timeout: Duration::from_secs(60),
        }
    }
}

impl Config {
    /// Lists what is wrong beyond what the types can tell; keys are relative to `[admin]`.
    pub fn problems(&self) -> Vec<Problem> {
        let token = self.token().err();
        token
            .map(|reason| Problem::new("token_file", reason))
            .into_iter()
            .collect()
    }

    /// Loads the token, if there is to be one.
    ///
    /// # Errors
    ///
    /// Returns the reason in words when the file can't be read.
    pub fn token(&self) -> Result<Option<Secret>, String> {
        self.token_file.as_deref().map(Secret::load).transpose()
    }
}
