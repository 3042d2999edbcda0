//! Answers that routes give by themselves: redirects and fixed ones.

use std::{io::Write, sync::Arc, time::SystemTime};

use super::{Version, marks::Added, response::Asked};
use crate::config::Respond;

/// Holds an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    /// Names and values of headers.
    headers: Vec<(&'static str, String)>,
    /// More header lines, with their ends.
    lines: Vec<u8>,
    respond: Option<Arc<Respond>>,
}

impl Answer {
    /// Creates a redirect; `location` is the value of a header.
    pub(crate) fn redirect(status: u16, location: String) -> Self {
        Self {
            status,
            headers: vec![("Location", location)],
            lines: Vec::new(),
            respond: None,
        }
    }

    /// Creates a fixed answer.
    pub(crate) fn fixed(respond: &Arc<Respond>) -> Self {
        let headers = match respond.body.is_empty() {
            true => Vec::new(),
            false => vec![("Content-Type", respond.content_type.clone())],
        };
        Self {
            status: respond.status,
            headers,
            lines: Vec::new(),
            respond: Some(Arc::clone(respond)),
        }
    }

    /// Adds a header.
    pub(crate) fn with(mut self, header: (&'static str, String)) -> Self {
        self.headers.push(header);
        self
    }

    /// Leaves out headers with these names, in lower case, and adds lines.
    pub(crate) fn change(&mut self, dropped: &[Box<str>], lines: &[u8]) {
        let is_dropped = |name: &str| dropped.iter().any(|one| name.eq_ignore_ascii_case(one));
        self.headers.retain(|(name, _)| !is_dropped(name));
        self.lines.extend_from_slice(lines);
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Appends the response; returns how many bytes its body has.
    ///
    /// A response to HEAD has no body but the header lines of one.
    pub(crate) fn encode(
        &self,
        now: SystemTime,
        asked: Asked,
        keep_alive: bool,
        added: &Added,
        out: &mut Vec<u8>,
    ) -> u64 {
        let body = self.respond.as_ref().map_or("", |respond| &respond.body);
        let (status, phrase) = (self.status, phrase(self.status));
        let date = httpdate::fmt_http_date(now);
        write!(out, "HTTP/1.1 {status} {phrase}\r\nDate: {date}\r\n")
            .expect("a vector takes all bytes");
        for (name, value) in &self.headers {
            write!(out, "{name}: {value}\r\n").expect("a vector takes all bytes");
        }
        added.encode_id(out);
        out.extend_from_slice(&self.lines);
        // RFC 9110, section 8.6: not with a 204; with a 304 it would be that of a 200.
        if !matches!(self.status, 204 | 304) {
            write!(out, "Content-Length: {}\r\n", body.len()).expect("a vector takes all bytes");
        }
        out.extend_from_slice(match (keep_alive, asked.version) {
            (true, Version::Http11) => b"",
            (true, Version::Http10) => b"Connection: keep-alive\r\n",
            (false, _) => b"Connection: close\r\n",
        });
        out.extend_from_slice(b"\r\n");
        if asked.head {
            return 0;
        }
        out.extend_from_slice(body.as_bytes());
        body.len() as u64
    }
}

/// Returns the phrase of a status that routes often answer with; clients don't look at it.
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        410 => "Gone",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "",
    }
}
