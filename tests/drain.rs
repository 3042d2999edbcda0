//! An instance that drains, with the whole program: DNS, proxy and command line.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::support::{
    eventually,
    signpost::{PROGRAM, Signpost},
    upstream::Upstream,
};

/// How long clients may keep what DNS tells, and how long tunnels may go on after that.
const CONFIG: &str = "[[dns.zones]]\ndomain = \"svc.internal\"\nttl = \"2s\"\n\
                      [proxy]\nbalancer = \"round_robin\"\n[proxy.timeouts]\ninstance_drain = \"2s\"\n";

/// A server that agrees to every upgrade, and says nothing more.
fn switching() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || switch(stream));
        }
    });
    port
}

fn switch(mut stream: TcpStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).is_ok_and(|read| read == 1) {
            head.push(byte[0]);
        } else {
            return;
        }
    }
    let answer =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n";
    stream.write_all(answer).unwrap();
    // The proxy ends it.
    stream.read_exact(&mut byte).ok();
}

fn tunnel(signpost: &Signpost) -> TcpStream {
    let mut stream = TcpStream::connect(signpost.proxy()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: ws\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    stream
}

fn state(signpost: &Signpost, place: &str) -> Value {
    let (service, id) = place.split_once('/').unwrap();
    signpost
        .get(&format!("/v1/services/{service}/instances/{id}/drain"))
        .1
}

#[test]
fn an_instance_leaves_dns_first_and_then_the_proxy() {
    let signpost = Signpost::start(CONFIG);
    let (leaving, staying) = (
        Upstream::at("127.0.0.2", "leaving"),
        Upstream::start("staying"),
    );
    signpost.put("web", "leaving", &leaving.registration());
    signpost.put("web", "staying", &staying.registration());
    assert_eq!(
        signpost.dig(&["web.svc.internal"]),
        ["127.0.0.1", "127.0.0.2"]
    );
    let output = signpost.verb(&["drain", "web/leaving", "--no-wait"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("DNS tells it no more"), "{text}");
    assert_eq!(signpost.dig(&["web.svc.internal"]), ["127.0.0.1"]);
    // Clients may know it still, and so it gets requests still.
    let before = leaving.requests();
    eventually("it gets requests", || {
        assert_eq!(signpost.curl("web", "/").0, 200);
        leaving.requests() > before
    });
    assert_eq!(state(&signpost, "web/leaving")["drain"]["phase"], "dns");
    eventually("its time is over", || {
        state(&signpost, "web/leaving")["drain"]["phase"] == "done"
    });
    let after = leaving.requests();
    for _ in 0..20 {
        assert_eq!(signpost.curl("web", "/").1, "staying");
    }
    assert_eq!(leaving.requests(), after);
    let table = signpost.verb(&["services", "web"]).stdout;
    let table = String::from_utf8(table).unwrap();
    assert!(table.contains("draining (done)"), "{table}");

    // What an operator has begun, an operator can end.
    assert!(
        signpost
            .verb(&["drain", "web/leaving", "--undo"])
            .status
            .success()
    );
    assert_eq!(
        signpost.dig(&["web.svc.internal"]),
        ["127.0.0.1", "127.0.0.2"]
    );
    eventually("it is back", || {
        assert_eq!(signpost.curl("web", "/").0, 200);
        leaving.requests() > after
    });
}

#[test]
fn a_tunnel_goes_on_for_a_limited_time_and_the_command_waits_for_it() {
    let signpost = Signpost::start(CONFIG);
    let registration = format!(r#"{{"address": "127.0.0.1", "port": {}}}"#, switching());
    signpost.put("ws", "a", &registration);
    let mut stream = tunnel(&signpost);
    let mut command = Command::new(PROGRAM);
    command.args(["drain", "ws/a"]);
    command.env("SIGNPOST_ADMIN", signpost.admin());
    let command = command.stdout(Stdio::piped()).spawn().unwrap();
    eventually("it finishes", || {
        state(&signpost, "ws/a")["drain"]["phase"] == "finishing"
    });
    assert_eq!(state(&signpost, "ws/a")["drain"]["tunnels"], 1);
    let (_, all) = signpost.get("/v1/services");
    assert_eq!(all["services"][0]["draining"], 1, "{all}");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).ok();
    assert!(rest.is_empty(), "{rest:?}");
    let output = command.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].contains("tunnels 1"), "{text}");
    assert!(
        lines[1].contains("gets nothing new, finishes what it has"),
        "{text}"
    );
    assert_eq!(lines.last(), Some(&"ws/a: nothing is left"), "{text}");
}

#[test]
fn a_service_that_is_gone_is_listed_while_it_has_something_to_do() {
    let signpost = Signpost::start("");
    let registration = format!(r#"{{"address": "127.0.0.1", "port": {}}}"#, switching());
    signpost.put("ws", "a", &registration);
    let stream = tunnel(&signpost);
    signpost.delete("ws", "a");
    let listed = || signpost.get("/v1/services").1;
    eventually("the tunnel is what is left", || {
        let all = listed();
        all["gone"]["ws"] == 1 && all["services"].as_array().unwrap().is_empty()
    });
    let table = String::from_utf8(signpost.verb(&["services"]).stdout).unwrap();
    let row: Vec<_> = table.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(row, ["ws", "0", "0", "1"], "{table}");
    drop(stream);
    eventually("nothing is left", || listed()["gone"].is_null());
}

#[test]
fn what_is_not_there_can_not_be_drained() {
    let signpost = Signpost::start("");
    let output = signpost.verb(&["drain", "web/a"]);
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("service `web` has no instance `a`"), "{text}");
    let output = signpost.verb(&["drain", "web"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("`web` is not SERVICE/ID"), "{text}");
}
