//! What a server behind us is told of the client (RFC 7239, and the `X-Forwarded-*` custom).

use std::{io::Write, net::IpAddr};

use super::fields::{Field, Fields};

/// Describes who sends the requests of a connection, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    /// The address of the peer.
    pub(crate) address: IpAddr,
    /// The port that it has connected to.
    pub(crate) port: u16,
    /// Whether what it says of clients before it is believed.
    pub(crate) trusted: bool,
}

impl Sender {
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
        append_address(self.address, out);
        out.extend_from_slice(behind);
    }

    /// Appends all lines up to where the host belongs.
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"X-Forwarded-For: ");
        append_address(self.address, out);
        out.extend_from_slice(b"\r\nX-Forwarded-Proto: http\r\n");
        self.encode_port(out);
        out.extend_from_slice(b"Forwarded: ");
        self.encode_element(out);
    }
}

/// Appends an address as text, for which formatting takes too long where there are many.
pub(crate) fn append_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            let mut dot = &b""[..];
            for part in address.octets() {
                out.extend_from_slice(dot);
                out.extend_from_slice(itoa::Buffer::new().format(part).as_bytes());
                dot = b".";
            }
        }
        IpAddr::V6(address) => write!(out, "{address}").expect("a vector takes all bytes"),
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
    append_address(sender.address, out);
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
