//! A Marathon that speaks the protocol which signpost reads: apps with their tasks, and events.
//!
//! There is none to install; this one is written after Marathon's API and its documentation.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// How often a stream without events shows that it is there.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// A Marathon.
pub(crate) struct Marathon {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    apps: Mutex<BTreeMap<String, Value>>,
    listeners: Mutex<Vec<Sender<String>>>,
    is_stopped: AtomicBool,
}

impl Marathon {
    /// Starts one that leads and has no apps.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
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

    /// Has this app, and tells it.
    pub(crate) fn put(&self, app: &Value) {
        let id = app["id"].as_str().unwrap().to_owned();
        let event = json!({"eventType": "api_post_event", "appDefinition": {"id": id}});
        self.shared.apps.lock().unwrap().insert(id, app.clone());
        self.tell(&event);
    }

    /// Changes an app, and tells it by the status of a task.
    pub(crate) fn change(&self, id: &str, change: impl FnOnce(&mut Value)) {
        change(self.shared.apps.lock().unwrap().get_mut(id).unwrap());
        self.tell(&json!({"eventType": "status_update_event", "appId": id}));
    }

    /// Has an app no more, and tells it.
    pub(crate) fn remove(&self, id: &str) {
        self.shared.apps.lock().unwrap().remove(id);
        self.tell(&json!({"eventType": "app_terminated_event", "appId": id}));
    }

    /// Returns all apps.
    pub(crate) fn apps(&self) -> BTreeMap<String, Value> {
        self.shared.apps.lock().unwrap().clone()
    }

    /// Has these apps without a word.
    pub(crate) fn set_apps(&self, apps: BTreeMap<String, Value>) {
        *self.shared.apps.lock().unwrap() = apps;
    }

    /// Ends all streams, and answers nobody more.
    pub(crate) fn stop(&self) {
        self.shared.is_stopped.store(true, SeqCst);
        self.shared.listeners.lock().unwrap().clear();
        // It is told by a connection, which nobody answers.
        TcpStream::connect(self.address).ok();
    }

    /// Sends an event to all who listen.
    pub(crate) fn tell(&self, event: &Value) {
        let kind = event["eventType"].as_str().unwrap();
        let text = format!("event: {kind}\r\ndata: {event}\r\n\r\n");
        let mut listeners = self.shared.listeners.lock().unwrap();
        listeners.retain(|one| one.send(text.clone()).is_ok());
    }
}

/// Makes a task that runs on this machine.
pub(crate) fn task(id: &str, port: u16) -> Value {
    json!({"id": id, "host": "127.0.0.1", "ports": [port], "state": "TASK_RUNNING",
        "slaveId": "S0", "startedAt": "2016-01-01T00:00:00.000Z", "version": "v1"})
}

/// Makes an app with one port.
pub(crate) fn app(id: &str, service_port: u16, labels: Value, tasks: &[Value]) -> Value {
    json!({"id": id, "instances": tasks.len(), "labels": labels, "tasks": tasks,
        "portDefinitions": [{"port": service_port, "protocol": "tcp", "name": "http"}],
        "deployments": [], "healthChecks": [], "env": {"A": "b"}})
}

fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let target = head.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    if path == "/v2/events" {
        return match head
            .to_ascii_lowercase()
            .contains("accept: text/event-stream")
        {
            true => stream_events(stream, shared),
            false => answer(&mut stream, "405 Method Not Allowed", &json!({})),
        };
    }
    let apps = shared.apps.lock().unwrap().clone();
    match path.strip_prefix("/v2/apps") {
        Some("") => {
            let all: Vec<_> = apps.into_values().collect();
            answer(&mut stream, "200 OK", &json!({ "apps": all }))
        }
        Some(id) if apps.contains_key(id) => {
            answer(&mut stream, "200 OK", &json!({ "app": apps[id] }))
        }
        _ => {
            let message = format!("App '{path}' does not exist");
            answer(&mut stream, "404 Not Found", &json!({ "message": message }))
        }
    }
}

fn answer(stream: &mut TcpStream, status: &str, body: &Value) -> std::io::Result<()> {
    let body = body.to_string();
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n");
    stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes())
}

fn stream_events(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let (sender, events): (_, Receiver<String>) = channel();
    shared.listeners.lock().unwrap().push(sender);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes())?;
    loop {
        match events.recv_timeout(HEARTBEAT) {
            Ok(text) => stream.write_all(text.as_bytes())?,
            Err(RecvTimeoutError::Timeout) => stream.write_all(b"\r\n")?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}
