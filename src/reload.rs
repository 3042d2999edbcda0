//! When the configuration is read again: the file has changed, SIGHUP, or somebody asked.

use std::{path::PathBuf, time::Duration};

use ::config::{Environment, Errors, Watcher};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
};

use crate::{Config, Server, config::document};

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
    /// None in a process whose requests are taken elsewhere.
    requests: Option<mpsc::Receiver<ReloadRequest>>,
}

impl Reloader {
    /// Starts to watch `path`, if there is one.
    pub(crate) fn new(
        path: Option<PathBuf>,
        environment: Environment,
        requests: Option<mpsc::Receiver<ReloadRequest>>,
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
        let request = async {
            match &mut self.requests {
                Some(requests) => requests.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => None,
            _ = hangup => None,
            request = request => request,
        }
    }

    /// Gives the requests back.
    pub(crate) fn into_requests(self) -> Option<mpsc::Receiver<ReloadRequest>> {
        self.requests
    }

    /// Reads the configuration and puts it into use; whatever is wrong with it, nothing changes.
    pub(crate) async fn reload(&self, server: &mut Server, request: Option<ReloadRequest>) {
        let result = self.read_and_apply(server).await;
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
