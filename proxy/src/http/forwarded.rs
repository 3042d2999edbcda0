//! What a server behind us is told of the client (RFC 7239, and the `X-Forwarded-*` custom).

use std::{io::Write, net::IpAddr};

use super::fields::{Field, Fields};

/// Describes who sends the requests of a connection, and how.
///
/// What all of them say of it is written once.
#[derive(Debug)]
pub(crate) struct Sender {
    /// The address of the peer.
    pub(crate) address: IpAddr,
    /// Whether what it says of clients before it is believed.
    pub(crate) trusted: bool,
    /// The port that it has connected to.
    port: u16,
    /// The address as text, of which so many bytes count.
    text: [u8; TEXT_BYTES],
    text_bytes: u8,
}

/// The longest text of an address, in bytes.
const TEXT_BYTES: usize = 45;

impl Sender {
    /// Creates a sender at `address` that has connected to `port` and isn't trusted.
    pub(crate) fn new(address: IpAddr, port: u16) -> Self {
        let mut text = [0; TEXT_BYTES];
        let mut left = &mut text[..];
        write!(left, "{address}").expect("it is long enough for every address");
        let text_bytes = (TEXT_BYTES - left.len()) as u8;
        Self {
            address,
            trusted: false,
            port,
            text,
            text_bytes,
        }
    }

    fn text(&self) -> &[u8] {
        &self.text[..usize::from(self.text_bytes)]
    }

    /// Appends the line with the port.
    fn encode_port(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"X-Forwarded-Port: ");
        out.extend_from_slice(itoa::Buffer::new().format(self.port).as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the element of `Forwarded` up to where the host belongs.
    fn encode_element(&self, out: &mut Vec<u8>) {
        let (before, behind): (&[u8], &[u8]) = match self.address {
            IpAddr::V4(_) => (b"for=", b";proto=http"),
            IpAddr::V6(_) => (b"for=\"[", b"]\";proto=http"),
        };
        out.extend_from_slice(before);
        out.extend_from_slice(self.text());
        out.extend_from_slice(behind);
    }

    /// Appends all lines up to where the host belongs.
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"X-Forwarded-For: ");
        out.extend_from_slice(self.text());
        out.extend_from_slice(b"\r\nX-Forwarded-Proto: http\r\n");
        self.encode_port(out);
        out.extend_from_slice(b"Forwarded: ");
        self.encode_element(out);
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
        false => sender.encode(out),
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
    let is_said = |kind| fields.values(kind).next().is_some();
    out.extend_from_slice(b"X-Forwarded-For: ");
    append_list(fields.values(Field::ForwardedFor), out);
    out.extend_from_slice(sender.text());
    out.extend_from_slice(b"\r\n");
    // Our port doesn't go with another one's scheme.
    match (
        is_said(Field::ForwardedProto),
        is_said(Field::ForwardedPort),
    ) {
        (true, _) => {}
        (false, true) => out.extend_from_slice(b"X-Forwarded-Proto: http\r\n"),
        (false, false) => {
            out.extend_from_slice(b"X-Forwarded-Proto: http\r\n");
            sender.encode_port(out);
        }
    }
    out.extend_from_slice(b"Forwarded: ");
    append_list(fields.values(Field::Forwarded), out);
    sender.encode_element(out);
}

fn append_list<'b>(values: impl Iterator<Item = &'b [u8]>, out: &mut Vec<u8>) {
    for value in values.filter(|value| !value.is_empty()) {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
}
