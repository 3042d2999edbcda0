//! When the configuration is read again: the file has changed, SIGHUP, or somebody asked.

use std::{path::PathBuf, time::Duration};

use ::config::{Environment, Errors, Watcher};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use crate::{Config, Server, config::document, notify};

/// How long the file must be left alone before it is read.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Asks for a reload; the answer says what was wrong, in lines.
#[derive(Debug)]
pub(crate) struct ReloadRequest {
    pub(crate) answer: oneshot::Sender<Result<(), String>>,
}

/// Knows where the configuration comes from and when it is to be read again.
///
/// It watches from the moment it is made: whoever makes it first and loads then misses no change.
#[derive(Debug)]
pub(crate) struct Reloader {
    path: Option<PathBuf>,
    environment: Environment,
    watcher: Option<Watcher>,
    hangups: Option<Signal>,
}

impl Reloader {
    /// Starts to watch `path`, if there is one.
    pub(crate) fn new(path: Option<PathBuf>, environment: Environment) -> Self {
        let watcher = path.as_deref().map(|path| Watcher::file(path, DEBOUNCE));
        Self {
            watcher: watcher.and_then(Result::ok),
            hangups: signal(SignalKind::hangup()).ok(),
            path,
            environment,
        }
    }

    /// Reads the configuration without using it.
    ///
    /// # Errors
    ///
    /// Returns everything that is wrong with it.
    pub(crate) fn load(&self) -> Result<Config, Errors> {
        Config::load(self.path.as_deref(), &self.environment)
    }

    /// Warns of what isn't as it should be; to be called once there is a log.
    pub(crate) fn warn(&self) {
        for variable in self.environment.ignored() {
            tracing::warn!(variable, "overrides no key of the configuration");
        }
        if let (Some(path), None) = (&self.path, &self.watcher) {
            tracing::warn!(
                file = %path.display(),
                "can't be watched; use SIGHUP or `signpost reload` when it changes"
            );
        }
        if self.hangups.is_none() {
            tracing::warn!("can't take SIGHUP");
        }
    }

    /// Waits until the file has changed or SIGHUP has come.
    pub(crate) async fn changed(&mut self) {
        let changed = async {
            match &mut self.watcher {
                Some(watcher) => watcher.changed().await,
                None => std::future::pending().await,
            }
        };
        let hangup = async {
            match &mut self.hangups {
                Some(hangups) => hangups.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => {}
            _ = hangup => {}
        }
    }

    /// Reads the configuration and puts it into use; whatever is wrong with it, nothing changes.
    pub(crate) async fn reload(&self, server: &mut Server, request: Option<ReloadRequest>) {
        notify::reloading();
        let result = self.read_and_apply(server).await;
        notify::ready();
        match &result {
            Ok(()) => tracing::info!("configuration reloaded"),
            Err(errors) => {
                for error in &errors.0 {
                    tracing::error!(%error, "configuration not reloaded, the old one stays");
                }
            }
        }
        server.count_reload(result.is_ok());
        if let Some(request) = request {
            // Who asked may be gone.
            let result = result.map_err(|errors| errors.to_string());
            request.answer.send(result).ok();
        }
    }

    async fn read_and_apply(&self, server: &mut Server) -> Result<(), Errors> {
        let document = document(self.path.as_deref(), &self.environment)?;
        let config = Config::from_document(&document)?;
        let applied = server.reconfigure(config).await;
        applied.map_err(|problem| document.locate(&problem).into())
    }
}
