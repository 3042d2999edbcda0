//! What the tests share.

pub(crate) mod chain;
pub(crate) mod client;
pub(crate) mod dns_server;
pub(crate) mod faulty;
pub(crate) mod load;
pub(crate) mod marathon;
pub(crate) mod mesos_master;
pub(crate) mod signpost;
pub(crate) mod upstream;
pub(crate) mod zookeeper;

use std::{
    env,
    net::{Ipv4Addr, TcpListener},
    process::Command,
    time::Duration,
};

use tokio::time::Instant;

/// How long a test waits for something that should come at once; only a failure takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Below the ports from which the kernel takes those of outgoing connections: a server that was
/// killed finds its ports free again.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// Waits until `check` holds, asking again every few milliseconds; returns how long it took.
///
/// # Panics
///
/// Panics, naming `what`, when it doesn't hold in time.
pub(crate) fn eventually(what: &str, mut check: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !check() {
        assert!(started.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
    started.elapsed()
}

/// Runs a program to its end and returns what it printed.
///
/// # Panics
///
/// Panics when it isn't installed or fails.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("can't run {program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{text}{errors}",
        output.status
    );
    text
}

/// Prints why a test is skipped.
///
/// # Panics
///
/// Panics in CI, where nothing may be missing.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see it")]
pub(crate) fn skip(reason: &str) {
    assert!(env::var_os("CI").is_none(), "{reason}");
    eprintln!("skipped: {reason}");
}

/// Finds ports that nobody listens on; all are held until the last is found, so they differ.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<_> = std::iter::repeat_with(|| fastrand::u16(PORTS))
        .filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .take(count)
        .collect();
    listeners
        .iter()
        .map(|listener| listener.local_addr().unwrap().port())
        .collect()
}
