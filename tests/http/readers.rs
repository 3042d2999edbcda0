//! The parsers that read what has arrived: ours, Node's and h11.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use proxy::testing::{self, End};
use serde::Deserialize;

use super::case::text;
use crate::support::skip;

/// Debian's, which sees the packages of Debian.
const PYTHON: &str = "/usr/bin/python3";

/// Holds a request as a parser sees it; text is bytes, each of them the character of its number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Message {
    pub(super) method: String,
    pub(super) target: String,
    /// Names in lower case, and values.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    pub(super) trailers: Vec<(String, String)>,
}

/// Holds what a parser finds in the bytes of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Row {
    pub(super) requests: Vec<Message>,
    /// How it ends: nothing, `cut`, `tunnel: ` with what goes through it, or `bad: ` with a reason.
    pub(super) rest: String,
}

/// Reads with the proxy's own parser.
pub(super) fn ours(bytes: &[u8]) -> Row {
    let (requests, end) = testing::read_requests(bytes);
    let mut requests: Vec<Message> = requests.into_iter().map(Message::from).collect();
    let switched = requests.iter().position(|one| one.target == "/switch");
    let rest = match (end, switched) {
        (_, Some(at)) => {
            requests.truncate(at + 1);
            let all = text(bytes);
            let begin = all.find(" /switch ").unwrap();
            let (_, after) = all[begin..].split_once("\r\n\r\n").unwrap();
            format!("tunnel: {after}")
        }
        (End::Whole, None) => String::new(),
        (End::Cut, None) => "cut".to_owned(),
        (End::Refused(status), None) => format!("bad: {status}"),
    };
    Row { requests, rest }
}

impl From<testing::Message> for Message {
    fn from(message: testing::Message) -> Self {
        Self {
            method: message.method,
            target: message.target,
            headers: message.headers,
            body: message.body,
            trailers: message.trailers,
        }
    }
}

/// Reads with Node's parser; `None` where there is none.
pub(super) fn node(connections: &[String]) -> Option<Vec<Row>> {
    let there = Command::new("node").arg("--version").output();
    if !there.is_ok_and(|output| output.status.success()) {
        skip("node is missing (package nodejs)");
        return None;
    }
    Some(read("node", "read_requests.mjs", connections))
}

/// Reads with h11; `None` where it isn't there.
pub(super) fn h11(connections: &[String]) -> Option<Vec<Row>> {
    let there = Command::new(PYTHON).args(["-c", "import h11"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        skip("h11 is missing (package python3-h11)");
        return None;
    }
    Some(read(PYTHON, "read_requests.py", connections))
}

fn read(program: &str, script: &str, connections: &[String]) -> Vec<Row> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut process = Command::new(program)
        .arg(folder.join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = serde_json::to_vec(connections).unwrap();
    process.stdin.take().unwrap().write_all(&input).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{script}: {}", output.status);
    let rows: Vec<Row> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows.len(), connections.len(), "{script}");
    rows
}
