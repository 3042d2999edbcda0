//! What the tests share.

pub(crate) mod chain;
pub(crate) mod client;
pub(crate) mod signpost;
pub(crate) mod upstream;
pub(crate) mod zookeeper;

use std::{process::Command, time::Duration};

use tokio::time::Instant;

/// How long a test waits for something that should come at once; only a failure takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

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
