//! What runs beside instances: the registrar, and the watch that runs a command.

use std::time::Duration;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::runtime::Runtime;
use zookeeper_client::{Acls, Client, CreateMode};

use crate::support::{
    PATIENCE,
    chain::{Agent, Chain, NAME, SESSION_TIMEOUT},
    eventually,
    zookeeper::Ensemble,
};

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
