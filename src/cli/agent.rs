//! What the verbs that run beside an instance have in common.

use std::path::PathBuf;

use clap::Args;
use registry::sources::zookeeper::{Auth, AuthScheme};

use super::Failure;
use crate::logs;

/// How an agent logs in, and what it logs.
#[derive(Debug, Args)]
pub(super) struct Agent {
    /// The user for ZooKeeper's digest authentication
    #[arg(long, value_name = "USER", requires = "password_file")]
    user: Option<String>,
    /// A file with the password for ZooKeeper's digest authentication
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// What is logged
    #[arg(
        long,
        value_name = "LEVEL",
        env = "SIGNPOST_LOG",
        default_value = "info"
    )]
    log_level: String,
}

impl Agent {
    pub(super) fn start_log(&self) -> Result<(), Failure> {
        let log = logs::Config {
            level: self.log_level.clone(),
            ..logs::Config::default()
        };
        logs::start(&log).map_err(|reason| Failure::usage(format!("--log-level: {reason}")))
    }

    /// Returns who to log in as, if somebody.
    pub(super) fn auth(&self) -> Option<Auth> {
        Some(Auth {
            scheme: AuthScheme::Digest,
            user: self.user.clone()?,
            password_file: self.password_file.clone()?,
        })
    }
}
