//! The head of a response: read as strictly as a request's, written anew for the client.

use std::mem::MaybeUninit;

use httparse::Header;

use super::{
    Body, Coding, Malformed, Version,
    fields::{Field, Fields, Framing},
    head::malformed,
    marks::Added,
};

/// Holds one response's head.
#[derive(Debug)]
pub(crate) struct Response<'h, 'b> {
    head: &'b [u8],
    /// 100 to 599.
    pub(crate) status: u16,
    version: Version,
    fields: Fields<'h, 'b>,
}

/// Says what a response depends on besides itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    /// The request's method was HEAD.
    pub(crate) head: bool,
    /// The client's version.
    pub(crate) version: Version,
}

impl<'h, 'b> Response<'h, 'b> {
    /// Reads a complete head.
    ///
    /// # Errors
    ///
    /// Refuses what a client could read in another way than we.
    pub(crate) fn parse(
        head: &'b [u8],
        slots: &'h mut [MaybeUninit<Header<'b>>],
    ) -> Result<Self, Malformed> {
        let mut response = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let parsed = parser.parse_response_with_uninit_headers(&mut response, head, slots);
        match parsed.map_err(malformed)? {
            httparse::Status::Complete(bytes) if bytes == head.len() => {}
            _ => return Err(Malformed::Syntax("the status line is malformed")),
        }
        let status = response.code.filter(|code| (100..600).contains(code));
        let status = status.ok_or(Malformed::Syntax("the status is malformed"))?;
        let version = Version::of(response.version);
        let fields = Fields::read(response.headers, version)?;
        Ok(Self {
            head,
            status,
            version,
            fields,
        })
    }

    /// Tells whether another response to the same request follows.
    pub(crate) fn is_interim(&self) -> bool {
        self.status < 200
    }

    /// Tells whether the server goes on with another protocol, and says which.
    pub(crate) fn upgrades(&self) -> bool {
        self.status == 101
            && self.fields.connection.upgrade
            && self.fields.values(Field::Upgrade).next().is_some()
    }

    /// Tells whether the server keeps the connection for more requests, and in good order.
    pub(crate) fn keeps_alive(&self) -> bool {
        let said = &self.fields.connection;
        !said.close && (self.version == Version::Http11 || said.keep_alive) && !self.may_stray()
    }

    /// Tells whether the server speaks of a body where there is none (RFC 9112, section 6.3): if it sends
    /// that all the same, the next response would begin with it.
    fn may_stray(&self) -> bool {
        self.status == 204 && !matches!(self.fields.framing, Framing::Unsaid | Framing::Length(0))
    }

    /// Returns the body that follows (RFC 9112, section 6.3).
    pub(crate) fn body(&self, asked: Asked) -> Body {
        let coding = match asked.version {
            Version::Http10 => Coding::Plain,
            Version::Http11 => Coding::Chunked,
        };
        match self.fields.framing {
            _ if self.has_no_body(asked) => Body::length(0),
            Framing::Length(bytes) => Body::length(bytes),
            Framing::Chunked => Body::chunked(coding, self.fields.nominated()),
            Framing::Unsaid => Body::until_close(coding),
        }
    }

    /// Tells whether a client can find the end of the body without the end of the connection.
    pub(crate) fn has_end(&self, asked: Asked) -> bool {
        asked.version == Version::Http11
            || self.has_no_body(asked)
            || matches!(self.fields.framing, Framing::Length(_))
    }

    /// Has lines with these names, in lower case, left out.
    pub(crate) fn leave_out(&mut self, names: &[Box<str>]) {
        self.fields.leave_out(names);
    }

    /// Returns the value of the first line with this name, if it is for the client.
    pub(crate) fn value(&self, name: &str) -> Option<&'b [u8]> {
        self.fields.value(name)
    }

    /// Leaves out the line that is to be added by us.
    pub(crate) fn yield_to(&mut self, added: &Added) {
        if !added.name().is_empty() {
            self.fields.mark(added.name(), Field::RequestId);
        }
    }

    /// Appends the head as the client gets it; `keep_alive` says whether the connection stays, and
    /// `more` are further lines of ours.
    pub(crate) fn encode(
        &self,
        asked: Asked,
        keep_alive: bool,
        added: &Added,
        more: &[u8],
        out: &mut Vec<u8>,
    ) {
        self.encode_lines(out);
        added.encode(self.version, out);
        out.extend_from_slice(more);
        let http11 = asked.version == Version::Http11;
        let bodiless = self.has_no_body(asked);
        match self.fields.framing {
            // RFC 9110, section 8.6: not with a 204.
            Framing::Length(bytes) if self.status != 204 => {
                out.extend_from_slice(b"Content-Length: ");
                out.extend_from_slice(itoa::Buffer::new().format(bytes).as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            Framing::Chunked | Framing::Unsaid if http11 && !bodiless => {
                out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            }
            _ => {}
        }
        // RFC 9110, section 15.5.22: a 426 names the protocol to upgrade to.
        let demands = (self.status == 426)
            .then(|| self.fields.values(Field::Upgrade).next())
            .flatten();
        match (keep_alive, demands) {
            (true, Some(_)) => out.extend_from_slice(b"Connection: upgrade\r\n"),
            (false, Some(_)) => out.extend_from_slice(b"Connection: upgrade, close\r\n"),
            (true, None) if !http11 => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            (true, None) => {}
            (false, None) => out.extend_from_slice(b"Connection: close\r\n"),
        }
        if let Some(protocol) = demands {
            append_upgrade(protocol, out);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the head of a 1xx as the client gets it; `more` are further lines of ours.
    pub(crate) fn encode_interim(&self, added: &Added, more: &[u8], out: &mut Vec<u8>) {
        self.encode_lines(out);
        added.encode(self.version, out);
        out.extend_from_slice(more);
        if self.upgrades() {
            out.extend_from_slice(b"Connection: upgrade\r\n");
            self.fields
                .values(Field::Upgrade)
                .for_each(|protocol| append_upgrade(protocol, out));
        }
        out.extend_from_slice(b"\r\n");
    }

    fn encode_lines(&self, out: &mut Vec<u8>) {
        // The version is ours; status and reason begin behind the server's, which is as long.
        let line = memchr::memchr(b'\n', self.head).unwrap_or_default();
        out.extend_from_slice(b"HTTP/1.1");
        out.extend_from_slice(&self.head[b"HTTP/1.1".len()..=line]);
        self.fields.copy(self.head, out, |kind| {
            !matches!(
                kind,
                Field::Connection
                    | Field::ContentLength
                    | Field::HopByHop
                    | Field::RequestId
                    | Field::Te
                    | Field::TransferEncoding
                    | Field::Upgrade
            )
        });
    }

    fn has_no_body(&self, asked: Asked) -> bool {
        asked.head || self.is_interim() || matches!(self.status, 204 | 304)
    }
}

fn append_upgrade(protocol: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"Upgrade: ");
    out.extend_from_slice(protocol);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::slots;

    const GET: Asked = Asked {
        head: false,
        version: Version::Http11,
    };
    const OLD: Asked = Asked {
        head: false,
        version: Version::Http10,
    };

    fn encode(text: &str, asked: Asked, keep_alive: bool) -> String {
        let mut slots = slots();
        let response = Response::parse(text.as_bytes(), &mut slots).unwrap();
        let mut out = Vec::new();
        response.encode(asked, keep_alive, &Added::default(), b"", &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_response_that_a_client_could_read_otherwise_is_refused() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: y\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 600 OK\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
        ] {
            assert!(
                Response::parse(text.as_bytes(), &mut slots()).is_err(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn lines_of_the_connection_are_replaced() {
        let text = "HTTP/1.0 200 Fine\r\nServer: x\r\nConnection: keep-alive, x-mine\r\n\
                    X-Mine: 1\r\n\
                    Keep-Alive: 5\r\nContent-Length: 3\r\n\r\n";
        assert_eq!(
            encode(text, GET, true),
            "HTTP/1.1 200 Fine\r\nServer: x\r\nContent-Length: 3\r\n\r\n"
        );
        assert!(encode(text, GET, false).ends_with("Connection: close\r\n\r\n"));
        assert!(encode(text, OLD, true).ends_with("Connection: keep-alive\r\n\r\n"));
    }

    #[test]
    fn an_end_by_close_becomes_chunks_where_the_client_knows_them() {
        let text = "HTTP/1.1 200 OK\r\n\r\n";
        assert!(encode(text, GET, true).contains("Transfer-Encoding: chunked\r\n"));
        assert!(!encode(text, OLD, false).contains("Transfer-Encoding"));
        let mut slots = slots();
        let response = Response::parse(text.as_bytes(), &mut slots).unwrap();
        assert!(response.has_end(GET) && !response.has_end(OLD));
    }

    #[test]
    fn a_head_request_keeps_the_length_it_asked_for() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
        let asked = Asked { head: true, ..GET };
        assert!(encode(text, asked, true).contains("Content-Length: 3\r\n"));
        let mut slots = slots();
        let response = Response::parse(text.as_bytes(), &mut slots).unwrap();
        assert!(response.body(asked).is_done() && !response.body(GET).is_done());
    }

    #[test]
    fn a_response_without_content_has_no_framing() {
        for status in ["204 No Content", "304 Not Modified"] {
            let text = format!("HTTP/1.1 {status}\r\n\r\n");
            assert_eq!(encode(&text, GET, true), text);
        }
        let text = "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(encode(text, GET, true), "HTTP/1.1 204 No Content\r\n\r\n");
    }
}
