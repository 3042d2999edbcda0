//! Real name servers, from Debian's packages, on free loopback ports.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::time::Instant;

use super::{client, eventually, free_ports, skip};

/// How long a server may take to end before it is killed.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// The longest answers over UDP, to clients that can take them.
const UDP_BYTES_MAX: u16 = 4096;

/// A name server, and the Debian package that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nsd,
    Knot,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nsd => "nsd",
            Self::Knot => "knot",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Nsd => "/usr/sbin/nsd",
            Self::Knot => "/usr/sbin/knotd",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Nsd => &["-d", "-c"],
            Self::Knot => &["-c"],
        }
    }

    /// Returns a configuration with which it serves zones from files that are called as they are.
    fn config(self, directory: &Path, port: u16, domains: &[&str]) -> String {
        let directory = directory.display();
        let zones = domains.iter().map(|domain| match self {
            Self::Nsd => format!("zone:\n  name: {domain}\n  zonefile: {domain}\n"),
            Self::Knot => format!("  - domain: {domain}\n    file: {domain}\n"),
        });
        let zones = zones.collect::<String>();
        match self {
            Self::Nsd => format!(
                r#"
server:
  ip-address: 127.0.0.1@{port}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{directory}"
  database: ""
  pidfile: "{directory}/nsd.pid"
  xfrdfile: "{directory}/xfrd.state"
  zonelistfile: "{directory}/zone.list"
  minimal-responses: no
  ipv4-edns-size: {UDP_BYTES_MAX}
  rrl-ratelimit: 0
remote-control:
  control-enable: no
{zones}"#
            ),
            Self::Knot => format!(
                r#"
server:
  listen: 127.0.0.1@{port}
  rundir: "{directory}"
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  udp-max-payload: {UDP_BYTES_MAX}
database:
  storage: "{directory}"
log:
  - target: stderr
    any: warning
template:
  - id: default
    storage: "{directory}"
    zonefile-sync: -1
    journal-content: none
zone:
{zones}"#
            ),
        }
    }
}

/// A name server that runs; it is stopped when this is dropped.
pub(crate) struct DnsServer {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    process: Child,
    log: PathBuf,
    _directory: TempDir,
}

impl DnsServer {
    /// Starts one that serves zones, by their domains, from master files, and waits until it does;
    /// `None` where it isn't installed.
    ///
    /// # Panics
    ///
    /// Panics when it doesn't start, or isn't there in CI.
    pub(crate) fn start(kind: Kind, zones: &[(&str, String)]) -> Option<Self> {
        let program = kind.program();
        if !Path::new(program).exists() {
            skip(&format!("{program} is missing (package {})", kind.name()));
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let port = free_ports(1)[0];
        let config = directory.path().join("server.conf");
        let domains: Vec<_> = zones.iter().map(|(domain, _)| *domain).collect();
        fs::write(&config, kind.config(directory.path(), port, &domains)).unwrap();
        for (domain, file) in zones {
            fs::write(directory.path().join(domain), file).unwrap();
        }
        let log = directory.path().join("log");
        let process = Command::new(program)
            .args(kind.arguments())
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut server = Self {
            kind,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            process,
            log,
            _directory: directory,
        };
        eventually(kind.name(), || {
            domains.iter().all(|domain| server.serves(domain))
        });
        assert_eq!(server.complaints(), <[String; 0]>::default());
        Some(server)
    }

    /// Returns what it finds wrong with the zone.
    fn complaints(&self) -> Vec<String> {
        let log = self.log();
        let complaint = |line: &&str| line.contains("warning") || line.contains("error");
        log.lines().filter(complaint).map(str::to_owned).collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn serves(&mut self, domain: &str) -> bool {
        let ended = self.process.try_wait().unwrap();
        assert!(ended.is_none(), "{ended:?}: {}", self.log());
        let answer = client::ask(self.address, domain, hickory_proto::rr::RecordType::SOA);
        answer.is_some_and(|answer| answer.metadata.authoritative && !answer.answers.is_empty())
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        // Asked nicely, so that it ends its own children; it may have ended by itself.
        kill(Pid::from_raw(self.process.id() as i32), Signal::SIGTERM).ok();
        let asked = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) && asked.elapsed() < END_PATIENCE {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
