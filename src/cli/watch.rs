//! `signpost watch`

use std::{path::PathBuf, process::Stdio, time::Duration};

use clap::Args;
use registry::{
    Backoff,
    sources::zookeeper::{Auth, AuthScheme, Ensemble},
};
use tokio::{
    io::AsyncWriteExt,
    process::Command,
    signal::unix::{SignalKind, signal},
    time::Instant,
};
use zookeeper_client::{Client, Error, OneshotWatcher};

use super::{Failure, block_on};
use crate::logs;

/// Run a command each time a znode changes, with its content on standard input
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// The znode: zookeeper://HOST,HOST/PATH
    path: String,
    /// The user for digest authentication
    #[arg(long, value_name = "USER", requires = "password_file")]
    user: Option<String>,
    /// A file with the password for digest authentication
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
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

/// A znode under watch.
struct Znode {
    ensemble: Ensemble,
    path: String,
    /// The change that the command was last run for.
    seen: Option<i64>,
}

impl Watch {
    pub(super) fn run(self) -> Result<(), Failure> {
        let log = logs::Config {
            level: self.log_level.clone(),
            ..logs::Config::default()
        };
        logs::start(&log).map_err(|reason| Failure::usage(format!("--log-level: {reason}")))?;
        let (mut ensemble, path) = Ensemble::from_url(&self.path).map_err(Failure::usage)?;
        if let (Some(user), Some(password_file)) = (&self.user, &self.password_file) {
            ensemble.auth = Some(Auth {
                scheme: AuthScheme::Digest,
                user: user.clone(),
                password_file: password_file.clone(),
            });
        }
        let znode = Znode {
            ensemble,
            path,
            seen: None,
        };
        block_on(self.watch(znode))
    }

    /// Watches until SIGTERM or SIGINT; a command under way is waited for.
    async fn watch(&self, mut znode: Znode) -> Result<(), Failure> {
        let failed =
            |error: std::io::Error| Failure::failed(format!("can't take signals: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        loop {
            let started = Instant::now();
            let error = tokio::select! {
                error = self.session(&mut znode) => error,
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            };
            let wait = backoff.next(started.elapsed(), fastrand::f64());
            tracing::warn!(path = %znode.path, %error, retry_in = ?wait, "lost the znode");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            }
        }
    }

    /// Watches for as long as one session lasts; returns why it ended.
    async fn session(&self, znode: &mut Znode) -> String {
        let client = match znode.ensemble.connect().await {
            Ok(client) => client,
            Err(error) => return error.to_string(),
        };
        loop {
            let (content, watcher) = match znode.read(&client).await {
                Ok(read) => read,
                Err(error) => return error.to_string(),
            };
            match content {
                Some((content, zxid)) if znode.seen != Some(zxid) => {
                    self.run_command(&znode.path, &content, zxid).await;
                    znode.seen = Some(zxid);
                }
                Some(_) => {}
                None => {
                    tracing::warn!(path = %znode.path, "the znode doesn't exist, waiting for it")
                }
            }
            // One change at a time: what comes while the command runs is seen here, as one.
            watcher.changed().await;
            if client.state().is_terminated() {
                return format!("the session has ended: {:?}", client.state());
            }
        }
    }

    /// Runs the command to its end; what goes wrong is logged, and the next change runs it again.
    async fn run_command(&self, path: &str, content: &[u8], zxid: i64) {
        let (program, arguments) = self.command.split_first().expect("clap demands a command");
        tracing::info!(path, zxid, bytes = content.len(), %program, "running the command");
        let run = async {
            let mut child = Command::new(program)
                .args(arguments)
                .env("SIGNPOST_WATCH_PATH", path)
                .env("SIGNPOST_WATCH_ZXID", zxid.to_string())
                .stdin(Stdio::piped())
                .spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                // A command that doesn't read all of it is free to do so.
                stdin.write_all(content).await.ok();
            }
            child.wait().await
        };
        match run.await {
            Ok(status) if status.success() => tracing::info!(path, zxid, "the command is done"),
            Ok(status) => tracing::error!(path, zxid, %status, "the command failed"),
            Err(error) => tracing::error!(path, zxid, %program, %error, "can't run the command"),
        }
    }
}

impl Znode {
    /// Reads the content and the change it comes from, `None` without a znode, and sets a watch.
    async fn read(
        &self,
        client: &Client,
    ) -> Result<(Option<(Vec<u8>, i64)>, OneshotWatcher), Error> {
        loop {
            match client.get_and_watch_data(&self.path).await {
                Ok((content, stat, watcher)) => return Ok((Some((content, stat.mzxid)), watcher)),
                Err(Error::NoNode) => {}
                Err(error) => return Err(error),
            }
            let (stat, watcher) = client.check_and_watch_stat(&self.path).await?;
            // Created in between: read it again.
            if stat.is_none() {
                return Ok((None, watcher));
            }
        }
    }
}
