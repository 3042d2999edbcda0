//! A Mesos master that speaks the protocols which signpost reads: `/state` and the v1 operator API.
//!
//! There is none to install; this one is written after the API's definition and Mesos's documentation.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use serde_json::{Value, json};

/// A master; what it knows is a state as `/state` says it.
pub(crate) struct MesosMaster {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<Value>,
    subscribers: Mutex<Vec<Sender<Vec<u8>>>>,
    is_stopped: AtomicBool,
}

impl MesosMaster {
    /// Starts a master that leads.
    pub(crate) fn start(state: Value) -> Self {
        Self::start_at("127.0.0.1", state)
    }

    /// Starts one at another address of this machine, such as `127.0.0.2`.
    pub(crate) fn start_at(host: &str, mut state: Value) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        state["leader"] = json!(format!("master@{address}"));
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            subscribers: Mutex::default(),
            is_stopped: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.is_stopped.load(SeqCst) {
                    return;
                }
                let shared = Arc::clone(&serving);
                // Who has asked may be gone.
                thread::spawn(move || serve(stream, &shared).ok());
            }
        });
        Self { address, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has a task added to a framework, and tells it.
    pub(crate) fn add(&self, framework: &str, task: &Value) {
        self.change(|state| {
            let frameworks = state["frameworks"].as_array_mut().unwrap();
            let mut all = frameworks.iter_mut();
            let one = all.find(|one| one["id"] == framework).unwrap();
            one["tasks"].as_array_mut().unwrap().push(task.clone());
        });
        self.tell(&json!({"type": "TASK_ADDED", "task_added": {"task": task1(task)}}));
    }

    /// Has a task in another state, and tells it.
    pub(crate) fn update(&self, framework: &str, task: &str, state: &str) {
        let mut agent = Value::Null;
        self.change(|known| {
            let frameworks = known["frameworks"].as_array_mut().unwrap();
            let mut all = frameworks.iter_mut();
            let one = all.find(|one| one["id"] == framework).unwrap();
            let mut tasks = one["tasks"].as_array_mut().unwrap().iter_mut();
            let one = tasks.find(|one| one["id"] == task).unwrap();
            one["state"] = json!(state);
            agent = one["slave_id"].clone();
        });
        let status =
            json!({"task_id": {"value": task}, "agent_id": {"value": agent}, "state": state});
        self.tell(&json!({"type": "TASK_UPDATED", "task_updated":
            {"framework_id": {"value": framework}, "status": status, "state": state}}));
    }

    /// Has an agent no more, and tells it.
    pub(crate) fn lose_agent(&self, agent: &str) {
        self.change(|known| {
            let agents = known["slaves"].as_array_mut().unwrap();
            agents.retain(|one| one["id"] != agent);
        });
        let event = json!({"agent_id": {"value": agent}});
        self.tell(&json!({"type": "AGENT_REMOVED", "agent_removed": event}));
    }

    /// Returns what is known, for another master.
    pub(crate) fn state(&self) -> Value {
        self.shared.state.lock().unwrap().clone()
    }

    /// Ends all streams, and answers nobody more.
    pub(crate) fn stop(&self) {
        self.shared.is_stopped.store(true, SeqCst);
        self.shared.subscribers.lock().unwrap().clear();
        // It is told by a connection, which nobody answers.
        TcpStream::connect(self.address).ok();
    }

    /// Changes what is known without a word.
    fn change(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.shared.state.lock().unwrap());
    }

    /// Sends an event to all who have subscribed.
    pub(crate) fn tell(&self, event: &Value) {
        let record = record(event);
        let mut subscribers = self.shared.subscribers.lock().unwrap();
        subscribers.retain(|one| one.send(record.clone()).is_ok());
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    if head.starts_with("POST /api/v1 ") {
        return stream_events(stream, shared);
    }
    let (status, body) = match head.starts_with("GET /master/state ") {
        true => ("200 OK", shared.state.lock().unwrap().to_string()),
        false => ("404 Not Found", String::new()),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes())
}

/// Sends what there is, and then what happens.
fn stream_events(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let (sender, events): (_, Receiver<Vec<u8>>) = channel();
    let first = {
        // Nothing may come between.
        let state = shared.state.lock().unwrap();
        shared.subscribers.lock().unwrap().push(sender);
        record(&subscribed(&state))
    };
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    )?;
    for record in [first].into_iter().chain(events) {
        // Records are cut anywhere.
        for piece in record.chunks(1_000) {
            let length = format!("{:x}\r\n", piece.len());
            stream.write_all(&[length.as_bytes(), piece, b"\r\n"].concat())?;
        }
    }
    Ok(())
}

/// Puts the length before an event (RecordIO).
fn record(event: &Value) -> Vec<u8> {
    let text = event.to_string();
    format!("{}\n{text}", text.len()).into_bytes()
}

/// Says a state as the first event of a stream does.
fn subscribed(state: &Value) -> Value {
    let list = |of: &Value, key: &str| of[key].as_array().cloned().unwrap_or_default();
    let frameworks = list(state, "frameworks");
    let tasks = frameworks.iter().flat_map(|one| list(one, "tasks"));
    let tasks: Vec<Value> = tasks.map(|task| task1(&task)).collect();
    let frameworks: Vec<Value> = frameworks
        .iter()
        .map(|one| {
            json!({"framework_info":
                {"id": {"value": one["id"]}, "name": one["name"], "hostname": one["hostname"]}})
        })
        .collect();
    let agents = list(state, "slaves");
    let agents: Vec<Value> = agents
        .iter()
        .map(|one| {
            json!({"agent_info": {"id": {"value": one["id"]}, "hostname": one["hostname"]},
                "pid": one["pid"]})
        })
        .collect();
    json!({"type": "SUBSCRIBED", "subscribed": {"heartbeat_interval_seconds": 15.0, "get_state": {
        "get_tasks": {"tasks": tasks},
        "get_frameworks": {"frameworks": frameworks},
        "get_agents": {"agents": agents},
    }}})
}

/// Says a task of `/state` as the v1 API does.
fn task1(task: &Value) -> Value {
    let mut said = task.clone();
    let fields = said.as_object_mut().unwrap();
    for (from, to) in [
        ("id", "task_id"),
        ("framework_id", "framework_id"),
        ("slave_id", "agent_id"),
    ] {
        let value = fields.remove(from).unwrap();
        fields.insert(to.to_owned(), json!({"value": value}));
    }
    if let Some(ports) = task["resources"]["ports"].as_str() {
        let ranges = ports.trim_matches(['[', ']']).split(',');
        let ranges = ranges.filter_map(|range| range.trim().split_once('-'));
        let number = |text: &str| text.parse::<u64>().unwrap();
        let ranges: Vec<Value> = ranges
            .map(|(begin, end)| json!({"begin": number(begin), "end": number(end)}))
            .collect();
        let ports = json!({"name": "ports", "type": "RANGES", "ranges": {"range": ranges}});
        fields.insert("resources".to_owned(), json!([ports]));
    }
    // The API has labels in a message of their own.
    let statuses = said.get_mut("statuses").and_then(Value::as_array_mut);
    for status in statuses.into_iter().flatten() {
        if status["labels"].is_array() {
            status["labels"] = json!({"labels": status["labels"]});
        }
    }
    said
}
