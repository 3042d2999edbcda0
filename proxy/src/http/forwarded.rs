//! What a server behind us is told of the client (RFC 7239, and the `X-Forwarded-*` custom).

use std::{io::Write, net::IpAddr};

use super::fields::{Field, Fields};

/// Describes who has sent a request, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    /// The address of the peer.
    pub(crate) address: IpAddr,
    /// Whether what it says of clients before it is believed.
    pub(crate) trusted: bool,
}

/// Tells whether a line of this kind goes on as it is; what doesn't is written by [`encode`].
pub(crate) fn keeps(kind: Field, sender: Sender) -> bool {
    match kind {
        Field::ForwardedHost | Field::ForwardedProto | Field::ForwardedOther => sender.trusted,
        Field::Forwarded | Field::ForwardedFor => false,
        _ => true,
    }
}

/// Appends our lines; `host` is the host with its port, as the client has asked for it.
pub(crate) fn encode(fields: &Fields<'_, '_>, sender: Sender, host: &str, out: &mut Vec<u8>) {
    let said = |kind| fields.values(kind).filter(|_| sender.trusted);
    out.extend_from_slice(b"X-Forwarded-For: ");
    append_list(said(Field::ForwardedFor), out);
    append_display(sender.address, out);
    if said(Field::ForwardedProto).next().is_none() {
        out.extend_from_slice(b"\r\nX-Forwarded-Proto: http");
    }
    if said(Field::ForwardedHost).next().is_none() && !host.is_empty() {
        out.extend_from_slice(b"\r\nX-Forwarded-Host: ");
        out.extend_from_slice(host.as_bytes());
    }
    out.extend_from_slice(b"\r\nForwarded: ");
    append_list(said(Field::Forwarded), out);
    match sender.address {
        IpAddr::V4(address) => {
            out.extend_from_slice(b"for=");
            append_display(address, out);
        }
        IpAddr::V6(address) => {
            out.extend_from_slice(b"for=\"[");
            append_display(address, out);
            out.extend_from_slice(b"]\"");
        }
    }
    if !host.is_empty() {
        // Neither a quote nor a backslash is part of a host.
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(host.as_bytes());
        out.extend_from_slice(b"\"");
    }
    out.extend_from_slice(b";proto=http\r\n");
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
