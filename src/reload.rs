//! When the configuration is read again: the file has changed, SIGHUP, or somebody asked.

use std::{path::PathBuf, time::Duration};

use config::{Environment, Watcher};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
};

use crate::{Config, Server};

/// How long the file must be left alone before it is read.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Asks for a reload; the answer says what was wrong, in lines.
#[derive(Debug)]
pub(crate) struct ReloadRequest {
    pub(crate) answer: oneshot::Sender<Result<(), String>>,
}

/// Reads the configuration again whenever there is a reason to.
#[derive(Debug)]
pub(crate) struct Reloader {
    path: Option<PathBuf>,
    environment: Environment,
    watcher: Option<Watcher>,
    hangups: Option<Signal>,
    requests: mpsc::Receiver<ReloadRequest>,
}

impl Reloader {
    /// Starts to watch `path`, if there is one.
    pub(crate) fn new(
        path: Option<PathBuf>,
        environment: Environment,
        requests: mpsc::Receiver<ReloadRequest>,
    ) -> Self {
        let watcher = path.as_deref().and_then(|path| {
            Watcher::file(path, DEBOUNCE)
                .inspect_err(|error| tracing::warn!(%error, "use SIGHUP or `signpost reload`"))
                .ok()
        });
        let hangups = signal(SignalKind::hangup())
            .inspect_err(|error| tracing::warn!(%error, "can't take SIGHUP"))
            .ok();
        Self {
            path,
            environment,
            watcher,
            hangups,
            requests,
        }
    }

    /// Waits for a reason to reload; the answer is for the one who asked, if somebody did.
    pub(crate) async fn next(&mut self) -> Option<ReloadRequest> {
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
            () = changed => None,
            _ = hangup => None,
            request = self.requests.recv() => request,
        }
    }

    /// Reads the configuration and puts it into use; whatever is wrong with it, nothing changes.
    pub(crate) async fn reload(&self, server: &mut Server, request: Option<ReloadRequest>) {
        let file = self.path.as_deref();
        let result = match Config::load(file, &self.environment) {
            Ok(config) => server.reconfigure(config).await,
            Err(errors) => Err(errors.to_string()),
        };
        server.count_reload(result.is_ok());
        if let Err(errors) = &result {
            for error in errors.lines() {
                tracing::error!(%error, "configuration not reloaded, the old one stays");
            }
        }
        if let Some(request) = request {
            // Who asked may be gone.
            request.answer.send(result).ok();
        }
    }
}
