//! Answers that routes give by themselves: redirects and fixed ones.

use std::{io::Write, sync::Arc, time::SystemTime};

use super::{Version, response::Asked};
use crate::config::Respond;

/// Holds an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    /// Header lines with their ends.
    lines: Vec<u8>,
    respond: Option<Arc<Respond>>,
}

impl Answer {
    /// Creates a redirect; `location` is the value of a header.
    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self {
            status,
            lines: format!("Location: {location}\r\n").into_bytes(),
            respond: None,
        }
    }

    /// Creates a fixed answer.
    pub(crate) fn fixed(respond: &Arc<Respond>) -> Self {
        let lines = match respond.body.is_empty() {
            true => Vec::new(),
            false => format!("Content-Type: {}\r\n", respond.content_type).into_bytes(),
        };
        Self {
            status: respond.status,
            lines,
            respond: Some(Arc::clone(respond)),
        }
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
        out: &mut Vec<u8>,
    ) -> u64 {
        let body = self.respond.as_ref().map_or("", |respond| &respond.body);
        let (status, phrase) = (self.status, phrase(self.status));
        let date = httpdate::fmt_http_date(now);
        write!(out, "HTTP/1.1 {status} {phrase}\r\nDate: {date}\r\n")
            .expect("a vector takes all bytes");
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
