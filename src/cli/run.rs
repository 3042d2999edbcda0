//! `signpost run`

use std::path::PathBuf;

use ::config::Environment;
use clap::Args;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::{Failure, complain, runtime};
use crate::{Config, Server, logs, reload::Reloader};

/// How many requests to reload wait for their turn at the most.
const RELOADS_MAX: usize = 16;

/// Run the server
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The configuration; without one the defaults hold
    #[arg(short, long, value_name = "FILE", env = "SIGNPOST_CONFIG")]
    config: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, trace, or a list such as info,registry=debug
    #[arg(long, value_name = "LEVEL", env = "SIGNPOST_LOG")]
    log_level: Option<String>,
    /// How a log line looks
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<logs::Format>,
}

impl Run {
    pub(super) fn run(self) -> Result<(), Failure> {
        let environment = Environment::current();
        let config = Config::load(self.config.as_deref(), &environment)
            .map_err(|errors| Failure::failed(errors.to_string()))?;
        let mut log = config.log.clone();
        if let Some(level) = &self.log_level {
            log.level.clone_from(level);
        }
        if let Some(format) = self.log_format {
            log.format = format;
        }
        logs::start(&log).map_err(|reason| Failure::usage(format!("--log-level: {reason}")))?;
        runtime()?.block_on(self.serve(config, environment))
    }

    async fn serve(self, config: Config, environment: Environment) -> Result<(), Failure> {
        let (reloads, requests) = mpsc::channel(RELOADS_MAX);
        let mut reloader = Reloader::new(self.config, environment, requests);
        let mut server = Server::start(config, reloads)
            .await
            .map_err(Failure::failed)?;
        let failed = |error: std::io::Error| Failure::failed(format!("can't take signals: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let name = loop {
            tokio::select! {
                _ = terminate.recv() => break "SIGTERM",
                _ = interrupt.recv() => break "SIGINT",
                request = reloader.next() => reloader.reload(&mut server, request).await,
            }
        };
        tracing::info!(signal = name, "draining");
        let clean = tokio::select! {
            clean = server.drain() => clean,
            _ = terminate.recv() => false,
            _ = interrupt.recv() => false,
        };
        match clean {
            true => Ok(()),
            false => {
                complain("stopped with requests under way");
                Err(Failure {
                    text: "unclean stop".to_owned(),
                    code: 3,
                })
            }
        }
    }
}
