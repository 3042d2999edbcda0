//! `signpost run`

use std::path::PathBuf;

use clap::Args;

use super::{Failure, block_on};
use crate::{
    Config, Server, activation, environment,
    inherited::Inherited,
    logs, notify,
    reload::Reloader,
    signals::{Signals, Upgrades},
    upgrade::{Predecessor, Successor},
};

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

/// Says why the process is to end.
enum End {
    /// A signal asks for it.
    Stopped(&'static str),
    /// Another process serves in its place.
    Replaced(u32),
}

impl Run {
    pub(super) fn run(self) -> Result<(), Failure> {
        let activated = activation::take();
        block_on(self.serve(activated))
    }

    async fn serve(self, activated: Inherited) -> Result<(), Failure> {
        // First of all: until then these signals end the process by themselves.
        let mut signals = Signals::take().map_err(Failure::failed)?;
        let upgrades = Upgrades::take().map_err(Failure::failed)?;
        let (predecessor, inherited) = match Predecessor::meet().await.map_err(Failure::failed)? {
            Some((predecessor, inherited)) => (Some(predecessor), inherited),
            None => (None, activated),
        };
        // It watches from here on, so that no change of the file is missed.
        let mut reloader = Reloader::new(self.config.clone(), environment());
        let config = reloader
            .load()
            .map_err(|errors| Failure::failed(errors.to_string()))?;
        self.start_log(&config)?;
        let start = Server::start_with(config, inherited, predecessor);
        let mut server = tokio::select! {
            started = start => started.map_err(|problem| Failure::failed(problem.to_string()))?,
            // Nothing was served yet.
            _ = signals.next() => return Ok(()),
        };
        let end = serve_to_the_end(&mut server, &mut reloader, &mut signals, upgrades).await;
        let drain = async {
            match end {
                End::Stopped(name) => {
                    tracing::info!(signal = name, "draining");
                    notify::stopping();
                    server.drain().await
                }
                End::Replaced(process) => {
                    tracing::info!(process, "the new process serves, draining");
                    notify::replaced_by(process);
                    server.hand_over().await
                }
            }
        };
        let clean = tokio::select! {
            clean = drain => clean,
            _ = signals.next() => false,
        };
        match clean {
            true => {
                tracing::info!("drained, the process ends");
                Ok(())
            }
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

/// Serves until a signal asks for the end, or for another process and that is ready.
async fn serve_to_the_end(
    server: &mut Server,
    reloader: &mut Reloader,
    signals: &mut Signals,
    mut upgrades: Upgrades,
) -> End {
    reloader.warn();
    loop {
        let asked = async {
            tokio::select! {
                name = signals.next() => Some(End::Stopped(name)),
                () = upgrades.next() => None,
            }
        };
        if let Some(end) = server.serve_with(reloader, asked).await {
            return end;
        }
        match upgrade(server, reloader, signals).await {
            Ok(end) => return end,
            Err(reason) => tracing::error!(reason, "no upgrade, this process goes on"),
        }
    }
}

/// Starts another process and serves until it does, or until a signal asks for the end.
async fn upgrade(
    server: &mut Server,
    reloader: &mut Reloader,
    signals: &mut Signals,
) -> Result<End, String> {
    let legacy = server.legacy().await?;
    let mut successor = Successor::start(server.controls().clone())?;
    let process = successor.id();
    tracing::info!(process, "started a new process (SIGUSR2)");
    let patience = server.upgrade_timeout();
    let settled = async {
        tokio::select! {
            ready = successor.ready(&legacy, patience) => ready.map(|()| End::Replaced(process)),
            name = signals.next() => Ok(End::Stopped(name)),
        }
    };
    server.serve_with(reloader, settled).await
}
