//! What clients see of instances that fail, as docs/proxy.md says it.

use std::{
    collections::HashSet,
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::support::{
    client,
    faulty::{Faulty, Killable, Peer},
    signpost::Signpost,
    upstream::Upstream,
};

/// How many requests are sent where each must come out the same.
const REQUESTS: usize = 30;

/// How long a client waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a client has got: everything until the end, and how that came.
#[derive(Debug)]
struct Got {
    text: String,
    /// Whether the connection ended with a reset.
    reset: bool,
}

impl Got {
    fn status(&self) -> u16 {
        client::status(&self.text)
    }

    fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").unwrap().1
    }

    /// Returns the status, and the reason where the proxy has answered by itself.
    fn outcome(&self) -> (u16, String) {
        let body: serde_json::Value = serde_json::from_str(self.body()).unwrap_or_default();
        let reason = body["reason"].as_str().unwrap_or_default();
        (self.status(), reason.to_owned())
    }
}

fn connect(signpost: &Signpost) -> TcpStream {
    let stream = TcpStream::connect(signpost.proxy()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn send(stream: &mut TcpStream, method: &str, path: &str, body: &str) {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    // A server that has answered already may read no more of it.
    stream.write_all(request.as_bytes()).ok();
}

fn receive(mut stream: TcpStream) -> Got {
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes);
    let reset = ended.is_err_and(|error| match error.kind() {
        ErrorKind::ConnectionReset => true,
        kind => panic!("{kind:?}"),
    });
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Got { text, reset }
}

/// Sends a request on a connection of its own.
fn ask(signpost: &Signpost, method: &str, path: &str, body: &str) -> Got {
    let mut stream = connect(signpost);
    send(&mut stream, method, path, body);
    receive(stream)
}

fn outcome(signpost: &Signpost, method: &str, body: &str) -> (u16, String) {
    ask(signpost, method, "/", body).outcome()
}

fn failed(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

fn well() -> (u16, String) {
    failed(200, "")
}

#[test]
fn of_an_instance_that_is_killed_only_what_may_not_be_repeated_is_lost() {
    let signpost = Signpost::start("");
    let mut killed = Killable::start();
    signpost.put("web", "killed", &killed.registration());
    // It is asked only when the first one fails: its weight is 0.
    let other = Upstream::start("other");
    let spare = format!(
        r#"{{"address": "127.0.0.1", "port": {}, "weight": 0}}"#,
        other.port()
    );
    signpost.put("web", "other", &spare);
    assert_eq!(outcome(&signpost, "POST", "x"), well());
    let start = |method: &str, path: &str, line: &str, killed: &mut Killable| {
        let mut stream = connect(&signpost);
        send(&mut stream, method, path, "x");
        assert_eq!(killed.next_line(), line);
        stream
    };
    let get = start("GET", "/slow", "/slow", &mut killed);
    let put = start("PUT", "/slow", "/slow", &mut killed);
    let post = start("POST", "/slow", "/slow", &mut killed);
    let half = start("GET", "/half", "/half", &mut killed);
    killed.kill();

    // Without an answer: repeated at another instance, unless it could do something twice.
    for stream in [get, put] {
        let got = receive(stream);
        assert_eq!((got.status(), got.body()), (200, "other"), "{got:?}");
    }
    assert_eq!(receive(post).outcome(), failed(502, "upstream_reset"));
    // Half an answer: the client can tell by the length.
    let got = receive(half);
    assert_eq!((got.status(), got.body()), (200, "pr"));
    assert!(
        got.text
            .to_ascii_lowercase()
            .contains("content-length: 4\r\n"),
        "{got:?}"
    );
    // Nobody listens there any more: nothing was sent, so any request goes to another instance.
    for method in ["GET", "POST"].repeat(REQUESTS) {
        let got = ask(&signpost, method, "/", "");
        assert_eq!(
            (got.status(), got.body()),
            (200, "other"),
            "{method} {got:?}"
        );
    }
    signpost.delete("web", "other");
    for method in ["GET", "POST"] {
        assert_eq!(
            outcome(&signpost, method, ""),
            failed(502, "upstream_refused")
        );
    }
}

#[test]
fn an_instance_that_never_answers_costs_the_time_and_the_request_is_not_repeated() {
    let signpost = Signpost::start("[proxy.timeouts]\nrequest = '300ms'\n");
    let silent = Faulty::start(|peer| {
        peer.head();
        peer.rest();
    });
    signpost.put("web", "silent", &silent.registration());
    for method in ["GET", "PUT", "POST"] {
        assert_eq!(
            outcome(&signpost, method, "x"),
            failed(504, "upstream_timeout")
        );
    }
    assert_eq!(silent.requests(), 3);
}

/// Sends a request on a connection that stays; returns what [`Got::outcome`] does.
fn ask_on(stream: &mut TcpStream) -> (u16, String) {
    let request = b"GET / HTTP/1.1\r\nHost: web\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut reader = BufReader::new(stream);
    let (mut text, mut length) = (String::new(), 0);
    while !text.ends_with("\r\n\r\n") {
        let begin = text.len();
        assert_ne!(reader.read_line(&mut text).unwrap(), 0, "{text}");
        let line = text[begin..].to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    text.push_str(std::str::from_utf8(&body).unwrap());
    Got { text, reset: false }.outcome()
}

/// How many times the descriptors of a process are looked at: a health check has one for a moment, and
/// what it leaves behind would be room.
const LOOKS: usize = 500;

/// Leaves a process no room for another descriptor; returns what the limit was.
fn fill_descriptors(process: i32) -> Rlimit {
    let lowest_free = || {
        let list = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
        let names = list.filter_map(|entry| Some(entry.ok()?.file_name()));
        let used: HashSet<u64> = names
            .map(|name| name.to_str().unwrap().parse().unwrap())
            .collect();
        (0..).find(|number| !used.contains(number)).unwrap()
    };
    let free = (0..LOOKS).map(|_| lowest_free()).min();
    set_descriptors(process, |limit| limit.current = free)
}

fn set_descriptors(process: i32, change: impl FnOnce(&mut Rlimit)) -> Rlimit {
    let process = Some(Pid::from_raw(process).unwrap());
    let mut limit = getrlimit(Resource::Nofile);
    change(&mut limit);
    prlimit(process, Resource::Nofile, limit).unwrap()
}

#[test]
fn a_machine_without_room_for_connections_blames_no_instance() {
    let signpost = Signpost::start(
        "[proxy.limits]\nupstream_idle = 0\n\
         [proxy.services.web]\ncheck = { type = 'tcp', interval = '50ms' }\n",
    );
    let upstream = Upstream::start("well");
    signpost.put("web", "a", &upstream.registration());
    let mut stream = connect(&signpost);
    assert_eq!(ask_on(&mut stream), well());

    let before = fill_descriptors(signpost.process());
    let end = tokio::time::Instant::now() + Duration::from_secs(1);
    while tokio::time::Instant::now() < end {
        let answer = ask_on(&mut stream);
        assert_eq!(answer, failed(503, "resources_exhausted"));
    }
    set_descriptors(signpost.process(), |limit| *limit = before);

    assert_eq!(ask_on(&mut stream), well());
    let metrics = signpost.metrics();
    let value = |result: &str| {
        let line = format!("signpost_proxy_checks_total{{service=\"web\",result=\"{result}\"}} ");
        let found = metrics.lines().find_map(|one| one.strip_prefix(&line));
        found.unwrap().parse::<u64>().unwrap()
    };
    assert!(value("left_out") > 3, "{metrics}");
    assert_eq!(value("failure"), 0, "{metrics}");
}

#[test]
fn an_answer_of_500_is_an_answer() {
    let signpost = Signpost::start("");
    let count = AtomicUsize::new(0);
    let fickle = Faulty::start(move |peer| {
        while let Some(head) = peer.head() {
            if head.starts_with("POST") {
                peer.body(1);
            }
            peer.send(match count.fetch_add(1, Ordering::SeqCst) % 2 {
                0 => "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine",
            });
        }
    });
    signpost.put("web", "fickle", &fickle.registration());
    for method in ["GET", "POST"] {
        for expected in [(500, "oops"), (200, "fine")].repeat(3) {
            let body = if method == "POST" { "x" } else { "" };
            let got = ask(&signpost, method, "/", body);
            assert_eq!((got.status(), got.body()), expected, "{method}");
        }
    }
    assert_eq!(fickle.requests(), 12);
}

/// Starts a signpost with an instance that answers each request by `answer` and resets the connection.
fn cut(answer: &'static str) -> (Signpost, Faulty) {
    let signpost = Signpost::start("");
    let cut = Faulty::start(move |peer| {
        if peer.head().is_some() {
            peer.send(answer);
            peer.reset();
        }
    });
    signpost.put("web", "cut", &cut.registration());
    (signpost, cut)
}

#[test]
fn a_response_that_breaks_off_can_be_told_from_a_whole_one() {
    // By its length.
    let (signpost, _) = cut("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
    let got = ask(&signpost, "GET", "/", "");
    assert_eq!((got.status(), got.body()), (200, "12345"));
    // By the last chunk that is missing.
    let (signpost, _) = cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n");
    let got = ask(&signpost, "GET", "/", "");
    assert!(
        got.status() == 200 && got.body().contains("12345"),
        "{got:?}"
    );
    assert!(!got.body().contains("0\r\n\r\n"), "{got:?}");
    // By the head: there is something better to say.
    for (method, head) in [
        ("GET", "HTTP/1.1 200 OK\r\nContent-"),
        ("POST", "HTTP/1.1 200 OK\r\nA: b\r\n"),
    ] {
        let (signpost, cut) = cut(head);
        assert_eq!(
            outcome(&signpost, method, ""),
            failed(502, "upstream_reset")
        );
        // Some of a response has come: it has been at work, and isn't asked again, nor is another.
        assert_eq!(cut.requests(), 1);
    }
}

#[test]
fn a_response_without_a_length_that_breaks_off_ends_with_a_reset() {
    let (signpost, _) = cut("HTTP/1.1 200 OK\r\n\r\n12345");
    // With HTTP/1.0 there are no chunks, and the end of the connection is the end of the response.
    let mut stream = connect(&signpost);
    stream
        .write_all(b"GET / HTTP/1.0\r\nHost: web\r\n\r\n")
        .unwrap();
    let got = receive(stream);
    assert!(got.reset, "{got:?}");
}

/// Takes so much of a request's body and resets the connection.
fn take(bytes: usize) -> impl Fn(&mut Peer) + Send + Sync {
    move |peer| {
        if peer.head().is_some() {
            peer.body(bytes);
            peer.reset();
        }
    }
}

#[test]
fn a_request_whose_instance_breaks_off_in_its_body_is_repeated_while_it_is_kept() {
    // The default would ask one that fails less and less.
    let config = "[proxy]\nbalancer = 'round_robin'\n[proxy.retries]\nbody_bytes = '16KiB'\n";
    let signpost = Signpost::start(config);
    let broken = Faulty::start(take(1000));
    signpost.put("web", "broken", &broken.registration());
    let (small, large) = ("x".repeat(10_000), "x".repeat(4 << 20));
    for (method, body) in [("POST", &small), ("PUT", &large), ("POST", &large)] {
        assert_eq!(
            outcome(&signpost, method, body),
            failed(502, "upstream_reset")
        );
    }
    assert_eq!(broken.requests(), 3);
    let other = Faulty::start(|peer| {
        while let Some(head) = peer.head() {
            let length = head.to_ascii_lowercase();
            let length = length.split("content-length: ").nth(1).unwrap_or("0");
            peer.body(length.split("\r\n").next().unwrap().parse().unwrap());
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    signpost.put("web", "other", &other.registration());
    for _ in 0..REQUESTS {
        assert_eq!(outcome(&signpost, "PUT", &small), well());
    }
    assert!(other.requests() == REQUESTS && broken.requests() > 3);
}
