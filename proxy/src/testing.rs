//! What the parsers make of bytes, without sockets: for the fuzz targets, and for tests that compare
//! them with parsers of other people.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use crate::{
    PathRules,
    error::Error,
    http::{
        Body, Buffer, Coding, HEADERS_MAX, Malformed, Scan, Version,
        chunked::{Decoder, Step},
        fields::Framing,
        forwarded::Sender,
        head::scan,
        marks::{Added, Ids, Marks, RequestId},
        request::{Onward, Request, Target, slots},
        response::{Asked, Response},
    },
    proxy_protocol::{self, Origin, Read},
    route::path::normalize,
};

/// The most header lines of a client, as by default.
const HEADERS: usize = 100;

/// Holds a request as a server reads it; text is bytes, each of them the character of its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The method.
    pub method: String,
    /// The target as it stands in the request line.
    pub target: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// What it carries, without its framing.
    pub body: String,
    /// Names in lower case, and values.
    pub trailers: Vec<(String, String)>,
}

/// Says how a row of requests ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// After a whole one.
    Whole,
    /// Amid one.
    Cut,
    /// With what is answered with this status instead of being passed on.
    Refused(u16),
}

/// Reads requests one after the other, as the proxy reads those of a client.
pub fn read_requests(mut bytes: &[u8]) -> (Vec<Message>, End) {
    let mut found = Vec::new();
    let end = loop {
        bytes = without_empty_lines(bytes);
        match read_request(bytes) {
            _ if bytes.is_empty() => break End::Whole,
            Ok(Some((message, used))) => {
                found.push(message);
                bytes = &bytes[used..];
            }
            Ok(None) => break End::Cut,
            Err(error) => break End::Refused(error.status()),
        }
    };
    (found, end)
}

/// Writes what the proxy passes on of a client's requests, one after the other.
///
/// A request that isn't passed on whole ends it, and what came of it is there.
pub fn forward_requests(bytes: &[u8]) -> (Vec<u8>, End) {
    let sender = Sender {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 80,
        trusted: false,
    };
    let mut input = buffer(bytes);
    let mut out = Vec::new();
    loop {
        let used = input.filled().len() - without_empty_lines(input.filled()).len();
        input.consume(used);
        if input.is_empty() {
            return (out, End::Whole);
        }
        match forward_request(&sender, &mut input, &mut out) {
            Ok(true) => {}
            Ok(false) => return (out, End::Cut),
            Err(error) => return (out, End::Refused(error.status())),
        }
    }
}

/// Writes what the proxy passes on of a body in chunks that comes in `pieces`; also returns how many
/// bytes of it were used, or `None` where it was refused.
///
/// The second is whether it has come to its end.
pub fn forward_chunks(pieces: &[&[u8]]) -> Option<(Vec<u8>, bool, usize)> {
    let mut body = Body::chunked(Coding::Chunked, Vec::new());
    let all: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut input = Buffer::new(all);
    let mut out = Vec::new();
    let mut left = 0;
    for piece in pieces {
        put(&mut input, piece);
        body.transfer(&mut input, &mut out).ok()?;
        left = input.filled().len();
    }
    Some((out, body.is_done(), all - left))
}

/// Writes the head that a client gets of a response whose head comes first in `bytes`; `None` where
/// there is no whole one or it is refused.
pub fn forward_response(bytes: &[u8], to_head: bool, to_http10: bool) -> Option<Vec<u8>> {
    let Ok(Scan::Complete(head)) = scan(bytes, 0) else {
        return None;
    };
    let asked = Asked {
        head: to_head,
        version: match to_http10 {
            true => Version::Http10,
            false => Version::Http11,
        },
    };
    let mut slots = slots();
    let response = Response::parse(&bytes[..head], &mut slots[..HEADERS]).ok()?;
    let (mut out, added) = (Vec::new(), Added::default());
    match response.is_interim() {
        true => response.encode_interim(&added, b"", &mut out),
        false => response.encode(asked, response.keeps_alive(), &added, b"", &mut out),
    }
    Some(out)
}

/// Reads a PROXY header: its length, and both addresses where it names them. `None` where it isn't
/// whole.
///
/// # Errors
///
/// Says why it is none.
#[expect(clippy::type_complexity, reason = "it is for tests only")]
pub fn read_proxy_header(
    bytes: &[u8],
) -> Result<Option<(usize, Option<(SocketAddr, SocketAddr)>)>, String> {
    match proxy_protocol::read(bytes).map_err(|invalid| invalid.to_string())? {
        Read::Partial => Ok(None),
        Read::Complete(length, Origin::Peer) => Ok(Some((length, None))),
        Read::Complete(
            length,
            Origin::Client {
                source,
                destination,
            },
        ) => Ok(Some((length, Some((source, destination))))),
    }
}

/// Reads one request; also returns how many bytes it has. `None` where it isn't whole.
fn read_request(bytes: &[u8]) -> Result<Option<(Message, usize)>, Error> {
    let Scan::Complete(head) = scan(bytes, 0)? else {
        return Ok(None);
    };
    let mut slots = slots();
    let request = Request::parse(&bytes[..head], &mut slots)?;
    let line = text(&bytes[..head]);
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let lines = request.fields.headers.iter();
    let headers = lines.map(|line| (line.name.to_ascii_lowercase(), text(line.value)));
    let mut message = Message {
        method: request.method.to_owned(),
        target,
        headers: headers.collect(),
        body: String::new(),
        trailers: Vec::new(),
    };
    let rest = &bytes[head..];
    let used = match request.fields.framing {
        Framing::Unsaid => Some(0),
        Framing::Length(length) => usize::try_from(length)
            .ok()
            .filter(|length| *length <= rest.len()),
        Framing::Chunked => read_chunks(rest, &mut message)?,
    };
    let Some(used) = used else {
        return Ok(None);
    };
    if let Framing::Length(_) = request.fields.framing {
        message.body = text(&rest[..used]);
    }
    Ok(Some((message, head + used)))
}

/// Reads a body in chunks; returns its length, or `None` where it isn't whole.
fn read_chunks(bytes: &[u8], message: &mut Message) -> Result<Option<usize>, Malformed> {
    let mut decoder = Decoder::default();
    let mut at = 0;
    loop {
        let (used, step) = decoder.step(&bytes[at..])?;
        at += used;
        match step {
            Step::Data(data) => message.body.push_str(&text(data)),
            Step::More => return Ok(None),
            Step::End(lines) => {
                let wrong = Malformed::Syntax("the trailers are malformed");
                let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
                let parsed = httparse::parse_headers(lines, &mut slots).map_err(|_| wrong)?;
                if let httparse::Status::Complete((_, lines)) = parsed {
                    let lines = lines.iter();
                    message.trailers = lines
                        .map(|line| (line.name.to_ascii_lowercase(), text(line.value)))
                        .collect();
                }
                return Ok(Some(at));
            }
        }
    }
}

/// Passes one request on; returns whether it was whole.
fn forward_request(sender: &Sender, input: &mut Buffer, out: &mut Vec<u8>) -> Result<bool, Error> {
    let Scan::Complete(head) = scan(input.filled(), 0)? else {
        return Ok(false);
    };
    let mut slots = slots();
    let mut request = Request::parse(&input.filled()[..head], &mut slots[..HEADERS])?;
    if request.method == "CONNECT" {
        return Err(Error::ConnectMethod);
    }
    let marks = Marks {
        request_id_header: "x-request-id".to_owned(),
        ..Marks::default()
    };
    let name = &marks.request_id_header;
    let found = RequestId::find(name, sender.trusted, &mut request.fields);
    let id = found.unwrap_or_else(|| Ids::new(0, 0).make());
    let path = match request.target {
        Target::Path(_) => normalize(request.target.path(), PathRules::default()),
        Target::Asterisk => Ok(Cow::Borrowed("*")),
    };
    let path = path.map_err(Malformed::Syntax)?;
    let onward = Onward {
        path: &path,
        nameless: "nameless",
        host: None,
        lines: b"",
    };
    request.encode(sender, &marks, Some(&id), onward, out);
    let mut body = request.body();
    drop(request);
    input.consume(head);
    body.transfer(input, out)?;
    Ok(body.is_done())
}

/// RFC 9112, section 2.2: empty lines before a request are no harm.
fn without_empty_lines(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"\r\n") {
        bytes = rest;
    }
    bytes
}

fn buffer(bytes: &[u8]) -> Buffer {
    let mut buffer = Buffer::new(bytes.len());
    put(&mut buffer, bytes);
    buffer
}

fn put(buffer: &mut Buffer, bytes: &[u8]) {
    buffer.spare()[..bytes.len()].copy_from_slice(bytes);
    buffer.advance(bytes.len());
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
