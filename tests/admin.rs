//! The admin API as people and programs use it.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::support::{
    client, eventually,
    signpost::{PROGRAM, Signpost},
};

const ONE: &str = r#"{"address": "127.0.0.1", "port": 80}"#;

/// The events of a stream, as (kind, data).
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(signpost: &Signpost) -> Self {
        let admin = signpost.admin();
        let address = admin.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let request = format!("GET /v1/events HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        Self(BufReader::new(stream))
    }

    fn next(&mut self) -> (String, Value) {
        let mut kind = None;
        loop {
            let mut line = String::new();
            assert!(
                self.0.read_line(&mut line).unwrap() > 0,
                "the stream has ended"
            );
            if let Some(name) = line.strip_prefix("event: ") {
                kind = Some(name.trim().to_owned());
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (kind.unwrap(), serde_json::from_str(data).unwrap());
            }
        }
    }
}

#[test]
fn events_tell_each_change_as_it_is_published() {
    let signpost = Signpost::start("");
    eventually("the store has synced", || signpost.get("/readyz").0 == 200);
    let mut events = Events::open(&signpost);
    let (kind, first) = events.next();
    assert_eq!(kind, "snapshot");
    let (_, put) = signpost.put("web", "one", ONE);
    let (kind, event) = events.next();
    assert_eq!(
        (kind.as_str(), &event["service"]),
        ("service", &"web".into())
    );
    assert_eq!(event["instances"][0]["id"], "one");
    assert_eq!(event["version"], put["version"]);
    assert!(event["version"].as_u64() > first["version"].as_u64());
    signpost.delete("web", "one");
    let (kind, event) = events.next();
    assert_eq!(
        (kind.as_str(), &event["service"]),
        ("service_removed", &"web".into())
    );
}

#[test]
fn a_blocking_query_returns_when_the_service_changes_or_goes() {
    let signpost = Signpost::start("");
    let (_, put) = signpost.put("web", "one", ONE);
    let index = put["version"].as_u64().unwrap();
    let url = format!("{}/v1/services/web", signpost.admin());
    let wait = |index: u64, wait: &str| {
        let url = format!("{url}?index={index}&wait={wait}");
        thread::spawn(move || client::request("GET", &url, ""))
    };
    // Older than what there is: at once. Not changed: after the wait.
    assert_eq!(wait(index - 1, "10m").join().unwrap().0, 200);
    assert_eq!(wait(index, "100ms").join().unwrap().0, 200);

    let waiting = wait(index, "10m");
    signpost.put("other", "one", ONE);
    let (_, put) = signpost.put("web", "two", ONE);
    let (_, service) = waiting.join().unwrap();
    assert_eq!(service["instances"].as_array().unwrap().len(), 2);
    assert_eq!(service["version"], put["version"]);

    let waiting = wait(put["version"].as_u64().unwrap(), "10m");
    signpost.delete("web", "one");
    waiting.join().unwrap();
    let (_, removed) = signpost.delete("web", "two");
    // Also for one who comes late: it has gone since what he saw.
    let (status, _) = wait(removed["version"].as_u64().unwrap() - 1, "10m")
        .join()
        .unwrap();
    assert_eq!(status, 404);
}

#[test]
fn long_polls_leave_room_for_health_checks() {
    let signpost = Signpost::start("");
    let (_, put) = signpost.put("web", "one", ONE);
    let version = put["version"].as_u64().unwrap();
    let admin = signpost.admin();
    let address = admin.strip_prefix("http://").unwrap();
    let polls: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            let path = format!("/v1/services/web?index={version}&wait=10m");
            let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(signpost.get("/healthz").0, 200);
    drop(polls);
    eventually("there is room again", || {
        let path = format!("/v1/services/web?index={version}&wait=1ms");
        signpost.get(&path).0 == 200
    });
}

#[test]
fn a_new_token_holds_after_a_reload() {
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    fs::write(directory.path().join("token"), "old").unwrap();
    let signpost = Signpost::start_in(
        directory,
        "[admin]\nlisten = '127.0.0.1:0'\ntoken_file = 'token'\n",
    );
    let put = |token: &str| {
        let url = format!("{}/v1/services/web/instances/one", signpost.admin());
        client::request_with(
            "PUT",
            &url,
            &format!("Authorization: Bearer {token}\r\n"),
            ONE,
        )
        .0
    };
    assert_eq!((put("old"), put("new")), (201, 401));
    fs::write(signpost.directory().join("token"), "new").unwrap();
    signpost.signal(Signal::SIGHUP);
    eventually("the new token holds", || put("new") == 200);
    assert_eq!(put("old"), 401);
}

#[test]
fn the_registrar_keeps_a_lease_at_the_admin_api() {
    let signpost = Signpost::start("");
    let flag = signpost.directory().join("healthy");
    fs::write(&flag, "").unwrap();
    let check = format!("command:test -e {}", flag.display());
    let arguments = [
        "register",
        "--service",
        "web",
        "--id",
        "one",
        "--port",
        "80",
        "--weight",
        "7",
        "--check",
        &check,
        "--every",
        "100ms",
        "--to",
        &signpost.admin(),
    ];
    let agent = Command::new(PROGRAM)
        .args(arguments)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut agent = Agent(agent);
    let registered = || signpost.get("/v1/services/web").0 == 200;
    eventually("it is registered", registered);
    let (_, service) = signpost.get("/v1/services/web");
    let instance = &service["instances"][0];
    assert_eq!(
        (&instance["id"], &instance["weight"]),
        (&"one".into(), &7.into())
    );
    assert_eq!(instance["addresses"][0], "127.0.0.1");
    fs::remove_file(&flag).unwrap();
    eventually("it leaves when the check fails", || !registered());
    fs::write(&flag, "").unwrap();
    eventually("it comes back", registered);
    kill(Pid::from_raw(agent.0.id() as i32), Signal::SIGTERM).unwrap();
    eventually("it takes itself out", || !registered());
    assert_eq!(agent.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_zone_is_listed_and_exported() {
    let signpost = Signpost::start("");
    assert_eq!(signpost.put("web", "a", ONE).0, 201);
    let (status, zones) = signpost.get("/v1/zones");
    assert_eq!((status, zones.as_array().unwrap().len()), (200, 1));
    let zone = &zones[0];
    assert_eq!(
        (
            &zone["domain"],
            &zone["scheme"],
            &zone["names"],
            &zone["records"]
        ),
        (
            &"svc.internal".into(),
            &"plain".into(),
            &5.into(),
            &6.into()
        )
    );
    let exported = signpost.verb(&["zone", "export", "svc.internal."]);
    let errors = String::from_utf8_lossy(&exported.stderr);
    assert_eq!((exported.status.code(), &*errors), (Some(0), ""));
    let file = String::from_utf8(exported.stdout).unwrap();
    assert!(
        file.contains("\nweb.svc.internal. 5 IN A 127.0.0.1\n"),
        "{file}"
    );
    let soa = format!(
        " 5 IN SOA ns.svc.internal. hostmaster.svc.internal. {} ",
        zone["serial"]
    );
    assert!(file.contains(&soa), "{file}");
    let admin = signpost.admin();
    let address = admin.strip_prefix("http://").unwrap();
    let request = format!(
        "GET /v1/zones/svc.internal HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    );
    let answer = client::exchange(address.parse().unwrap(), request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: text/dns\r\n"), "{head}");
    assert_eq!(body, file);
    let other = signpost.verb(&["zone", "export", "web.svc.internal"]);
    let errors = String::from_utf8(other.stderr).unwrap();
    assert_eq!(other.status.code(), Some(1));
    assert_eq!(errors, "`web.svc.internal` is no zone's domain\n");
    assert_eq!(signpost.get("/v1/zones/internal").0, 404);
    let post = client::request("POST", &format!("{admin}/v1/zones"), "");
    assert_eq!(post.0, 405);
}

/// An agent that is killed when the test fails.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
