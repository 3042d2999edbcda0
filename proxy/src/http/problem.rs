//! The responses that the proxy makes by itself: problem documents (RFC 9457).

use std::{io::Write, time::SystemTime};

use super::{Version, marks::Added, response::Asked};
use crate::error::Error;

/// How long a client should wait before it asks an unavailable service again, in seconds.
const RETRY_AFTER_SECONDS: u8 = 1;

/// Appends a response; returns how many bytes its body has.
///
/// A response to HEAD has no body but the header lines of one.
pub(crate) fn encode(
    error: Error,
    now: SystemTime,
    asked: Asked,
    keep_alive: bool,
    added: &Added,
    out: &mut Vec<u8>,
) -> u64 {
    // Neither text has a character that JSON would want escaped.
    let (status, title, code) = (error.status(), error.title(), error.code());
    let body = format!(
        "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{status},\
         \"detail\":\"{error}\",\"reason\":\"{code}\"}}\n"
    );
    let connection = match (keep_alive, asked.version) {
        (true, Version::Http11) => "",
        (true, Version::Http10) => "Connection: keep-alive\r\n",
        (false, _) => "Connection: close\r\n",
    };
    let retry_after = match status {
        503 => format!("Retry-After: {RETRY_AFTER_SECONDS}\r\n"),
        _ => String::new(),
    };
    write!(
        out,
        "HTTP/1.1 {status} {title}\r\nContent-Type: application/problem+json\r\n\
         Content-Length: {}\r\nDate: {}\r\nCache-Control: no-store\r\n\
         {retry_after}{connection}",
        body.len(),
        httpdate::fmt_http_date(now),
    )
    .expect("a vector takes all bytes");
    added.encode_id(out);
    out.extend_from_slice(b"\r\n");
    if asked.head {
        return 0;
    }
    out.extend_from_slice(body.as_bytes());
    body.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_reason_and_when_to_come_back() {
        let mut out = Vec::new();
        encode(
            Error::NoInstance,
            SystemTime::UNIX_EPOCH,
            Asked::default(),
            true,
            &Added::default(),
            &mut out,
        );
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
            "{head}"
        );
        assert!(head.ends_with("Retry-After: 1"), "{head}");
        assert!(
            head.contains("\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"),
            "{head}"
        );
        let document: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(document["reason"], "no_instance");
        assert_eq!(document["status"], 503);
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    }

    #[test]
    fn a_problem_for_head_has_no_body() {
        let mut out = Vec::new();
        assert_eq!(
            encode(
                Error::UnknownHost,
                SystemTime::UNIX_EPOCH,
                Asked {
                    head: true,
                    ..Asked::default()
                },
                false,
                &Added::default(),
                &mut out
            ),
            0
        );
        assert!(out.ends_with(b"Connection: close\r\n\r\n"));
    }
}
