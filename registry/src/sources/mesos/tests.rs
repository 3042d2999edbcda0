//! The source against a master that speaks the protocol.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::broadcast,
};

use super::*;
use crate::{Update, testing};

/// A master: what it answers a subscription with, and the events that follow.
struct Master {
    address: std::net::SocketAddr,
    script: Arc<Script>,
}

struct Script {
    /// The status line, and headers, of the answer to a subscription.
    subscribe: Mutex<String>,
    state: Mutex<Value>,
    events: broadcast::Sender<Option<Vec<u8>>>,
    subscriptions: AtomicUsize,
    /// How many times the state was read.
    reads: AtomicUsize,
    /// How long reading it takes.
    delay: Mutex<Duration>,
}

impl Master {
    /// Starts a master that leads, unless its state names another one.
    async fn start(mut state: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        if state["leader"].is_null() {
            state["leader"] = json!(format!("master@{address}"));
        }
        let script = Arc::new(Script {
            subscribe: Mutex::new("200 OK\r\nTransfer-Encoding: chunked".to_owned()),
            state: Mutex::new(state),
            events: broadcast::channel(100).0,
            subscriptions: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            delay: Mutex::default(),
        });
        let serving = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let script = Arc::clone(&serving);
                tokio::spawn(async move { serve(stream, &script).await.ok() });
            }
        });
        Self { address, script }
    }

    fn config(&self) -> Config {
        Config {
            masters: vec![self.address.to_string()],
            refresh: ::config::Duration::from_millis(50),
            ..Config::default()
        }
    }

    fn send(&self, event: &Value) {
        let text = event.to_string();
        let record = format!("{}\n{text}", text.len()).into_bytes();
        self.script.events.send(Some(record)).unwrap();
    }
}

async fn serve(mut stream: TcpStream, script: &Script) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    if !request.starts_with("POST /api/v1 ") {
        let found = request.starts_with("GET /master/state ");
        script.reads.fetch_add(usize::from(found), Ordering::SeqCst);
        let delay = *script.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        let body = script.state.lock().unwrap().to_string();
        let status = if found { "200 OK" } else { "404 Not Found" };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        return stream.write_all(format!("{head}{body}").as_bytes()).await;
    }
    let mut events = script.events.subscribe();
    script.subscriptions.fetch_add(1, Ordering::SeqCst);
    let head = script.subscribe.lock().unwrap().clone();
    if !head.starts_with("200") {
        return stream
            .write_all(format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n").as_bytes())
            .await;
    }
    stream
        .write_all(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes())
        .await?;
    let first = subscribed(&script.state.lock().unwrap()).to_string();
    chunk(&mut stream, format!("{}\n{first}", first.len()).as_bytes()).await?;
    while let Ok(Some(record)) = events.recv().await {
        // Lengths and records are cut anywhere.
        for piece in record.chunks(7) {
            chunk(&mut stream, piece).await?;
        }
    }
    Ok(())
}

async fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream
        .write_all(format!("{:x}\r\n", bytes.len()).as_bytes())
        .await?;
    stream.write_all(bytes).await?;
    stream.write_all(b"\r\n").await
}

/// The same state as an event says it.
fn subscribed(state: &Value) -> Value {
    let all = |key: &str| state[key].as_array().cloned().unwrap_or_default();
    let frameworks = all("frameworks");
    let tasks: Vec<Value> = frameworks
        .iter()
        .flat_map(|one| one["tasks"].as_array().cloned().unwrap_or_default())
        .collect();
    let frameworks: Vec<Value> = frameworks
        .iter()
        .map(|one| json!({"framework_info": {"id": {"value": one["id"]}, "name": one["name"]}}))
        .collect();
    let agents: Vec<Value> = all("slaves")
        .iter()
        .map(|one| json!({"agent_info": {"id": {"value": one["id"]}}, "pid": one["pid"]}))
        .collect();
    json!({"type": "SUBSCRIBED", "subscribed": {"heartbeat_interval_seconds": 5.0, "get_state": {
        "get_tasks": {"tasks": tasks},
        "get_frameworks": {"frameworks": frameworks},
        "get_agents": {"agents": agents},
    }}})
}

fn state() -> Value {
    json!({
        "slaves": [{"id": "S1", "pid": "slave(1)@10.0.0.1:5051"}],
        "frameworks": [{"id": "f1", "name": "marathon", "pid": "s@10.0.0.8:4000",
            "tasks": [task("t1", "web")]}],
    })
}

fn task(id: &str, name: &str) -> Value {
    json!({"task_id": {"value": id}, "framework_id": {"value": "f1"},
        "agent_id": {"value": "S1"}, "name": name, "state": "TASK_RUNNING"})
}

fn services(update: &Update) -> Vec<&str> {
    match update {
        Update::Reset { entries, .. } => {
            let mut names: Vec<_> = entries.iter().map(|one| one.service.as_str()).collect();
            names.sort_unstable();
            names
        }
        Update::Put(entry) => vec![entry.service.as_str()],
        Update::Remove(_) | Update::Refuse(_) => Vec::new(),
    }
}

#[tokio::test]
async fn a_stream_starts_with_everything_and_goes_on_with_changes() {
    let master = Master::start(state()).await;
    let mut told = testing::run(Mesos::from(master.config()));
    let reset = told.next().await;
    let all = [
        "leader",
        "master",
        "slave",
        "web.marathon",
        "web.marathon.slave",
    ];
    assert_eq!(services(&reset), all);
    // Where a scheduler is, only the state says.
    let scheduler = told.next().await;
    assert_eq!(services(&scheduler), ["marathon"]);
    master.send(&json!({"type": "TASK_ADDED", "task_added": {"task": task("t2", "new")}}));
    let put = told.next().await;
    assert_eq!(services(&put), ["new.marathon"]);
    told.next().await;
    master.send(
        &json!({"type": "TASK_UPDATED", "task_updated": {"framework_id": {"value": "f1"},
        "state": "TASK_FINISHED", "status": {"task_id": {"value": "t2"},
            "state": "TASK_FINISHED", "timestamp": 2.0}}}),
    );
    let removed = told.next().await;
    let Update::Remove(key) = &removed else {
        panic!("{removed:?}");
    };
    assert_eq!(key.as_str(), "frameworks/f1/tasks/t2");
    told.next().await;
    // One that can't be read is refused, and the stream goes on.
    master
        .send(&json!({"type": "TASK_ADDED", "task_added": {"task": {"task_id": {"value": "t3"}}}}));
    assert!(
        matches!(told.next().await, Update::Refuse(refusal) if refusal.key.as_str() == "tasks/t3")
    );
    master.script.events.send(None).unwrap();
    let reason = told.failure().await;
    assert!(
        reason.contains("the stream has ended") || reason.contains("connection"),
        "{reason}"
    );
}

#[tokio::test]
async fn another_master_leads_the_way_to_the_leader() {
    let leader = Master::start(state()).await;
    let follower = Master::start(json!({})).await;
    let to = format!(
        "307 Temporary Redirect\r\nLocation: //{}/api/v1",
        leader.address
    );
    *follower.script.subscribe.lock().unwrap() = to;
    let mut told = testing::run(Mesos::from(follower.config()));
    let reset = told.next().await;
    let Update::Reset { entries, .. } = &reset else {
        panic!("{reset:?}");
    };
    let place = entries
        .iter()
        .find(|one| one.service.as_str() == "leader")
        .unwrap();
    assert_eq!(place.instances[0].ports[0].number, leader.address.port());
}

#[tokio::test]
async fn a_master_that_recovers_or_talks_nonsense_fails_the_run() {
    let master = Master::start(state()).await;
    for (answer, reason) in [
        (
            "503 Service Unavailable",
            "the answer was 503 Service Unavailable",
        ),
        (
            "200 OK\r\nContent-Length: 9\r\n\r\nno stream",
            "`no stream` is no length of a record",
        ),
    ] {
        *master.script.subscribe.lock().unwrap() = answer.to_owned();
        let mut told = testing::run(Mesos::from(master.config()));
        let failure = told.failure().await;
        assert!(
            failure.contains(reason) || failure.contains("the stream"),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn an_old_master_is_asked_for_its_state_again_and_again() {
    let mut old = state();
    old["frameworks"][0]["tasks"] = json!([{"id": "t1", "framework_id": "f1", "slave_id": "S1",
        "name": "web", "state": "TASK_RUNNING"}]);
    let master = Master::start(old).await;
    *master.script.subscribe.lock().unwrap() = "404 Not Found".to_owned();
    let mut told = testing::run(Mesos::from(master.config()));
    assert!(services(&told.next().await).contains(&"web.marathon"));
    master.script.state.lock().unwrap()["frameworks"][0]["tasks"] = json!([]);
    told.until(|update| !services(update).contains(&"web.marathon"))
        .await;
    assert_eq!(master.script.subscriptions.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_old_master_that_follows_is_asked_once_who_leads() {
    let leader = Master::start(state()).await;
    let to = json!({"leader": format!("master@{}", leader.address)});
    let follower = Master::start(to).await;
    for master in [&leader, &follower] {
        *master.script.subscribe.lock().unwrap() = "404 Not Found".to_owned();
    }
    let mut told = testing::run(Mesos::from(follower.config()));
    for _ in 0..3 {
        assert!(services(&told.next().await).contains(&"slave"));
    }
    assert_eq!(follower.script.reads.load(Ordering::SeqCst), 1);
    assert!(leader.script.reads.load(Ordering::SeqCst) >= 3);
}

#[tokio::test]
async fn masters_that_call_each_other_the_leader_fail_the_run() {
    let first = Master::start(state()).await;
    let to = json!({"leader": format!("master@{}", first.address)});
    let second = Master::start(to).await;
    first.script.state.lock().unwrap()["leader"] = json!(format!("master@{}", second.address));
    for master in [&first, &second] {
        *master.script.subscribe.lock().unwrap() = "404 Not Found".to_owned();
    }
    let mut told = testing::run(Mesos::from(first.config()));
    let failure = told.failure().await;
    assert!(failure.contains("the leader"), "{failure}");
}

#[tokio::test]
async fn events_do_not_wait_for_the_state_that_says_where_schedulers_are() {
    let master = Master::start(state()).await;
    *master.script.delay.lock().unwrap() = Duration::from_secs(3600);
    let mut config = master.config();
    config.timeout = ::config::Duration::from_secs(7200);
    let mut told = testing::run(Mesos::from(config));
    told.next().await;
    while master.script.reads.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    master.send(&json!({"type": "TASK_ADDED", "task_added": {"task": task("t2", "new")}}));
    assert_eq!(services(&told.next().await), ["new.marathon"]);
}
