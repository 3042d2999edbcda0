//! Real ZooKeeper servers, from Debian's packages, on free loopback ports.

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use zookeeper_client::Client;

use super::{free_ports, skip};

const JAVA: &str = "/usr/bin/java";

/// The first names its dependencies; the second sends the log to the standard error output.
const JARS: [&str; 2] = [
    "/usr/share/java/zookeeper.jar",
    "/usr/share/java/slf4j-simple.jar",
];

/// The least session timeout is two ticks.
const TICK: Duration = Duration::from_millis(500);

/// The largest record that the servers take; their own default is 1 MiB.
const RECORD_BYTES_MAX: usize = 8 << 20;

/// How long a server may take to answer or an ensemble to elect a leader.
const PATIENCE: Duration = Duration::from_secs(90);

/// Runs one server, or three that elect a leader; they are killed when it is dropped.
pub(crate) struct Ensemble {
    servers: Vec<Server>,
    directory: TempDir,
}

struct Server {
    port: u16,
    config: PathBuf,
    log: PathBuf,
    process: Option<Child>,
}

impl Ensemble {
    /// Starts servers and waits until they serve; `None` where ZooKeeper isn't installed.
    ///
    /// # Panics
    ///
    /// Panics when the servers don't start, or aren't there in CI.
    pub(crate) async fn start(servers: usize) -> Option<Self> {
        let missing = [JAVA]
            .iter()
            .chain(&JARS)
            .find(|file| !Path::new(file).exists());
        if let Some(file) = missing {
            skip(&format!(
                "{file} is missing (packages zookeeper and libslf4j-java)"
            ));
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let ports = free_ports(servers * 3);
        let members: String = (0..servers).fold(String::new(), |mut text, i| {
            let (quorum, election) = (ports[i * 3 + 1], ports[i * 3 + 2]);
            writeln!(text, "server.{}=127.0.0.1:{quorum}:{election}", i + 1).unwrap();
            text
        });
        let members = if servers > 1 { members } else { String::new() };
        let servers =
            (0..servers).map(|i| Server::prepare(directory.path(), i, ports[i * 3], &members));
        let mut ensemble = Self {
            servers: servers.collect(),
            directory,
        };
        for server in &mut ensemble.servers {
            server.start();
        }
        ensemble.serving().await;
        Some(ensemble)
    }

    /// Returns all servers as a connect string.
    pub(crate) fn connect(&self) -> String {
        let servers: Vec<_> = self.servers.iter().map(Server::address).collect();
        servers.join(",")
    }

    /// Returns a directory for a test's own files, which ends with the ensemble.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Opens a session with a timeout of its own.
    pub(crate) async fn client(&self, session_timeout: Duration) -> Client {
        Client::connector()
            .with_session_timeout(session_timeout)
            .connect(&self.connect())
            .await
            .unwrap()
    }

    /// Returns the number of the server that leads.
    pub(crate) async fn leader(&self) -> usize {
        for (i, server) in self.servers.iter().enumerate() {
            if server.mode().await.as_deref() == Some("leader") {
                return i;
            }
        }
        panic!("no server leads");
    }

    /// Kills a server, as a power failure would.
    pub(crate) fn kill(&mut self, server: usize) {
        self.servers[server].stop();
    }

    /// Kills all servers.
    pub(crate) fn kill_all(&mut self) {
        self.servers.iter_mut().for_each(Server::stop);
    }

    /// Starts the servers that were killed, and waits until all serve.
    pub(crate) async fn restart(&mut self) {
        for server in &mut self.servers {
            if server.process.is_none() {
                server.start();
            }
        }
        self.serving().await;
    }

    /// Waits until all servers that run serve.
    pub(crate) async fn serving(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        for server in self
            .servers
            .iter_mut()
            .filter(|server| server.process.is_some())
        {
            while server.mode().await.is_none() {
                let late = Instant::now() > deadline;
                assert!(
                    !late && server.runs(),
                    "ZooKeeper doesn't serve:\n{}",
                    server.log()
                );
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

impl Server {
    fn prepare(directory: &Path, i: usize, port: u16, members: &str) -> Self {
        let data = directory.join(format!("data{i}"));
        fs::create_dir(&data).unwrap();
        fs::write(data.join("myid"), (i + 1).to_string()).unwrap();
        let config = directory.join(format!("server{i}.cfg"));
        let text = format!(
            "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime={}\n\
             initLimit=20\nsyncLimit=6\nmaxSessionTimeout=60000\nmaxClientCnxns=0\n\
             4lw.commands.whitelist=srvr\nadmin.enableServer=false\n{members}",
            data.display(),
            TICK.as_millis(),
        );
        fs::write(&config, text).unwrap();
        Self {
            port,
            config,
            log: directory.join(format!("server{i}.log")),
            process: None,
        }
    }

    fn start(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let process = Command::new(JAVA)
            .args(["-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .args([
                "-Dzookeeper.forceSync=no",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            ])
            .arg(format!("-Djute.maxbuffer={RECORD_BYTES_MAX}"))
            .args(["-cp", &JARS.join(":")])
            .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn runs(&mut self) -> bool {
        let process = self.process.as_mut();
        process.is_some_and(|process| process.try_wait().unwrap().is_none())
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Asks the server for its part: `leader`, `follower` or `standalone`; `None` while it doesn't
    /// serve.
    async fn mode(&self) -> Option<String> {
        let ask = async {
            let mut stream = TcpStream::connect(self.address()).await.ok()?;
            stream.write_all(b"srvr").await.ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok()?;
            let mode = answer.lines().find_map(|line| line.strip_prefix("Mode: "));
            mode.map(str::to_owned)
        };
        timeout(Duration::from_secs(2), ask).await.ok().flatten()
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
