//! The header lines of a message: what each one means to a proxy.

use httparse::Header;
use smallvec::SmallVec;

use super::{Malformed, Version};

/// Says what a proxy does with a header line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// It belongs to client and server and is passed on.
    EndToEnd,
    /// It belongs to one connection only (RFC 9110, section 7.6.1), or must never be passed on.
    HopByHop,
    Connection,
    ContentLength,
    Expect,
    Host,
    TransferEncoding,
    Te,
    Upgrade,
    /// RFC 7239.
    Forwarded,
    ForwardedFor,
    ForwardedHost,
    ForwardedPort,
    ForwardedProto,
    /// Names the request, where that is configured; [`Fields::mark`] finds it.
    RequestId,
    /// Tells something else about the client that only a trusted proxy may say.
    ForwardedOther,
}

impl Field {
    /// Tells what a header name means.
    pub(crate) fn of(name: &str) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let bytes = name.as_bytes();
        let resembles = |known: &str| resembles(name, known);
        match bytes.len() {
            2 if is("te") => Self::Te,
            4 if is("host") => Self::Host,
            // Read as HTTP_PROXY by CGI programs.
            5 if is("proxy") => Self::HopByHop,
            6 if is("expect") => Self::Expect,
            7 if is("upgrade") => Self::Upgrade,
            9 if is("forwarded") => Self::Forwarded,
            10 if is("connection") => Self::Connection,
            10 if is("keep-alive") => Self::HopByHop,
            14 if resembles("content-length") => Self::ContentLength,
            15 if resembles("x-forwarded-for") => Self::ForwardedFor,
            16 if resembles("x-forwarded-host") => Self::ForwardedHost,
            16 if resembles("x-forwarded-port") => Self::ForwardedPort,
            9 if resembles("x-real-ip") => Self::ForwardedOther,
            17 if resembles("x-forwarded-proto") => Self::ForwardedProto,
            17 if resembles("transfer-encoding") => Self::TransferEncoding,
            7.. if bytes[..6].eq_ignore_ascii_case(b"proxy-") => Self::HopByHop,
            12.. if begins(name, "x-forwarded-") => Self::ForwardedOther,
            _ => Self::EndToEnd,
        }
    }
}

impl Field {
    /// Tells whether such a line says who was before the sender.
    fn is_forwarded(self) -> bool {
        matches!(
            self,
            Self::Forwarded
                | Self::ForwardedFor
                | Self::ForwardedHost
                | Self::ForwardedOther
                | Self::ForwardedPort
                | Self::ForwardedProto
        )
    }
}

/// Tells whether a name begins with a known one, in lower case.
///
/// A server behind us may read `_` as `-` (CGI does), so what looks alike is treated alike.
fn begins(name: &str, known: &str) -> bool {
    let same = |(a, b): (u8, u8)| match a {
        b'_' => b == b'-' || b == b'_',
        a => a.to_ascii_lowercase() == b,
    };
    name.len() >= known.len() && name.bytes().zip(known.bytes()).all(same)
}

fn resembles(name: &str, known: &str) -> bool {
    name.len() == known.len() && begins(name, known)
}

/// Tells whether a line may stand behind a body: one that says nothing of framing, routing,
/// authentication, content or how to answer, which has been decided by then (RFC 9110, section
/// 6.5.1).
pub(crate) fn may_trail(name: &str) -> bool {
    const NEVER: [&str; 19] = [
        "age",
        "authorization",
        "cache-control",
        "cookie",
        "date",
        "expires",
        "location",
        "max-forwards",
        "pragma",
        "range",
        "retry-after",
        "set-cookie",
        "set-cookie2",
        "trailer",
        "vary",
        "via",
        "warning",
        "www-authenticate",
        "authentication-info",
    ];
    let name = name.replace('_', "-").to_ascii_lowercase();
    let begins = |start: &&str| name.starts_with(start);
    Field::of(&name) == Field::EndToEnd
        && !["content-", "if-"].iter().any(begins)
        && !NEVER.contains(&name.as_str())
}

/// Says what the `Connection` lines ask for.
#[derive(Debug, Default)]
pub(crate) struct Connection<'b> {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
    /// The names of other lines that are for this connection only.
    nominated: SmallVec<[&'b [u8]; 4]>,
}

impl<'b> Connection<'b> {
    fn read(&mut self, value: &'b [u8]) {
        for token in tokens(value) {
            match token.len() {
                0 => {}
                5 if token.eq_ignore_ascii_case(b"close") => self.close = true,
                10 if token.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                7 if token.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                _ => self.nominated.push(token),
            }
        }
    }
}

/// Says how long a body is, as far as the header lines say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// No line says it.
    Unsaid,
    Length(u64),
    Chunked,
}

/// Holds the header lines of one message, each with its meaning.
#[derive(Debug)]
pub(crate) struct Fields<'h, 'b> {
    pub(crate) headers: &'h [Header<'b>],
    pub(crate) kinds: SmallVec<[Field; 64]>,
    pub(crate) connection: Connection<'b>,
    pub(crate) framing: Framing,
}

impl<'h, 'b> Fields<'h, 'b> {
    /// Reads the lines.
    ///
    /// # Errors
    ///
    /// Refuses framing on which two readers could disagree: a length together with a transfer
    /// coding, several lengths even when equal, a length that isn't all digits, a coding that
    /// doesn't end in `chunked`, and any coding in HTTP/1.0 (RFC 9112, sections 6.1 and 6.3).
    pub(crate) fn read(headers: &'h [Header<'b>], version: Version) -> Result<Self, Malformed> {
        let kinds = headers
            .iter()
            .map(|header| Field::of(header.name))
            .collect();
        let mut fields = Self {
            headers,
            kinds,
            connection: Connection::default(),
            framing: Framing::Unsaid,
        };
        for (header, kind) in headers.iter().zip(&mut fields.kinds) {
            // Nobody who is believed writes them so; only whoever wants them to be taken for others.
            if kind.is_forwarded() && header.name.contains('_') {
                *kind = Field::HopByHop;
            }
        }
        let mut length = None;
        let mut codings: SmallVec<[&[u8]; 2]> = SmallVec::new();
        let mut coded = false;
        for (header, kind) in headers.iter().zip(&fields.kinds) {
            match kind {
                Field::Connection => fields.connection.read(header.value),
                Field::ContentLength if length.is_some() => {
                    return Err(Malformed::Syntax("there are several content lengths"));
                }
                Field::ContentLength => length = Some(content_length(header)?),
                Field::TransferEncoding => {
                    coded = true;
                    if header.name.contains('_') {
                        return Err(Malformed::Syntax("a header name is malformed"));
                    }
                    codings.extend(tokens(header.value));
                }
                _ => {}
            }
        }
        fields.framing = match (coded, length) {
            (true, Some(_)) => {
                let reason = "there are a content length and a transfer coding";
                return Err(Malformed::Syntax(reason));
            }
            (true, None) => transfer_coding(&codings, version)?,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::Unsaid,
        };
        Ok(fields)
    }

    /// Gives all lines whose name resembles `name`, in lower case, this kind; returns whether there
    /// are any.
    pub(crate) fn mark(&mut self, name: &str, kind: Field) -> bool {
        let mut any = false;
        for (header, place) in self.headers.iter().zip(&mut self.kinds) {
            if resembles(header.name, name) {
                *place = kind;
                any = true;
            }
        }
        any
    }

    /// Returns the values of all lines of one kind.
    pub(crate) fn values(&self, kind: Field) -> impl Iterator<Item = &'b [u8]> {
        let pairs = self.headers.iter().zip(&self.kinds);
        pairs
            .filter(move |(_, one)| **one == kind)
            .map(|(header, _)| header.value)
    }

    /// Returns the value of the first line with this name that belongs to client and server.
    pub(crate) fn value(&self, name: &str) -> Option<&'b [u8]> {
        let mut pairs = self.headers.iter().zip(&self.kinds);
        let found = pairs.find(|(header, kind)| {
            **kind == Field::EndToEnd && header.name.eq_ignore_ascii_case(name)
        });
        found.map(|(header, _)| header.value)
    }

    /// Copies the lines for which `keep` holds and that `Connection` doesn't nominate, byte for
    /// byte.
    ///
    /// `head` is the whole head that the lines were read from.
    pub(crate) fn copy(&self, head: &[u8], out: &mut Vec<u8>, keep: impl Fn(Field) -> bool) {
        let base = head.as_ptr().addr();
        let place = |header: &Header<'_>| header.name.as_ptr().addr() - base;
        // Neighbours that are kept are copied as one piece.
        let mut piece = None;
        for (header, kind) in self.headers.iter().zip(&self.kinds) {
            let kept = keep(*kind) && !(*kind == Field::EndToEnd && self.nominates(header.name));
            match (kept, piece) {
                (true, None) => piece = Some(place(header)),
                (false, Some(start)) => {
                    out.extend_from_slice(&head[start..place(header)]);
                    piece = None;
                }
                _ => {}
            }
        }
        if let Some(start) = piece {
            // Without the empty line.
            out.extend_from_slice(&head[start..head.len() - 2]);
        }
    }

    /// Has all lines that belong to client and server and look like one of these names, in lower case,
    /// left out when lines are copied.
    pub(crate) fn leave_out(&mut self, names: &[Box<str>]) {
        for (header, kind) in self.headers.iter().zip(&mut self.kinds) {
            let named = || names.iter().any(|name| looks_like(header.name, name));
            if *kind == Field::EndToEnd && named() {
                *kind = Field::HopByHop;
            }
        }
    }

    /// Returns the names that `Connection` nominates, for the trailers.
    pub(crate) fn nominated(&self) -> Vec<Box<[u8]>> {
        let names = self.connection.nominated.iter();
        names.map(|name| Box::from(*name)).collect()
    }

    fn nominates(&self, name: &str) -> bool {
        let same = |one: &&[u8]| one.eq_ignore_ascii_case(name.as_bytes());
        self.connection.nominated.iter().any(same)
    }
}

/// Tells whether a server that reads `_` as `-` (CGI does) could take one name for the other.
fn looks_like(name: &str, other: &str) -> bool {
    let same = |(a, b): (u8, u8)| match (a, b) {
        (b'_' | b'-', b'_' | b'-') => true,
        (a, b) => a.eq_ignore_ascii_case(&b),
    };
    name.len() == other.len() && name.bytes().zip(other.bytes()).all(same)
}

/// Splits a list of tokens at its commas, without the white space around them.
pub(crate) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn content_length(header: &Header<'_>) -> Result<u64, Malformed> {
    let wrong = Malformed::Syntax("the content length is not a number");
    let digits = header.value;
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if !all_digits || header.name.contains('_') {
        return Err(wrong);
    }
    let text = std::str::from_utf8(digits).map_err(|_| wrong)?;
    text.parse().map_err(|_| wrong)
}

fn transfer_coding(codings: &[&[u8]], version: Version) -> Result<Framing, Malformed> {
    let chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    if version == Version::Http10 {
        return Err(Malformed::Syntax("HTTP/1.0 has no transfer codings"));
    }
    match codings {
        [last] if chunked(last) => Ok(Framing::Chunked),
        [first @ .., last] if chunked(last) && !first.iter().any(chunked) => {
            match first.iter().all(|one| !one.is_empty()) {
                true => Err(Malformed::Coding),
                false => Err(Malformed::Syntax("the transfer coding is malformed")),
            }
        }
        _ => Err(Malformed::Syntax(
            "the transfer coding does not end in chunked",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(lines: &[(&str, &str)], version: Version) -> Result<Framing, Malformed> {
        let headers: Vec<_> = lines
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        Fields::read(&headers, version).map(|fields| fields.framing)
    }

    #[test]
    fn framing_is_read_when_there_is_one_reading() {
        let read = |lines: &[_]| framing(lines, Version::Http11);
        assert_eq!(read(&[]), Ok(Framing::Unsaid));
        assert_eq!(read(&[("Content-Length", "17")]), Ok(Framing::Length(17)));
        assert_eq!(
            read(&[("transfer-encoding", "Chunked")]),
            Ok(Framing::Chunked)
        );
    }

    #[test]
    fn framing_with_two_readings_is_refused() {
        for lines in [
            &[("Content-Length", "1"), ("Transfer-Encoding", "chunked")][..],
            &[("Transfer-Encoding", "chunked"), ("Content-Length", "1")],
            &[("Content-Length", "1"), ("Content-Length", "1")],
            &[("Content-Length", "1, 1")],
            &[("Content-Length", "+1")],
            &[("Content-Length", "-1")],
            &[("Content-Length", "")],
            &[("Content-Length", "0x1")],
            &[("Content-Length", "99999999999999999999")],
            &[("Content_Length", "1")],
            &[("Transfer_Encoding", "chunked")],
            &[("Transfer-Encoding", "")],
            &[("Transfer-Encoding", "gzip")],
            &[("Transfer-Encoding", "chunked, gzip")],
            &[("Transfer-Encoding", "chunked, chunked")],
            &[
                ("Transfer-Encoding", "chunked"),
                ("Transfer-Encoding", "chunked"),
            ],
            &[("Transfer-Encoding", ", chunked")],
            &[("Transfer-Encoding", "xchunked")],
            &[("Transfer-Encoding", "chunked;q=1")],
            &[("Transfer-Encoding", "identity")],
        ] {
            let read = framing(lines, Version::Http11);
            assert!(
                matches!(read, Err(Malformed::Syntax(_))),
                "{lines:?}: {read:?}"
            );
        }
        assert!(framing(&[("Transfer-Encoding", "chunked")], Version::Http10).is_err());
    }

    #[test]
    fn another_coding_under_chunked_is_not_supported() {
        let lines = [("Transfer-Encoding", "gzip, chunked")];
        assert_eq!(framing(&lines, Version::Http11), Err(Malformed::Coding));
    }

    #[test]
    fn names_that_a_server_could_mistake_count_as_the_real_ones() {
        assert_eq!(Field::of("X_Forwarded_For"), Field::ForwardedFor);
        assert_eq!(Field::of("Proxy-Authorization"), Field::HopByHop);
        assert_eq!(Field::of("Proximity"), Field::EndToEnd);
    }
}
