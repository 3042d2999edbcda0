//! A ZooKeeper ensemble with a signpost that watches it, and agents that register there.

use std::{
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::runtime::Runtime;
use zookeeper_client::{Acls, Client, CreateMode};

use super::{
    client, eventually,
    signpost::{PROGRAM, Signpost},
    zookeeper::Ensemble,
};

pub(crate) const NAME: &str = "what.svc.internal.";

/// What `signpost register` asks for.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// An ensemble of three with a signpost that watches it.
pub(crate) struct Chain {
    pub(crate) runtime: Runtime,
    pub(crate) ensemble: Ensemble,
    pub(crate) signpost: Signpost,
}

impl Chain {
    pub(crate) fn start() -> Option<Self> {
        let runtime = Runtime::new().unwrap();
        let ensemble = runtime.block_on(Ensemble::start(3))?;
        let signpost = Signpost::start(&config(&ensemble));
        Some(Self {
            runtime,
            ensemble,
            signpost,
        })
    }

    pub(crate) fn client(&self, session_timeout: Duration) -> Client {
        self.runtime.block_on(self.ensemble.client(session_timeout))
    }

    pub(crate) fn create(&self, client: &Client, path: &str, data: &str, mode: CreateMode) {
        let options = mode.with_acls(Acls::anyone_all());
        let create = client.create(path, data.as_bytes(), &options);
        self.runtime.block_on(create).unwrap();
    }

    pub(crate) fn mkdir(&self, client: &Client, path: &str) {
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        self.runtime.block_on(client.mkdir(path, &options)).unwrap();
    }

    pub(crate) fn addresses(&self, name: &str) -> Vec<String> {
        client::addresses(self.signpost.dns(), name)
    }

    /// Returns where an agent registers.
    pub(crate) fn target(&self) -> String {
        format!("zookeeper://{}/service/business", self.ensemble.connect())
    }

    pub(crate) fn is_stale(&self) -> bool {
        let (_, sources) = self.signpost.get("/v1/sources");
        sources[0]["stale_since"].is_u64()
    }
}

pub(crate) fn config(ensemble: &Ensemble) -> String {
    format!(
        "[sources.main.zookeeper]\nconnect = '{}'\npath = '/service/business'\nsession_timeout = '4s'\n",
        ensemble.connect()
    )
}

/// A client verb that runs until it is told to stop.
pub(crate) struct Agent(Child);

impl Agent {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with_log(arguments, Stdio::inherit())
    }

    /// Registers an instance of the service `what`.
    pub(crate) fn register(arguments: &[&str]) -> Self {
        Self::start(&[&["register", "--service", "what"], arguments].concat())
    }

    /// Registers one, with the log in a file.
    pub(crate) fn register_with_log(arguments: &[&str], log: &std::path::Path) -> Self {
        let arguments = [&["register", "--service", "what"], arguments].concat();
        Self::start_with_log(&arguments, std::fs::File::create(log).unwrap().into())
    }

    pub(crate) fn start_with_log(arguments: &[&str], log: Stdio) -> Self {
        let process = Command::new(PROGRAM)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Self(process.unwrap())
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }

    /// Waits for its end and returns the exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("the agent ends", || {
            status = self.ended();
            status.is_some()
        });
        status.unwrap().code()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
