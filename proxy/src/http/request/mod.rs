//! The head of a request: read strictly, written anew for the server behind us.

use std::mem::MaybeUninit;

use httparse::Header;

use super::{
    Body, Coding, HEADERS_MAX, Malformed, Version,
    fields::{Field, Fields, Framing, tokens},
    forwarded::{self, Sender},
    head::malformed,
    host,
    marks::{self, Marks, RequestId},
};

/// Makes places for header lines, to be given to [`Request::parse`].
pub(crate) fn slots<'b>() -> [MaybeUninit<Header<'b>>; HEADERS_MAX] {
    [const { MaybeUninit::uninit() }; HEADERS_MAX]
}

/// Says what a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'b> {
    /// A path with or without a query, as all clients of a server ask.
    Path(&'b str),
    /// The server itself: `OPTIONS *`.
    Asterisk,
}

impl<'b> Target<'b> {
    /// Returns the path alone, `*` for the server itself.
    pub(crate) fn path(self) -> &'b str {
        match self {
            Self::Path(path) => path.split_once('?').map_or(path, |(path, _)| path),
            Self::Asterisk => "*",
        }
    }

    /// Returns what follows the path's question mark.
    pub(crate) fn query(self) -> Option<&'b str> {
        match self {
            Self::Path(path) => Some(path.split_once('?')?.1),
            Self::Asterisk => None,
        }
    }
}

/// Says what the server behind us gets in another way than the client has sent it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Onward<'a> {
    /// The path that was routed, `*` for the server itself.
    pub(crate) path: &'a str,
    /// The host of a request without one.
    pub(crate) nameless: &'a str,
    /// Another host than the one that was asked for.
    pub(crate) host: Option<&'a str>,
    /// More header lines, with their ends.
    pub(crate) lines: &'a [u8],
}

/// Holds one request's head; all text is that of the bytes it was read from.
#[derive(Debug)]
pub(crate) struct Request<'h, 'b> {
    head: &'b [u8],
    pub(crate) method: &'b str,
    pub(crate) target: Target<'b>,
    /// The target as it was sent.
    raw_target: &'b str,
    pub(crate) version: Version,
    /// Host and port that the request is for; empty when it names none.
    pub(crate) authority: &'b str,
    /// The host alone, without a final dot.
    pub(crate) host: &'b str,
    pub(crate) fields: Fields<'h, 'b>,
    /// The protocol to go on with after a 101, such as `websocket`.
    upgrade: Option<&'b [u8]>,
}

impl<'h, 'b> Request<'h, 'b> {
    /// Reads a complete head, as [`scan`](super::head::scan) has found it.
    ///
    /// # Errors
    ///
    /// Refuses all that RFC 9112 lets a server refuse.
    pub(crate) fn parse(
        head: &'b [u8],
        slots: &'h mut [MaybeUninit<Header<'b>>],
    ) -> Result<Self, Malformed> {
        let mut request = httparse::Request::new(&mut []);
        let partial = Malformed::Syntax("the request line is malformed");
        match request.parse_with_uninit_headers(head, slots) {
            Ok(httparse::Status::Complete(bytes)) if bytes == head.len() => {}
            Ok(_) => return Err(partial),
            Err(httparse::Error::Version) => return Err(version_error(head)),
            Err(error) => return Err(malformed(error)),
        }
        let (Some(method), Some(raw_target)) = (request.method, request.path) else {
            return Err(partial);
        };
        let version = Version::of(request.version);
        let fields = Fields::read(request.headers, version)?;
        let (target, authority) = target(method, raw_target)?;
        let named = host_line(&fields, version)?;
        let authority = authority.unwrap_or(named);
        let host = host::host(authority).ok_or(Malformed::Syntax("the host is malformed"))?;
        let upgrade = upgrade(&fields, version);
        Ok(Self {
            head,
            method,
            target,
            raw_target,
            version,
            authority,
            host,
            fields,
            upgrade,
        })
    }

    /// Returns the body that follows (RFC 9112, section 6.3).
    pub(crate) fn body(&self) -> Body {
        match self.fields.framing {
            Framing::Unsaid => Body::length(0),
            Framing::Length(bytes) => Body::length(bytes),
            Framing::Chunked => Body::chunked(Coding::Chunked, self.fields.nominated()),
        }
    }

    /// Tells whether asking twice is asking once (RFC 9110, section 9.2.2).
    pub(crate) fn is_idempotent(&self) -> bool {
        matches!(
            self.method,
            "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE"
        )
    }

    /// Tells whether the client keeps its connection for more requests.
    pub(crate) fn keeps_alive(&self) -> bool {
        let asked = &self.fields.connection;
        !asked.close && (self.version == Version::Http11 || asked.keep_alive)
    }

    /// Tells whether the client waits for a 100 before it sends the body.
    pub(crate) fn expects_continue(&self) -> bool {
        let waits = |value: &[u8]| value.eq_ignore_ascii_case(b"100-continue");
        // RFC 9110, section 10.1.1: not from a client of HTTP/1.0.
        self.version == Version::Http11 && self.fields.values(Field::Expect).any(waits)
    }

    /// Tells whether the client wants to go on with another protocol.
    pub(crate) fn wants_upgrade(&self) -> bool {
        self.upgrade.is_some()
    }

    /// Appends the head as the server behind us gets it; `id` is what [`RequestId::find`] has found
    /// or what is said instead.
    pub(crate) fn encode(
        &self,
        sender: &Sender,
        marks: &Marks,
        id: Option<&RequestId<'_>>,
        onward: Onward<'_>,
        out: &mut Vec<u8>,
    ) {
        let host_is_kept = self.authority_is_host_line() && onward.host.is_none();
        self.encode_request_line(onward.path, out);
        if !host_is_kept {
            let host = match (onward.host, self.authority) {
                (Some(host), _) => host,
                (None, "") => onward.nameless,
                (None, authority) => authority,
            };
            append_line(b"Host: ", host.as_bytes(), out);
        }
        self.fields.copy(self.head, out, |kind| match kind {
            Field::EndToEnd => true,
            Field::Host => host_is_kept,
            Field::RequestId => matches!(id, Some(RequestId::Kept(_))),
            Field::Expect => self.version == Version::Http11,
            Field::Connection
            | Field::ContentLength
            | Field::HopByHop
            | Field::Te
            | Field::TransferEncoding
            | Field::Upgrade => false,
            kind => forwarded::keeps(kind, sender),
        });
        match self.fields.framing {
            Framing::Unsaid => {}
            Framing::Length(bytes) => {
                append_line(
                    b"Content-Length: ",
                    itoa::Buffer::new().format(bytes).as_bytes(),
                    out,
                );
            }
            Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        }
        forwarded::encode(&self.fields, sender, self.authority, out);
        out.extend_from_slice(onward.lines);
        if let Some(made @ RequestId::Made(_)) = id {
            append_pieces(marks::line(&marks.request_id_header, made.as_str()), out);
        }
        if !marks.via.is_empty() {
            append_pieces(marks::via_line(self.version, &marks.via), out);
        }
        let takes_trailers = self
            .fields
            .values(Field::Te)
            .flat_map(tokens)
            .any(|token| token.eq_ignore_ascii_case(b"trailers"));
        match (self.upgrade, takes_trailers) {
            (Some(protocol), _) => {
                out.extend_from_slice(b"Connection: upgrade\r\n");
                append_line(b"Upgrade: ", protocol, out);
            }
            (None, true) => out.extend_from_slice(b"Connection: te\r\nTE: trailers\r\n"),
            (None, false) => {}
        }
        out.extend_from_slice(b"\r\n");
    }

    fn encode_request_line(&self, path: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(self.method.as_bytes());
        out.push(b' ');
        out.extend_from_slice(path.as_bytes());
        if let Some(query) = self.target.query() {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
        out.extend_from_slice(b" HTTP/1.1\r\n");
    }

    /// Tells whether the host came by its own line, and not in the target or not at all.
    fn authority_is_host_line(&self) -> bool {
        !self.authority.is_empty() && self.raw_target.starts_with(['/', '*'])
    }
}

fn append_pieces<const N: usize>(pieces: [&[u8]; N], out: &mut Vec<u8>) {
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

fn append_line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Tells a version that is not supported from what is no version.
fn version_error(head: &[u8]) -> Malformed {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    // Where there are more words the second space isn't the one before the version.
    match (words.next(), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None)
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Malformed::Version
        }
        _ => Malformed::Syntax("the protocol version is malformed"),
    }
}

/// Reads the target: what is asked for, and the authority when it says one (RFC 9112, section 3.2).
fn target<'b>(method: &str, raw: &'b str) -> Result<(Target<'b>, Option<&'b str>), Malformed> {
    let wrong = Malformed::Syntax("the request target is malformed");
    if !raw.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong);
    }
    if raw.contains('#') {
        return Err(Malformed::Syntax("the request target has a fragment"));
    }
    if raw.starts_with('/') {
        return Ok((Target::Path(raw), None));
    }
    if method == "CONNECT" {
        // Refused by its method, whatever the authority.
        return Ok((Target::Path("/"), None));
    }
    if raw == "*" {
        let allowed = method == "OPTIONS";
        return if allowed {
            Ok((Target::Asterisk, None))
        } else {
            Err(wrong)
        };
    }
    let scheme = |name: &str| {
        let (start, rest) = raw.split_at_checked(name.len())?;
        start.eq_ignore_ascii_case(name).then_some(rest)
    };
    let rest = scheme("http://")
        .or_else(|| scheme("https://"))
        .ok_or(wrong)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match (authority, path) {
        // RFC 9110, section 4.2.1: not without a host, as little as with a port alone.
        (authority, _) if authority.is_empty() || authority.starts_with(':') => Err(wrong),
        // RFC 9112, section 3.2.4: without a path the server itself is meant.
        (_, "") if method == "OPTIONS" => Ok((Target::Asterisk, Some(authority))),
        _ => Ok((Target::Path(path), Some(authority))),
    }
}

/// Returns the value of the one `Host` line; a client of HTTP/1.0 may leave it out.
fn host_line<'b>(fields: &Fields<'_, 'b>, version: Version) -> Result<&'b str, Malformed> {
    let mut lines = fields.values(Field::Host);
    let value = match (lines.next(), lines.next()) {
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Err(Malformed::Syntax("there are several hosts")),
        (None, _) if version == Version::Http10 => b"",
        (None, _) => return Err(Malformed::Syntax("there is no host")),
    };
    let wrong = Malformed::Syntax("the host is malformed");
    let text = std::str::from_utf8(value).map_err(|_| wrong)?;
    // Checked here too, for the case that the target says the host and this line is dropped.
    host::host(text).map(|_| text).ok_or(wrong)
}

/// Returns the protocol that a request wants to go on with, if it may.
fn upgrade<'b>(fields: &Fields<'_, 'b>, version: Version) -> Option<&'b [u8]> {
    let plain = version == Version::Http11 && fields.connection.upgrade;
    // A body would stand between the head and the new protocol.
    let bodiless = matches!(fields.framing, Framing::Unsaid | Framing::Length(0));
    let mut lines = fields.values(Field::Upgrade);
    let protocol = lines.next().filter(|_| plain && bodiless)?;
    // Through a tunnel of HTTP/2 requests would pass that nobody routes.
    let h2c = |token: &[u8]| token.eq_ignore_ascii_case(b"h2c") || token.is_empty();
    let allowed = lines.next().is_none() && !tokens(protocol).any(h2c);
    allowed.then_some(protocol)
}

#[cfg(test)]
mod tests;
