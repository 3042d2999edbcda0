//! The table `[proxy.limits]`.

use config::{Problem, Size};
use serde::{Deserialize, Serialize};

use crate::http;

/// Configures how much things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The longest request line; 8 KiB.
    pub request_line_bytes: Size,
    /// The largest head of a request or response, with its first line; 64 KiB.
    pub header_bytes: Size,
    /// The most header lines of a request or response; 100, at most 256.
    pub headers: usize,
    /// The largest body of a request; 0 for any.
    pub body_bytes: Size,
    /// The most clients' connections of one worker; what is above waits to be accepted; 16384.
    pub connections: usize,
    /// The most unused connections that one worker keeps to one instance; 64.
    pub upstream_idle: usize,
    /// The most health checks under way at a time; 256.
    pub checks: usize,
    /// The most copies of requests that one worker has on their way to mirrors; 64.
    pub mirrored: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line_bytes: Size::from_bytes(8 << 10),
            header_bytes: Size::from_bytes(64 << 10),
            headers: 100,
            body_bytes: Size::from_bytes(0),
            connections: 16_384,
            upstream_idle: 64,
            checks: 256,
            mirrored: 64,
        }
    }
}

impl Limits {
    /// Returns the largest body of a request in bytes.
    pub(crate) fn body_bytes_max(&self) -> u64 {
        match self.body_bytes.bytes() {
            0 => u64::MAX,
            bytes => bytes as u64,
        }
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut bound = |key: &str, value: usize, least: usize, most: usize| {
            if !(least..=most).contains(&value) {
                let reason = format!("`{value}` is not between {least} and {most}");
                problems.push(Problem::new(format!("limits.{key}"), reason));
            }
        };
        bound(
            "request_line_bytes",
            self.request_line_bytes.bytes(),
            64,
            1 << 20,
        );
        bound("header_bytes", self.header_bytes.bytes(), 256, 16 << 20);
        bound("headers", self.headers, 1, http::HEADERS_MAX);
        bound("connections", self.connections, 1, 1 << 24);
        bound("checks", self.checks, 1, 1 << 16);
        problems
    }
}
