//! `signpost watch`

use std::{
    io,
    pin::pin,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use clap::Args;
use registry::{Backoff, sources::zookeeper::Ensemble};
use tokio::{io::AsyncWriteExt, process::Command, time::Instant};
use zookeeper_client::{Client, Error, OneshotWatcher};

use super::{Failure, agent::Agent, block_on};
use crate::signals::Signals;

/// Run a command each time a znode changes, with its content on standard input
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// The znode: zookeeper://HOST,HOST/PATH
    path: String,
    #[command(flatten)]
    agent: Agent,
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

/// Says why a session is over.
enum End {
    /// It failed; another one may do better.
    Lost(String),
    /// A signal has come.
    Asked,
    /// A second signal has come while the command ran.
    Killed,
}

impl Watch {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.agent.start_log()?;
        let (mut ensemble, path) = Ensemble::from_url(&self.path).map_err(Failure::usage)?;
        ensemble.auth = self.agent.auth();
        let znode = Znode {
            ensemble,
            path,
            seen: None,
        };
        block_on(self.watch(znode))
    }

    /// Watches until SIGTERM or SIGINT.
    ///
    /// A command under way is waited for; a second signal kills it.
    async fn watch(&self, mut znode: Znode) -> Result<(), Failure> {
        let mut signals = Signals::take().map_err(Failure::failed)?;
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        loop {
            let started = Instant::now();
            let error = match self.session(&mut znode, &mut signals).await {
                End::Lost(error) => error,
                End::Asked => return Ok(()),
                End::Killed => return Err(Failure::unclean("stopped with the command under way")),
            };
            let wait = backoff.next(started.elapsed(), fastrand::f64());
            tracing::warn!(path = %znode.path, %error, retry_in = ?wait, "lost the znode");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = signals.next() => return Ok(()),
            }
        }
    }

    /// Watches for as long as one session lasts; signals are taken between commands.
    async fn session(&self, znode: &mut Znode, signals: &mut Signals) -> End {
        let connected = tokio::select! {
            connected = znode.ensemble.connect() => connected,
            _ = signals.next() => return End::Asked,
        };
        let client = match connected {
            Ok(client) => client,
            Err(error) => return End::Lost(error.to_string()),
        };
        loop {
            let read = tokio::select! {
                read = znode.read(&client) => read,
                _ = signals.next() => return End::Asked,
            };
            let (content, watcher) = match read {
                Ok(read) => read,
                Err(error) => return End::Lost(error.to_string()),
            };
            match content {
                Some((content, zxid)) if znode.seen != Some(zxid) => {
                    let end = self.run_command(&znode.path, &content, zxid, signals).await;
                    znode.seen = Some(zxid);
                    if let Some(end) = end {
                        return end;
                    }
                }
                Some(_) => {}
                None => {
                    tracing::warn!(path = %znode.path, "the znode doesn't exist, waiting for it");
                }
            }
            // One change at a time: what comes while the command runs is seen here, as one.
            tokio::select! {
                _ = watcher.changed() => {}
                _ = signals.next() => return End::Asked,
            }
            if client.state().is_terminated() {
                return End::Lost(format!("the session has ended: {:?}", client.state()));
            }
        }
    }

    /// Runs the command to its end; what goes wrong is logged, and the next change runs it again.
    ///
    /// Returns whether a signal has come meanwhile.
    async fn run_command(
        &self,
        path: &str,
        content: &[u8],
        zxid: i64,
        signals: &mut Signals,
    ) -> Option<End> {
        let (program, arguments) = self.command.split_first().expect("clap demands a command");
        tracing::info!(path, zxid, bytes = content.len(), %program, "running the command");
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("SIGNPOST_WATCH_PATH", path)
            .env("SIGNPOST_WATCH_ZXID", zxid.to_string());
        let (done, end) = match feed(command, content, signals).await {
            Ok((status, end)) => (Ok(status), end),
            Err(error) => (Err(error), None),
        };
        match done {
            Ok(status) if status.success() => tracing::info!(path, zxid, "the command is done"),
            Ok(status) => tracing::error!(path, zxid, %status, "the command failed"),
            Err(error) => tracing::error!(path, zxid, %program, %error, "can't run the command"),
        }
        end
    }
}

/// Runs a command with `content` on its standard input, to its end.
///
/// The first signal is kept for afterwards, the second one kills the command. Both results are
/// there: how the command has ended, and what the signals mean for the watch.
async fn feed(
    mut command: Command,
    content: &[u8],
    signals: &mut Signals,
) -> io::Result<(ExitStatus, Option<End>)> {
    let mut child = command.stdin(Stdio::piped()).kill_on_drop(true).spawn()?;
    let stdin = child.stdin.take();
    let writing = async {
        if let Some(mut stdin) = stdin {
            // A command that doesn't read all of it is free to do so.
            stdin.write_all(content).await.ok();
        }
    };
    let mut writing = pin!(writing);
    let (mut written, mut end) = (false, None);
    loop {
        tokio::select! {
            // What the command has handed its input to may go on for longer, and isn't waited for.
            status = child.wait() => return Ok((status?, end)),
            () = &mut writing, if !written => written = true,
            signal = signals.next() => match end {
                None => {
                    tracing::info!(signal, "ending when the command is done");
                    end = Some(End::Asked);
                }
                Some(_) => {
                    tracing::warn!(signal, "killing the command");
                    child.start_kill()?;
                    end = Some(End::Killed);
                }
            },
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
