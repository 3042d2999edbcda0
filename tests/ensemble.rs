//! The whole way from a ZooKeeper ensemble to answers and requests, and what an outage does to it.

use std::{
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::runtime::Runtime;
use zookeeper_client::{Acls, Client, CreateMode};

use crate::support::{
    PATIENCE, client, eventually,
    signpost::{PROGRAM, Signpost},
    upstream::Upstream,
    zookeeper::Ensemble,
};

const NAME: &str = "what.svc.internal.";

/// What `signpost register` asks for.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// An ensemble of three with a signpost that watches it.
struct Chain {
    runtime: Runtime,
    ensemble: Ensemble,
    signpost: Signpost,
}

impl Chain {
    fn start() -> Option<Self> {
        let runtime = Runtime::new().unwrap();
        let ensemble = runtime.block_on(Ensemble::start(3))?;
        let signpost = Signpost::start(&config(&ensemble));
        Some(Self {
            runtime,
            ensemble,
            signpost,
        })
    }

    fn client(&self, session_timeout: Duration) -> Client {
        self.runtime.block_on(self.ensemble.client(session_timeout))
    }

    fn create(&self, client: &Client, path: &str, data: &str, mode: CreateMode) {
        let options = mode.with_acls(Acls::anyone_all());
        let create = client.create(path, data.as_bytes(), &options);
        self.runtime.block_on(create).unwrap();
    }

    fn mkdir(&self, client: &Client, path: &str) {
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        self.runtime.block_on(client.mkdir(path, &options)).unwrap();
    }

    fn addresses(&self, name: &str) -> Vec<String> {
        client::addresses(self.signpost.dns(), name)
    }

    /// Returns where an agent registers.
    fn target(&self) -> String {
        format!("zookeeper://{}/service/business", self.ensemble.connect())
    }

    fn is_stale(&self) -> bool {
        let (_, sources) = self.signpost.get("/v1/sources");
        sources[0]["stale_since"].is_u64()
    }
}

fn config(ensemble: &Ensemble) -> String {
    format!(
        "[sources.main.zookeeper]\nconnect = '{}'\npath = '/service/business'\nsession_timeout = '4s'\n",
        ensemble.connect()
    )
}

#[test]
fn an_ephemeral_znode_is_an_instance_for_as_long_as_its_session_lives() {
    let Some(chain) = Chain::start() else { return };
    let upstream = Upstream::start("nine");
    let owner = chain.client(Duration::from_secs(2));
    chain.mkdir(&owner, "/service/business/what");
    eventually("the empty service is known", || {
        chain.signpost.curl("what", "/").0 == 503
    });

    // The best of a few: this machine may be busy with other tests.
    let data = format!(r#"["127.0.0.1","{}"]"#, upstream.port());
    let best = (0..5).map(|n| {
        let path = format!("/service/business/what{n}");
        chain.mkdir(&owner, &path);
        chain.create(&owner, &format!("{path}/s1"), &data, CreateMode::Ephemeral);
        let name = format!("what{n}.svc.internal.");
        eventually("the instance is answered", || {
            chain.addresses(&name) == ["127.0.0.1"]
        })
    });
    let best = best.min().unwrap();
    assert!(best < Duration::from_millis(50), "it took {best:?}");

    // A process of its own, which can be killed.
    let (to, port) = (chain.target(), upstream.port().to_string());
    let mut agent = Agent::register(&["--id", "s1", "--port", &port, "--to", &to]);
    eventually("the instance is answered", || {
        chain.addresses(NAME) == ["127.0.0.1"]
    });
    let signpost = &chain.signpost;
    assert_eq!(signpost.dig(&["what.svc.internal"]), ["127.0.0.1"]);
    let srv = format!("0 1 {} s1.what.svc.internal.", upstream.port());
    assert_eq!(signpost.dig(&["_what._tcp.svc.internal", "SRV"]), [srv]);
    let answer = signpost.curl("what.svc.internal", "/");
    assert_eq!(answer, (200, "nine".to_owned()));

    // Nobody ends the session of a killed process but the servers, when its time is over. What it
    // has said last may have been up to a third of that time ago.
    agent.kill();
    let stays = eventually("the instance leaves with its session", || {
        chain.addresses(NAME).is_empty()
    });
    assert!(stays > SESSION_TIMEOUT / 2, "it has left after {stays:?}");
    assert_eq!(signpost.curl("what.svc.internal", "/").0, 503);
    let answer = client::query(signpost.dns(), NAME, RecordType::A);
    let code = answer.metadata.response_code;
    assert_eq!(code, ResponseCode::NoError, "the service is still there");
}

#[test]
fn an_outage_of_the_ensemble_changes_no_answer_and_its_return_brings_the_truth() {
    let Some(mut chain) = Chain::start() else {
        return;
    };
    let upstream = Upstream::start("nine");
    let writer = chain.client(Duration::from_secs(10));
    chain.mkdir(&writer, "/service/business/what");
    let data = |host: &str| format!(r#"["{host}","{}"]"#, upstream.port());
    let persistent = CreateMode::Persistent;
    chain.create(
        &writer,
        "/service/business/what/a",
        &data("127.0.0.1"),
        persistent,
    );
    eventually("it is answered", || chain.addresses(NAME) == ["127.0.0.1"]);
    let version = chain.signpost.get("/readyz").1["version"].clone();

    let leader = chain.runtime.block_on(chain.ensemble.leader());
    chain.ensemble.kill(leader);
    chain.runtime.block_on(chain.ensemble.serving());
    chain.create(
        &writer,
        "/service/business/what/b",
        &data("127.0.0.2"),
        persistent,
    );
    eventually("a change after the leader's death is seen", || {
        chain.addresses(NAME) == ["127.0.0.1", "127.0.0.2"]
    });

    chain.ensemble.kill_all();
    eventually("the source is stale", || chain.is_stale());
    // Longer than the session, so that it expires.
    let started = tokio::time::Instant::now();
    let gone = Duration::from_secs(7);
    let mut asked = 0;
    while started.elapsed() < gone {
        assert_eq!(chain.addresses(NAME), ["127.0.0.1", "127.0.0.2"]);
        assert_eq!(chain.signpost.curl("what", "/").0, 200);
        asked += 1;
    }
    assert!(asked > 100, "asked only {asked} times");
    let (status, ready) = chain.signpost.get("/readyz");
    assert_eq!(
        (status, ready["stale"][0]["part"].as_str()),
        (200, Some("source main"))
    );
    let unknown = client::query(chain.signpost.dns(), "none.svc.internal.", RecordType::A);
    assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain);

    chain.runtime.block_on(chain.ensemble.restart());
    let writer = chain.client(Duration::from_secs(10));
    let delete = writer.delete("/service/business/what/a", None);
    chain.runtime.block_on(delete).unwrap();
    chain.create(
        &writer,
        "/service/business/what/c",
        &data("127.0.0.3"),
        persistent,
    );
    eventually("the truth is back", || {
        chain.addresses(NAME) == ["127.0.0.2", "127.0.0.3"]
    });
    eventually("nothing is stale", || !chain.is_stale());
    let after = chain.signpost.get("/readyz").1["version"].clone();
    assert!(after.as_u64() > version.as_u64(), "{after} after {version}");
}

#[test]
fn a_store_that_is_down_at_the_start_is_ignorance_and_not_absence() {
    let Some(mut chain) = Chain::start() else {
        return;
    };
    let config = config(&chain.ensemble);
    let writer = chain.client(Duration::from_secs(10));
    chain.mkdir(&writer, "/service/business/what");
    chain.create(
        &writer,
        "/service/business/what/a",
        r#"["127.0.0.1","80"]"#,
        CreateMode::Persistent,
    );
    chain.ensemble.kill_all();
    let signpost = Signpost::start(&format!("{config}[sources.own.store]\n"));
    assert_eq!(
        signpost
            .put("own", "a", r#"{"address":"127.0.0.9","port":80}"#)
            .0,
        201
    );

    let ask = |name| client::query(signpost.dns(), name, RecordType::A);
    let answer = ask(NAME);
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(signpost.curl("what", "/").0, 503);
    assert_eq!(
        client::addresses(signpost.dns(), "own.svc.internal."),
        ["127.0.0.9"]
    );
    let (status, ready) = signpost.get("/readyz");
    assert_eq!(
        (status, ready["waiting"][0]["part"].as_str()),
        (503, Some("source main"))
    );
    eventually("the failure is shown", || {
        signpost.get("/v1/sources").1[0]["last_error"]["reason"].is_string()
    });

    chain.runtime.block_on(chain.ensemble.restart());
    eventually("the source syncs", || signpost.get("/readyz").0 == 200);
    assert_eq!(client::addresses(signpost.dns(), NAME), ["127.0.0.1"]);
    let answer = ask("none.svc.internal.");
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
}

/// A client verb that runs until it is told to stop.
struct Agent(Child);

impl Agent {
    fn start(arguments: &[&str]) -> Self {
        Self::start_with_log(arguments, Stdio::inherit())
    }

    /// Registers an instance of the service `what`.
    fn register(arguments: &[&str]) -> Self {
        Self::start(&[&["register", "--service", "what"], arguments].concat())
    }

    /// Registers one, with the log in a file.
    fn register_with_log(arguments: &[&str], log: &std::path::Path) -> Self {
        let arguments = [&["register", "--service", "what"], arguments].concat();
        Self::start_with_log(&arguments, std::fs::File::create(log).unwrap().into())
    }

    fn start_with_log(arguments: &[&str], log: Stdio) -> Self {
        let process = Command::new(PROGRAM)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Self(process.unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }

    /// Waits for its end and returns the exit code.
    fn wait(&mut self) -> Option<i32> {
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

#[test]
fn the_registrar_follows_its_check_and_outlives_its_session() {
    let Some(mut chain) = Chain::start() else {
        return;
    };
    let mut upstream = Some(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let port = upstream.as_ref().unwrap().local_addr().unwrap().port();
    let (check, to) = (format!("tcp://127.0.0.1:{port}"), chain.target());
    let port = port.to_string();
    let mut agent = Agent::register(&[
        "--id", "s1", "--port", &port, "--check", &check, "--every", "200ms", "--to", &to,
    ]);
    eventually("it is registered", || {
        chain.addresses(NAME) == ["127.0.0.1"]
    });
    let reader = chain.client(Duration::from_secs(10));
    let read = reader.get_data("/service/business/what/s1");
    let (data, stat) = chain.runtime.block_on(read).unwrap();
    assert_eq!(data, format!(r#"["127.0.0.1","{port}"]"#).as_bytes());
    assert_ne!(stat.ephemeral_owner, 0);

    upstream = None;
    eventually("it leaves when the check fails", || {
        chain.addresses(NAME).is_empty()
    });
    drop(upstream);
    let address: std::net::SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    let _upstream = std::net::TcpListener::bind(address).unwrap();
    eventually("it comes back", || chain.addresses(NAME) == ["127.0.0.1"]);

    // Stopped for longer than its session lasts, it is another process's paused or cut-off agent.
    agent.signal(Signal::SIGSTOP);
    eventually("the session expires", || chain.addresses(NAME).is_empty());
    agent.signal(Signal::SIGCONT);
    eventually("a new session registers it", || {
        chain.addresses(NAME) == ["127.0.0.1"]
    });

    chain.ensemble.kill_all();
    eventually("the source is stale", || chain.is_stale());
    chain.runtime.block_on(chain.ensemble.restart());
    eventually("nothing is stale", || !chain.is_stale());
    eventually("it is registered", || {
        chain.addresses(NAME) == ["127.0.0.1"]
    });

    agent.signal(Signal::SIGTERM);
    let took = eventually("it takes itself out", || chain.addresses(NAME).is_empty());
    assert!(took < SESSION_TIMEOUT / 2, "it left after {took:?}");
    assert_eq!(agent.wait(), Some(0));
}

#[test]
fn an_instance_that_cannot_be_taken_out_is_an_unclean_stop() {
    let runtime = Runtime::new().unwrap();
    let Some(mut ensemble) = runtime.block_on(Ensemble::start(1)) else {
        return;
    };
    let reader = runtime.block_on(ensemble.client(PATIENCE));
    let to = format!("zookeeper://{}/service", ensemble.connect());
    let mut agents =
        ["a", "b"].map(|id| Agent::register(&["--id", id, "--port", "80", "--to", &to]));
    for id in ["a", "b"] {
        let path = format!("/service/what/{id}");
        eventually("it is registered", || {
            let stat = runtime.block_on(reader.check_stat(&path));
            stat.unwrap().is_some()
        });
    }
    ensemble.kill_all();
    for agent in &agents {
        agent.signal(Signal::SIGTERM);
    }
    agents[1].signal(Signal::SIGINT);
    assert_eq!(agents[1].wait(), Some(3));
    assert_eq!(
        agents[0].ended(),
        None,
        "without a second signal it tries on"
    );
    let tried = eventually("it gives up", || agents[0].ended().is_some());
    assert_eq!(agents[0].wait(), Some(3));
    assert!(tried < Duration::from_secs(8), "it tried for {tried:?}");
}

#[test]
fn a_persistent_znode_is_not_replaced() {
    let runtime = Runtime::new().unwrap();
    let Some(ensemble) = runtime.block_on(Ensemble::start(1)) else {
        return;
    };
    let writer = runtime.block_on(ensemble.client(PATIENCE));
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let path = "/service/what/a";
    runtime.block_on(writer.mkdir(path, &options)).unwrap();
    let to = format!("zookeeper://{}/service", ensemble.connect());
    let errors = ensemble.directory().join("errors");
    let arguments = ["--id", "a", "--port", "80", "--to", &to];
    let _agent = Agent::register_with_log(&arguments, &errors);
    let log = || std::fs::read_to_string(&errors).unwrap_or_default();
    eventually("it says so", || {
        log().contains("/service/what/a is persistent")
    });
    let stat = runtime.block_on(writer.check_stat(path)).unwrap();
    assert_eq!(stat.unwrap().ephemeral_owner, 0);
    runtime.block_on(writer.delete(path, None)).unwrap();
    eventually("it takes the place that is free", || {
        let stat = runtime.block_on(writer.check_stat(path)).unwrap();
        stat.is_some_and(|stat| stat.ephemeral_owner != 0)
    });
}

#[test]
fn a_watched_znode_runs_the_command_with_each_content() {
    let runtime = Runtime::new().unwrap();
    let Some(ensemble) = runtime.block_on(Ensemble::start(1)) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let script = format!("cat >> {0}; echo >> {0}", out.display());
    let url = format!("zookeeper://{}/app/business/config", ensemble.connect());
    let _agent = Agent::start(&["watch", &url, "--", "sh", "-c", &script]);
    let writer = runtime.block_on(ensemble.client(PATIENCE));
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let content = || std::fs::read_to_string(&out).unwrap_or_default();

    runtime.block_on(async {
        writer.mkdir("/app/business", &options).await.unwrap();
        writer
            .create("/app/business/config", b"one", &options)
            .await
            .unwrap();
    });
    eventually("the first content arrives", || content() == "one\n");
    let set = |text: &'static str| {
        let set = writer.set_data("/app/business/config", text.as_bytes(), None);
        runtime.block_on(set).unwrap();
    };
    set("two");
    eventually("the change arrives", || content() == "one\ntwo\n");
    runtime
        .block_on(writer.delete("/app/business/config", None))
        .unwrap();
    runtime
        .block_on(writer.create("/app/business/config", b"three", &options))
        .unwrap();
    eventually("the znode made anew arrives", || {
        content() == "one\ntwo\nthree\n"
    });
}

/// A znode of an ensemble of one, and a directory with files by which a command says how it goes.
struct Watched {
    runtime: Runtime,
    ensemble: Ensemble,
    writer: Client,
    directory: tempfile::TempDir,
}

impl Watched {
    /// More than a pipe holds.
    const BYTES: usize = 200 << 10;

    fn start() -> Option<Self> {
        let runtime = Runtime::new().unwrap();
        let ensemble = runtime.block_on(Ensemble::start(1))?;
        let writer = runtime.block_on(ensemble.client(PATIENCE));
        let watched = Self {
            runtime,
            ensemble,
            writer,
            directory: tempfile::tempdir().unwrap(),
        };
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        let create = watched
            .writer
            .create("/big", &[b'x'; Self::BYTES], &options);
        watched.runtime.block_on(create).unwrap();
        Some(watched)
    }

    fn watch(&self, script: &str) -> Agent {
        let url = format!("zookeeper://{}/big", self.ensemble.connect());
        let script = format!("cd {}; {script}", self.directory.path().display());
        Agent::start(&["watch", &url, "--", "sh", "-c", &script])
    }

    fn change(&self) {
        let set = self.writer.set_data("/big", &[b'y'; Self::BYTES], None);
        self.runtime.block_on(set).unwrap();
    }

    fn has(&self, file: &str) -> bool {
        self.directory.path().join(file).exists()
    }

    fn make(&self, file: &str) {
        std::fs::write(self.directory.path().join(file), "").unwrap();
    }

    fn remove(&self, file: &str) {
        std::fs::remove_file(self.directory.path().join(file)).unwrap();
    }
}

#[test]
fn a_signal_waits_for_the_watchs_command_and_a_second_one_kills_it() {
    let Some(watched) = Watched::start() else {
        return;
    };
    // The file goes with the directory: nothing outlives a test that fails.
    let waits = "echo $$ > pid.new; mv pid.new pid; while [ -e hold ]; do sleep 0.02; done";
    watched.make("hold");
    let mut agent = watched.watch(&format!("{waits}; cat > out; touch done"));
    eventually("the command runs", || watched.has("pid"));
    agent.signal(Signal::SIGTERM);
    let ended = std::iter::repeat_with(|| {
        std::thread::sleep(Duration::from_millis(20));
        agent.ended()
    });
    assert_eq!(ended.take(20).flatten().next(), None, "it waits");
    watched.remove("hold");
    assert_eq!(agent.wait(), Some(0));
    assert!(watched.has("done"));
    let out = std::fs::read(watched.directory.path().join("out")).unwrap();
    assert_eq!(out.len(), Watched::BYTES);

    watched.remove("pid");
    watched.make("hold");
    let mut agent = watched.watch(waits);
    eventually("the command runs", || watched.has("pid"));
    agent.signal(Signal::SIGTERM);
    agent.signal(Signal::SIGINT);
    assert_eq!(agent.wait(), Some(3));
    let pid = std::fs::read_to_string(watched.directory.path().join("pid")).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap());
    assert!(kill(pid, None).is_err(), "the command is dead");
}

#[test]
fn a_command_may_hand_its_input_to_one_who_never_reads_it() {
    let Some(watched) = Watched::start() else {
        return;
    };
    watched.make("hold");
    let agent = watched.watch(
        "exec 3<&0; (while [ -e hold ]; do sleep 0.02; done) <&3 3<&- & \
         touch run.$SIGNPOST_WATCH_ZXID",
    );
    let runs = || {
        let files = std::fs::read_dir(watched.directory.path()).unwrap();
        let names = files.map(|file| file.unwrap().file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with("run."))
            .count()
    };
    eventually("the command runs", || runs() == 1);
    watched.change();
    eventually("the change runs it again", || runs() == 2);
    drop(agent);
}
