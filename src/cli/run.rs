//! `signpost run`

use std::path::PathBuf;

use clap::Args;

use super::{Failure, block_on};
use crate::{Config, Server, environment, logs, reload::Reloader, signals::Signals};

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
        block_on(self.serve())
    }

    async fn serve(self) -> Result<(), Failure> {
        // It watches from here on, so that no change of the file is missed.
        let reloader = Reloader::new(self.config.clone(), environment());
        let config = reloader
            .load()
            .map_err(|errors| Failure::failed(errors.to_string()))?;
        self.start_log(&config)?;
        let mut server = Server::start(config)
            .await
            .map_err(|problem| Failure::failed(problem.to_string()))?;
        let mut signals = Signals::take().map_err(Failure::failed)?;
        let name = server.serve_with(reloader, signals.next()).await;
        tracing::info!(signal = name, "draining");
        let clean = tokio::select! {
            clean = server.drain() => clean,
            _ = signals.next() => false,
        };
        match clean {
            true => Ok(()),
            false => Err(Failure::unclean("stopped with requests under way")),
        }
    }

    fn start_log(&self, config: &Config) -> Result<(), Failure> {
        let mut log = config.log.clone();
        if let Some(level) = &self.log_level {
            log.level.clone_from(level);
        }
        if let Some(format) = self.log_format {
            log.format = format;
        }
        logs::start(&log).map_err(|reason| Failure::usage(format!("--log-level: {reason}")))
    }
}
