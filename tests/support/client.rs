//! Small clients: HTTP by hand, DNS with an independent parser.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{RData, RecordType},
};
use serde_json::Value;

/// How long a single answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends bytes on a connection of their own and returns everything that comes until its end.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends a request to `http://address/path`; returns the status, and the body if it is JSON.
pub(crate) fn request(method: &str, url: &str, body: &str) -> (u16, Value) {
    request_with(method, url, "", body)
}

/// As [`request`], with further header lines, each with its line end.
pub(crate) fn request_with(method: &str, url: &str, headers: &str, body: &str) -> (u16, Value) {
    let rest = url.strip_prefix("http://").unwrap();
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n{headers}\
         Content-Length: {length}\r\n\r\n{body}"
    );
    let answer = exchange(authority.parse().unwrap(), request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (status(head), serde_json::from_str(body).unwrap_or_default())
}

/// Returns the status of an answer.
pub(crate) fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .unwrap_or_else(|| panic!("no status in {answer:?}"))
        .parse()
        .unwrap()
}

/// Asks a DNS server over UDP.
pub(crate) fn query(server: SocketAddr, name: &str, kind: RecordType) -> Message {
    ask(server, name, kind).unwrap()
}

/// Asks a DNS server over UDP; `None` where nobody answers.
pub(crate) fn ask(server: SocketAddr, name: &str, kind: RecordType) -> Option<Message> {
    let mut query = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
    query.add_query(Query::query(name.parse().unwrap(), kind));
    let answer = datagram(server, &query.to_vec().unwrap())?;
    Some(Message::from_vec(&answer).unwrap())
}

/// Returns the addresses of a name, sorted.
pub(crate) fn addresses(server: SocketAddr, name: &str) -> Vec<String> {
    let answer = query(server, name, RecordType::A);
    let addresses = answer
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(a) => Some(a.to_string()),
            _ => None,
        });
    let mut addresses: Vec<_> = addresses.collect();
    addresses.sort();
    addresses
}

/// Sends a datagram and returns the answer, if there is one.
pub(crate) fn datagram(server: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // It fails, as receiving does, where somebody has said that nobody listens.
    socket.send(bytes).ok()?;
    let mut answer = vec![0; 65_535];
    let length = socket.recv(&mut answer).ok()?;
    answer.truncate(length);
    Some(answer)
}
