//! The source against a Marathon that speaks the protocol.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::broadcast,
};

use super::*;
use crate::{Update, testing};

/// A Marathon: its apps, and the events that it tells.
struct Server {
    address: std::net::SocketAddr,
    script: Arc<Script>,
}

struct Script {
    apps: Mutex<Value>,
    /// The status line, and headers, of the answer to who listens.
    listen: Mutex<String>,
    events: broadcast::Sender<Option<String>>,
    listeners: AtomicUsize,
    /// What was asked for, but for queries.
    asked: Mutex<Vec<String>>,
}

const STREAM: &str = "200 OK\r\nContent-Type: text/event-stream";

impl Server {
    async fn start(apps: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Script {
            apps: Mutex::new(apps),
            listen: Mutex::new(STREAM.to_owned()),
            events: broadcast::channel(100).0,
            listeners: AtomicUsize::new(0),
            asked: Mutex::default(),
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
            urls: vec![format!("http://{}", self.address).parse().unwrap()],
            ..Config::default()
        }
    }

    /// Changes the apps without a word.
    fn change(&self, apps: Value) {
        *self.script.apps.lock().unwrap() = apps;
    }

    fn tell(&self, event: &Value) {
        let kind = event["eventType"].as_str().unwrap();
        let text = format!("event: {kind}\r\ndata: {event}\r\n\r\n");
        self.script.events.send(Some(text)).unwrap();
    }

    fn asked(&self) -> Vec<String> {
        self.script.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, script: &Script) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap();
    let path = target.split('?').next().unwrap().to_owned();
    script.asked.lock().unwrap().push(path.clone());
    if path == "/v2/events" {
        assert!(head.contains("accept: text/event-stream"), "{head}");
        let mut events = script.events.subscribe();
        script.listeners.fetch_add(1, Ordering::SeqCst);
        let status = script.listen.lock().unwrap().clone();
        stream
            .write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n").as_bytes())
            .await?;
        if !status.starts_with("200") {
            return Ok(());
        }
        while let Ok(Some(event)) = events.recv().await {
            // In pieces, as they may come.
            let (first, rest) = event.split_at(event.len() / 2);
            stream.write_all(first.as_bytes()).await?;
            stream.flush().await?;
            stream.write_all(rest.as_bytes()).await?;
        }
        return Ok(());
    }
    let apps = script.apps.lock().unwrap().clone();
    let (status, body) = match path.strip_prefix("/v2/apps") {
        Some("/forbidden") => ("403 Forbidden", json!({})),
        Some("/stalls") => {
            stream
                .write_all(b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\n")
                .await?;
            stream.flush().await?;
            std::future::pending().await
        }
        Some("") => ("200 OK", json!({ "apps": apps })),
        Some(id) => match apps.as_array().unwrap().iter().find(|one| one["id"] == id) {
            Some(app) => ("200 OK", json!({ "app": app })),
            None => ("404 Not Found", json!({"message": "no such app"})),
        },
        None => ("404 Not Found", json!({})),
    };
    let body = body.to_string();
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await
}

fn app(id: &str, tasks: &[(&str, &str)]) -> Value {
    let task = |(id, state): &(&str, &str)| {
        json!({"id": id, "host": "10.0.0.1", "ports": [31001], "state": state,
            "startedAt": "2016-01-01T00:00:00Z"})
    };
    let tasks: Vec<_> = tasks.iter().map(task).collect();
    json!({"id": id, "tasks": tasks, "portDefinitions": [{"port": 10001}]})
}

fn keys(update: Update) -> Vec<String> {
    match update {
        Update::Reset { entries, .. } => entries.iter().map(|one| one.key.to_string()).collect(),
        Update::Put(entry) => {
            let states = entry.instances.iter().map(|one| one.state.to_string());
            vec![format!("{} {}", entry.key, states.collect::<String>())]
        }
        Update::Remove(key) => vec![format!("-{key}")],
        Update::Refuse(refusal) => vec![refusal.key.to_string()],
    }
}

#[tokio::test]
async fn an_event_has_its_app_read_and_no_other() {
    let server = Server::start(json!([
        app("/a", &[("a1", "TASK_RUNNING")]),
        app("/b", &[])
    ]))
    .await;
    let mut told = testing::run(Marathon::from(server.config()));
    assert_eq!(keys(told.next().await), ["/a", "/a:a1", "/b"]);
    let killing = app("/a", &[("a1", "TASK_KILLING")]);
    server.change(json!([killing, app("/b", &[("b1", "TASK_RUNNING")])]));
    server.tell(&json!({"eventType": "status_update_event", "appId": "/a"}));
    assert_eq!(keys(told.next().await), ["/a:a1 draining"]);
    server.tell(&json!({"eventType": "instance_changed_event", "runSpecId": "/b"}));
    assert_eq!(keys(told.next().await), ["/b:b1 up"]);
    server.change(json!([killing]));
    server.tell(&json!({"eventType": "app_terminated_event", "appId": "/b"}));
    assert_eq!(keys(told.next().await), ["-/b"]);
    assert_eq!(keys(told.next().await), ["-/b:b1"]);
    let expected = [
        "/v2/events",
        "/v2/apps",
        "/v2/apps/a",
        "/v2/apps/b",
        "/v2/apps/b",
    ];
    assert_eq!(server.asked(), expected);
    server.change(json!([app("/c", &[])]));
    server.tell(&json!({"eventType": "group_change_success", "groupId": "/"}));
    assert_eq!(keys(told.next().await), ["-/a"]);
}

#[tokio::test]
async fn another_marathon_leads_the_way_to_the_leader() {
    let leader = Server::start(json!([app("/a", &[])])).await;
    let other = Server::start(json!([])).await;
    *other.script.listen.lock().unwrap() = format!(
        "307 Temporary Redirect\r\nLocation: http://{}/v2/events?event_type=x",
        leader.address
    );
    let mut told = testing::run(Marathon::from(other.config()));
    assert_eq!(keys(told.next().await), ["/a"]);
    assert_eq!(other.asked(), ["/v2/events"]);
    assert_eq!(leader.asked(), ["/v2/events", "/v2/apps"]);
}

#[tokio::test]
async fn marathons_that_redirect_to_each_other_fail_the_run() {
    let one = Server::start(json!([])).await;
    let location = format!("302 Found\r\nLocation: http://{}/v2/events", one.address);
    *one.script.listen.lock().unwrap() = location;
    let mut told = testing::run(Marathon::from(one.config()));
    let reason = told.failure().await;
    assert!(reason.contains("redirects again and again"), "{reason}");
}

#[tokio::test]
async fn a_marathon_without_events_is_asked_again_and_again() {
    let server = Server::start(json!([app("/a", &[])])).await;
    *server.script.listen.lock().unwrap() = "405 Method Not Allowed".to_owned();
    let config = Config {
        refresh: ::config::Duration::from_millis(20),
        ..server.config()
    };
    let mut told = testing::run(Marathon::from(config));
    assert_eq!(keys(told.next().await), ["/a"]);
    server.change(json!([app("/a", &[("a1", "TASK_RUNNING")])]));
    assert_eq!(keys(told.next().await), ["/a:a1 up"]);
}

#[tokio::test]
async fn a_silent_stream_is_left_for_another_one() {
    let server = Server::start(json!([])).await;
    let config = Config {
        silence: ::config::Duration::from_millis(50),
        ..server.config()
    };
    let mut told = testing::run(Marathon::from(config));
    assert_eq!(keys(told.next().await), [""; 0]);
    server.change(json!([app("/a", &[])]));
    assert_eq!(keys(told.next().await), ["/a "]);
    assert!(server.script.listeners.load(Ordering::SeqCst) > 1);
}

#[tokio::test]
async fn what_no_event_tells_is_found_by_and_by_and_counted() {
    let server = Server::start(json!([])).await;
    let config = Config {
        refresh: ::config::Duration::from_millis(20),
        ..server.config()
    };
    let mut told = testing::run(Marathon::from(config));
    assert_eq!(keys(told.next().await), [""; 0]);
    server.change(json!([app("/a", &[])]));
    assert_eq!(told.drift().await, 1);
    assert_eq!(keys(told.next().await), ["/a "]);
}

#[tokio::test]
async fn a_stream_that_ends_and_an_answer_cut_in_half_fail_the_run() {
    let server = Server::start(json!([app("/a", &[])])).await;
    let mut source = Marathon::from(server.config());
    let mut told = testing::run(Marathon::from(server.config()));
    assert_eq!(keys(told.next().await), ["/a"]);
    server.script.events.send(None).unwrap();
    let reason = told.failure().await;
    assert!(
        reason.contains("the stream of events has ended"),
        "{reason}"
    );
    source.config.answer_bytes_max = ::config::Size::from_bytes(10);
    let mut told = testing::run(source);
    let reason = told.failure().await;
    assert!(reason.contains("more than 10 bytes"), "{reason}");
}

#[tokio::test]
async fn nobody_to_ask_is_said_with_who_was_asked() {
    let mut config = Server::start(json!([])).await.config();
    config.urls = vec!["http://127.0.0.1:1".parse().unwrap()];
    config.timeout = ::config::Duration::from_millis(500);
    let mut told = testing::run(Marathon::from(config));
    let reason = told.failure().await;
    assert!(reason.contains("127.0.0.1:1"), "{reason}");
}

#[tokio::test]
async fn one_app_that_fails_alone_takes_nothing_down() {
    let server = Server::start(json!([app("/a", &[])])).await;
    let config = Config {
        timeout: ::config::Duration::from_millis(200),
        ..server.config()
    };
    let mut told = testing::run(Marathon::from(config));
    assert_eq!(keys(told.next().await), ["/a"]);
    server.tell(&json!({"eventType": "status_update_event", "appId": "/forbidden"}));
    server.change(json!([app("/a", &[("a1", "TASK_RUNNING")])]));
    server.tell(&json!({"eventType": "status_update_event", "appId": "/stalls"}));
    // What stalls has all apps read, in the end.
    assert_eq!(keys(told.next().await), ["/a:a1 up"]);
    assert_eq!(server.asked().last().unwrap(), "/v2/apps");
}

#[tokio::test]
async fn what_events_tell_is_no_drift_and_all_apps_are_not_read_without_a_pause() {
    let server = Server::start(json!([])).await;
    let config = Config {
        refresh: ::config::Duration::from_millis(300),
        ..server.config()
    };
    let mut told = testing::run(Marathon::from(config));
    assert_eq!(keys(told.next().await), [""; 0]);
    for n in 0..20 {
        server.change(json!([app(&format!("/a{n}"), &[])]));
        server.tell(&json!({"eventType": "group_change_success", "groupId": "/"}));
    }
    assert_eq!(keys(told.next().await), ["/a19 "]);
    let whole = server.asked().into_iter().filter(|path| path == "/v2/apps");
    assert_eq!(whole.count(), 2);
    server.change(json!([app("/b", &[])]));
    assert_eq!(told.drift().await, 2);
}
