//! The command line: one file a verb.

mod agent;
mod check;
mod client;
mod deregister;
mod drain;
mod explain;
mod import;
mod register;
mod reload;
mod run;
mod services;
mod watch;
mod zone;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// How long the end waits for what blocks a thread: a name that is being resolved can take minutes.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(1);

/// Ends a verb early: the text goes to standard error.
#[derive(Debug)]
struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    /// The configuration is bad, the start failed, or the server said no: exit code 1.
    fn failed(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: 1,
        }
    }

    /// The command can't be meant like this: exit code 2.
    fn usage(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: 2,
        }
    }

    /// Something was left undone at the end: exit code 3.
    fn unclean(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: 3,
        }
    }
}

#[derive(Debug, Parser)]
#[command(
    name = "signpost",
    version,
    about = "Knows which service instances are alive, and tells clients by DNS and by HTTP",
    after_help = "Exit codes: 0 ok, 1 bad configuration or failed start, 2 usage, 3 unclean stop."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the server
    Run(run::Run),
    /// Check a configuration file
    Check(check::Check),
    /// List services, or show one
    Services(services::Services),
    /// Keep an instance registered while its check passes
    Register(Box<register::Register>),
    /// Remove an instance
    Deregister(deregister::Deregister),
    /// Have an instance finish what it has and get nothing new
    Drain(drain::Drain),
    /// Run a command each time a znode changes, with its content on standard input
    Watch(watch::Watch),
    /// Say how a name is answered or where a request goes, and why
    Explain(explain::Explain),
    /// Show a DNS zone
    #[command(subcommand)]
    Zone(zone::Zone),
    /// Print what another program's configuration is here
    #[command(subcommand)]
    Import(import::Import),
    /// Have the server read its configuration again
    Reload(reload::Reload),
    /// Print the version
    Version,
}

/// Says how output looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Args)]
struct OutputArgs {
    /// How the output looks
    #[arg(short, long = "output", value_enum, default_value_t)]
    output: Output,
}

/// Runs the program and returns its exit code.
pub fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Run(verb) => verb.run(),
        Verb::Check(verb) => verb.run(),
        Verb::Services(verb) => verb.run(),
        Verb::Register(verb) => verb.run(),
        Verb::Deregister(verb) => verb.run(),
        Verb::Drain(verb) => verb.run(),
        Verb::Watch(verb) => verb.run(),
        Verb::Explain(verb) => verb.run(),
        Verb::Zone(verb) => verb.run(),
        Verb::Import(verb) => verb.run(),
        Verb::Reload(verb) => verb.run(),
        Verb::Version => say(&format!("signpost {}", env!("CARGO_PKG_VERSION"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.text);
            ExitCode::from(failure.code)
        }
    }
}

/// Prints a line of output; who has stopped reading (`signpost services | head`) is no failure.
fn say(text: &str) -> Result<(), Failure> {
    say_to(&mut io::stdout().lock(), text)
        .map_err(|error| Failure::failed(format!("can't write the output: {error}")))
}

fn say_to(out: &mut impl Write, text: &str) -> io::Result<()> {
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Prints a line to standard error.
fn complain(text: &str) {
    // There is nowhere left to say that nobody reads it.
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// Runs what a verb waits for to its end.
fn block_on<T>(verb: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("can't start: {error}")))?;
    let done = runtime.block_on(verb);
    runtime.shutdown_timeout(SHUTDOWN_PATIENCE);
    done
}

/// Encodes a text to be a part of a URL's path or query.
fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Lays cells out in columns, each as wide as its widest.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let padded = cells.map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    /// Fails each write with one kind of error.
    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure_and_a_full_disk_is() {
        assert!(say_to(&mut Broken(io::ErrorKind::BrokenPipe), "x").is_ok());
        assert!(say_to(&mut Broken(io::ErrorKind::StorageFull), "x").is_err());
    }

    #[test]
    fn the_end_does_not_wait_for_a_blocked_thread() {
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let done = block_on(async {
            tokio::task::spawn_blocking(move || blocked.recv());
            Ok(1)
        });
        assert_eq!(done.unwrap(), 1);
        // Were the thread waited for, this would never be reached.
        drop(release);
    }

    #[test]
    fn columns_line_up() {
        let rows = [["a", "bcd", "e"], ["fgh", "i", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "a    bcd  e\nfgh  i");
    }
}
