//! The table `[proxy.timeouts]`.

use config::{Duration, Problem};
use serde::{Deserialize, Serialize};

/// Configures how long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Until a connection to an instance stands; 1 s.
    pub connect: Duration,
    /// Until a request's head is there, from its first byte or the connection's begin; 10 s.
    pub header: Duration,
    /// Between two requests on a client's connection; 60 s.
    pub idle: Duration,
    /// From the last byte of a request until the head of its response; 60 s.
    pub request: Duration,
    /// Between two pieces of a body; 60 s.
    pub stream_idle: Duration,
    /// Without a byte through a tunnel (WebSocket) either way; 1 h.
    pub tunnel: Duration,
    /// Until requests and tunnels of an instance that drains or is gone are ended, from when it gets no
    /// new ones; 5 min.
    pub instance_drain: Duration,
    /// Before an unused connection to an instance is closed; 4 s, as many servers close after 5 s.
    pub upstream_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            header: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            request: Duration::from_secs(60),
            stream_idle: Duration::from_secs(60),
            tunnel: Duration::from_secs(3600),
            instance_drain: Duration::from_secs(300),
            upstream_idle: Duration::from_secs(4),
        }
    }
}

impl Timeouts {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let all = [
            ("connect", self.connect),
            ("header", self.header),
            ("idle", self.idle),
            ("request", self.request),
            ("stream_idle", self.stream_idle),
            ("tunnel", self.tunnel),
        ];
        all.into_iter()
            .filter(|(_, timeout)| timeout.get().is_zero())
            .map(|(key, _)| Problem::new(format!("timeouts.{key}"), "`0s` leaves no time"))
            .collect()
    }
}
