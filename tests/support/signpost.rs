//! The real program, as a process of its own.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{client, eventually, run};

/// The program that the tests are about.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_signpost");

const ARGUMENTS: [&str; 5] = ["run", "--config", "signpost.toml", "--log-format", "json"];

/// A signpost that runs; it is killed when this is dropped.
pub(crate) struct Signpost {
    process: Child,
    /// The process that serves now, which is another one after an upgrade.
    current: Pid,
    directory: Arc<TempDir>,
    lines: Arc<Mutex<Vec<Value>>>,
    stdout: Arc<Mutex<String>>,
}

impl Signpost {
    /// Starts it in a directory of its own with listeners on free ports and this configuration besides.
    ///
    /// The configuration may have `[dns]`, `[proxy]` and `[admin]` sections of its own as long as it
    /// names port 0 for what the test asks the address of.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), config)
    }

    /// Starts it in a directory that another one has run in.
    pub(crate) fn start_in(directory: Arc<TempDir>, config: &str) -> Self {
        fs::write(directory.path().join("signpost.toml"), with_ports(config)).unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(ARGUMENTS);
        Self::spawn(command, directory)
    }

    /// Starts it by another program, which becomes it.
    pub(crate) fn start_by(mut command: Command, config: &str) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        fs::write(directory.path().join("signpost.toml"), with_ports(config)).unwrap();
        command.arg(PROGRAM).args(ARGUMENTS);
        Self::spawn(command, directory)
    }

    fn spawn(mut command: Command, directory: Arc<TempDir>) -> Self {
        let mut process = command
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let current = Pid::from_raw(process.id() as i32);
        let lines = Arc::<Mutex<Vec<Value>>>::default();
        let stdout = Arc::<Mutex<String>>::default();
        let (errors, log) = (process.stderr.take().unwrap(), Arc::clone(&lines));
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                log.lock().unwrap().push(line);
            }
        });
        let (output, text) = (process.stdout.take().unwrap(), Arc::clone(&stdout));
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let mut text = text.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        });
        let mut signpost = Self {
            process,
            current,
            directory,
            lines,
            stdout,
        };
        signpost.wait_until_started();
        signpost
    }

    fn wait_until_started(&mut self) {
        let lines = Arc::clone(&self.lines);
        let process = &mut self.process;
        eventually("signpost starts", || {
            let ended = process.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {:?}", lines.lock().unwrap());
            let lines = lines.lock().unwrap();
            lines.iter().any(|line| line["message"] == "started")
        });
    }

    /// Returns the directory in which it runs.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the directory for another one that goes on where this one has stopped.
    pub(crate) fn share_directory(&self) -> Arc<TempDir> {
        Arc::clone(&self.directory)
    }

    /// Returns the first address of DNS.
    pub(crate) fn dns(&self) -> SocketAddr {
        self.listens("dns listens (udp and tcp)")[0]
    }

    /// Returns the first address of the proxy.
    pub(crate) fn proxy(&self) -> SocketAddr {
        self.listens("proxy listens")[0]
    }

    /// Returns the admin API's URL.
    pub(crate) fn admin(&self) -> String {
        format!("http://{}", self.listens("admin api listens")[0])
    }

    /// Returns all addresses of a kind, in the order in which they came.
    pub(crate) fn listens(&self, message: &str) -> Vec<SocketAddr> {
        let lines = self.lines.lock().unwrap();
        let listens = lines.iter().filter(|line| line["message"] == message);
        let addresses = listens.map(|line| line["listen"].as_str().unwrap().parse().unwrap());
        addresses.collect()
    }

    /// Returns the log lines whose message is this.
    pub(crate) fn logged(&self, message: &str) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        let found = lines.iter().filter(|line| line["message"] == message);
        found.cloned().collect()
    }

    /// Returns the whole log, for messages of failing tests.
    pub(crate) fn log(&self) -> String {
        let lines = self.lines.lock().unwrap();
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Returns what it has printed to standard output: the access log.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    /// Writes the configuration again, with listeners on free ports; whoever wants to know whether it
    /// is in use waits for that.
    pub(crate) fn write_config(&self, config: &str) {
        // As editors do: the file is never half there.
        let new = self.directory().join("signpost.toml.new");
        fs::write(&new, with_ports(config)).unwrap();
        fs::rename(&new, self.config_file()).unwrap();
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.directory().join("signpost.toml")
    }

    /// Runs a client verb against this server.
    pub(crate) fn verb(&self, arguments: &[&str]) -> Output {
        Command::new(PROGRAM)
            .args(arguments)
            .env("SIGNPOST_ADMIN", self.admin())
            .output()
            .unwrap()
    }

    /// Asks `dig`, with `+short`, and returns the sorted lines.
    pub(crate) fn dig(&self, arguments: &[&str]) -> Vec<String> {
        let address = self.dns();
        let (server, port) = (format!("@{}", address.ip()), address.port().to_string());
        let mut all = vec![
            server.as_str(),
            "-p",
            &port,
            "+short",
            "+tries=1",
            "+time=5",
        ];
        all.extend(arguments);
        let mut lines: Vec<_> = run("dig", &all).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Sends a GET through the proxy with `curl`; returns status and body.
    pub(crate) fn curl(&self, host: &str, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.proxy());
        let host = format!("Host: {host}");
        let text = run("curl", &["-s", "-w", "\n%{http_code}", "-H", &host, &url]);
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    /// Gets a JSON document from the admin API.
    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        client::request("GET", &format!("{}{path}", self.admin()), "")
    }

    /// Returns all metrics as text.
    pub(crate) fn metrics(&self) -> String {
        let admin = self.admin();
        let address = admin.strip_prefix("http://").unwrap();
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        client::exchange(address.parse().unwrap(), request.as_bytes())
    }

    /// Registers an instance in the embedded store.
    pub(crate) fn put(&self, service: &str, id: &str, body: &str) -> (u16, Value) {
        let url = format!("{}/v1/services/{service}/instances/{id}", self.admin());
        client::request("PUT", &url, body)
    }

    /// Removes an instance from the embedded store.
    pub(crate) fn delete(&self, service: &str, id: &str) -> (u16, Value) {
        let url = format!("{}/v1/services/{service}/instances/{id}", self.admin());
        client::request("DELETE", &url, "")
    }

    /// Returns how much memory it has that is in use, as the system sees it.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.current)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
        kilobytes.parse::<u64>().unwrap() << 10
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.current, signal).unwrap();
    }

    /// Has a new process take over, and waits until it serves.
    pub(crate) fn upgrade(&mut self) {
        const SERVES: &str = "the new process serves, draining";
        let before = self.logged(SERVES).len();
        self.signal(Signal::SIGUSR2);
        eventually("the new process serves", || {
            let failed = self.logged("no upgrade, this process goes on");
            assert!(failed.is_empty(), "{}", self.log());
            self.logged(SERVES).len() > before
        });
        let process = &self.logged(SERVES)[before]["process"];
        self.current = Pid::from_raw(process.as_i64().unwrap() as i32);
    }

    /// Returns the number of the process that serves.
    pub(crate) fn process(&self) -> i32 {
        self.current.as_raw()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("signpost ends", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Signpost {
    fn drop(&mut self) {
        // It may have ended by itself.
        kill(self.current, Signal::SIGKILL).ok();
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Adds listeners on free ports where the configuration doesn't say anything about them.
fn with_ports(config: &str) -> String {
    let mut text = String::new();
    if !config.contains("workers = ") {
        text.push_str("workers = 2\n");
    }
    text.push_str(config);
    for (section, keys) in [
        ("[dns]", "listen = [\"127.0.0.1:0\"]"),
        ("[admin]", "listen = \"127.0.0.1:0\""),
        ("[[proxy.listeners]]", "listen = \"127.0.0.1:0\""),
    ] {
        if !config.contains(section) {
            text.push_str(&format!("\n{section}\n{keys}\n"));
        }
    }
    text
}
