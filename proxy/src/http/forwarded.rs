//! What a server behind us is told of the client (RFC 7239, and the `X-Forwarded-*` custom).

use std::{io::Write, net::IpAddr, ops::Range};

use super::fields::{Field, Fields};

/// Room for all lines of a sender, with the longest address.
const LINES_BYTES: usize = 192;

/// Describes who sends the requests of a connection, and how.
///
/// What all of them say of it is written once.
#[derive(Debug)]
pub(crate) struct Sender {
    /// The address of the peer.
    pub(crate) address: IpAddr,
    /// Whether what it says of clients before it is believed.
    pub(crate) trusted: bool,
    /// All lines up to where the host belongs.
    lines: Box<[u8]>,
    /// Where in `lines` the address is.
    plain: Range<usize>,
    /// Where in `lines` the port has its line.
    port: Range<usize>,
    /// Where in `lines` the element of `Forwarded` begins.
    element: usize,
}

impl Sender {
    /// Creates a sender at `address` that has connected to `port` and isn't trusted.
    pub(crate) fn new(address: IpAddr, port: u16) -> Self {
        let mut lines = Vec::with_capacity(LINES_BYTES);
        lines.extend_from_slice(b"X-Forwarded-For: ");
        let start = lines.len();
        append_display(address, &mut lines);
        let plain = start..lines.len();
        lines.extend_from_slice(b"\r\nX-Forwarded-Proto: http\r\n");
        let start = lines.len();
        lines.extend_from_slice(b"X-Forwarded-Port: ");
        append_display(port, &mut lines);
        lines.extend_from_slice(b"\r\n");
        let port = start..lines.len();
        lines.extend_from_slice(b"Forwarded: ");
        let element = lines.len();
        match address {
            IpAddr::V4(_) => append_display(format_args!("for={address}"), &mut lines),
            IpAddr::V6(_) => append_display(format_args!("for=\"[{address}]\""), &mut lines),
        }
        lines.extend_from_slice(b";proto=http");
        Self {
            address,
            trusted: false,
            lines: lines.into(),
            plain,
            port,
            element,
        }
    }
}

/// Tells whether a line of this kind goes on as it is; what doesn't is written by [`encode`].
pub(crate) fn keeps(kind: Field, sender: &Sender) -> bool {
    match kind {
        Field::ForwardedHost
        | Field::ForwardedPort
        | Field::ForwardedProto
        | Field::ForwardedOther => sender.trusted,
        Field::Forwarded | Field::ForwardedFor => false,
        _ => true,
    }
}

/// Appends our lines; `host` is the host with its port, as the client has asked for it.
pub(crate) fn encode(fields: &Fields<'_, '_>, sender: &Sender, host: &str, out: &mut Vec<u8>) {
    let mut names_host = !host.is_empty();
    match sender.trusted {
        true => {
            extend(fields, sender, out);
            names_host &= fields.values(Field::ForwardedHost).next().is_none();
        }
        false => out.extend_from_slice(&sender.lines),
    }
    if !host.is_empty() {
        // Neither a quote nor a backslash is part of a host.
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(host.as_bytes());
        out.push(b'"');
    }
    if names_host {
        out.extend_from_slice(b"\r\nX-Forwarded-Host: ");
        out.extend_from_slice(host.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends our lines up to where the host belongs, after what a trusted sender has said.
fn extend(fields: &Fields<'_, '_>, sender: &Sender, out: &mut Vec<u8>) {
    let lines = &sender.lines;
    let is_said = |kind| fields.values(kind).next().is_some();
    out.extend_from_slice(b"X-Forwarded-For: ");
    append_list(fields.values(Field::ForwardedFor), out);
    out.extend_from_slice(&lines[sender.plain.clone()]);
    out.extend_from_slice(b"\r\n");
    // Our port doesn't go with another one's scheme.
    match (
        is_said(Field::ForwardedProto),
        is_said(Field::ForwardedPort),
    ) {
        (true, _) => {}
        (false, true) => out.extend_from_slice(b"X-Forwarded-Proto: http\r\n"),
        (false, false) => out.extend_from_slice(&lines[sender.plain.end + 2..sender.port.end]),
    }
    out.extend_from_slice(b"Forwarded: ");
    append_list(fields.values(Field::Forwarded), out);
    out.extend_from_slice(&lines[sender.element..]);
}

fn append_list<'b>(values: impl Iterator<Item = &'b [u8]>, out: &mut Vec<u8>) {
    for value in values.filter(|value| !value.is_empty()) {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
}

fn append_display(value: impl std::fmt::Display, out: &mut Vec<u8>) {
    write!(out, "{value}").expect("a vector takes all bytes");
}
