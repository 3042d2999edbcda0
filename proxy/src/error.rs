//! Why a request got no whole response from a service.

use crate::http::Malformed;

/// Says why the proxy answers a request by itself, or why the client didn't get all of a response.
///
/// The code is stable: it stands in the problem document, the access log and the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The head or the framing is malformed.
    #[error("{0}")]
    BadRequest(Malformed),
    #[error("the request line is too long")]
    RequestLineTooLong,
    #[error("the header lines are too large or too many")]
    HeaderTooLarge,
    #[error("the client did not finish its request in time")]
    ClientTimeout,
    #[error("CONNECT is not supported")]
    ConnectMethod,
    #[error("no route matches the host and the path, and no service has the host's name")]
    UnknownHost,
    #[error("the service has no instance that can be asked")]
    NoInstance,
    #[error("not all sources are known yet, so the service may still appear")]
    Unsynced,
    #[error("the service has as many requests under way as it may have")]
    RequestsLimit,
    #[error("as many requests wait for the service as may wait")]
    PendingLimit,
    #[error("no connection to the service has become free in time")]
    PendingTimeout,
    #[error("the instance refused the connection")]
    UpstreamRefused,
    #[error("this machine has no room for a connection to the instance")]
    ResourcesExhausted,
    #[error("the instance did not accept the connection in time")]
    ConnectTimeout,
    #[error("the instance closed the connection without a response")]
    UpstreamReset,
    #[error("the instance sent a malformed response")]
    UpstreamMalformed,
    #[error("the instance did not respond in time")]
    UpstreamTimeout,
    #[error("the instance answered {0}, and no other one answered at all")]
    UpstreamStatus(u16),
    #[error("the client has closed the connection")]
    ClientAborted,
    #[error("the client did not read its response in time")]
    ClientStalled,
    #[error("the instance broke off its response")]
    UpstreamTruncated,
    #[error("the instance did not finish its response in time")]
    UpstreamStalled,
    #[error("the instance has left and did not respond in time")]
    DrainTimeout,
}

impl Error {
    /// Every error once, for counting.
    pub(crate) const CODES: [&'static str; 26] = [
        "bad_request",
        "version_not_supported",
        "transfer_coding_not_supported",
        "request_line_too_long",
        "header_too_large",
        "client_timeout",
        "connect_method",
        "unknown_host",
        "no_instance",
        "unsynced",
        "upstream_refused",
        "connect_timeout",
        "upstream_reset",
        "upstream_malformed",
        "upstream_timeout",
        "upstream_status",
        "body_too_large",
        "client_aborted",
        "client_stalled",
        "upstream_truncated",
        "upstream_stalled",
        "requests_limit",
        "pending_limit",
        "pending_timeout",
        "drain_timeout",
        "resources_exhausted",
    ];

    /// Returns the place of the code in [`CODES`](Self::CODES).
    pub(crate) fn index(self) -> usize {
        match self {
            Self::BadRequest(Malformed::Syntax(_)) => 0,
            Self::BadRequest(Malformed::Version) => 1,
            Self::BadRequest(Malformed::Coding) => 2,
            Self::RequestLineTooLong => 3,
            Self::HeaderTooLarge | Self::BadRequest(Malformed::Headers) => 4,
            Self::ClientTimeout => 5,
            Self::ConnectMethod => 6,
            Self::UnknownHost => 7,
            Self::NoInstance => 8,
            Self::Unsynced => 9,
            Self::UpstreamRefused => 10,
            Self::ConnectTimeout => 11,
            Self::UpstreamReset => 12,
            Self::UpstreamMalformed => 13,
            Self::UpstreamTimeout => 14,
            Self::UpstreamStatus(_) => 15,
            Self::BadRequest(Malformed::Body) => 16,
            Self::ClientAborted => 17,
            Self::ClientStalled => 18,
            Self::UpstreamTruncated => 19,
            Self::UpstreamStalled => 20,
            Self::RequestsLimit => 21,
            Self::PendingLimit => 22,
            Self::PendingTimeout => 23,
            Self::DrainTimeout => 24,
            Self::ResourcesExhausted => 25,
        }
    }

    /// Returns the name that programs know it by.
    pub(crate) fn code(self) -> &'static str {
        Self::CODES[self.index()]
    }

    /// Tells whether an instance has got the request and is to blame.
    pub(crate) fn is_upstream(self) -> bool {
        matches!(
            self,
            Self::UpstreamReset
                | Self::UpstreamMalformed
                | Self::UpstreamTimeout
                | Self::UpstreamStatus(_)
                | Self::UpstreamTruncated
                | Self::UpstreamStalled
        )
    }

    /// Returns the status to answer with; that of a client that is gone nobody sees.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::BadRequest(Malformed::Syntax(_)) => 400,
            Self::UnknownHost => 404,
            Self::ClientTimeout => 408,
            Self::BadRequest(Malformed::Body) => 413,
            Self::RequestLineTooLong => 414,
            Self::HeaderTooLarge | Self::BadRequest(Malformed::Headers) => 431,
            Self::ClientAborted | Self::ClientStalled => 499,
            Self::ConnectMethod | Self::BadRequest(Malformed::Coding) => 501,
            Self::UpstreamRefused
            | Self::UpstreamReset
            | Self::UpstreamMalformed
            | Self::UpstreamTruncated
            | Self::UpstreamStatus(_) => 502,
            Self::NoInstance
            | Self::ResourcesExhausted
            | Self::Unsynced
            | Self::RequestsLimit
            | Self::PendingLimit
            | Self::PendingTimeout => 503,
            Self::ConnectTimeout
            | Self::UpstreamTimeout
            | Self::UpstreamStalled
            | Self::DrainTimeout => 504,
            Self::BadRequest(Malformed::Version) => 505,
        }
    }

    /// Returns the phrase that belongs to the status (RFC 9110, section 15).
    pub(crate) fn title(self) -> &'static str {
        match self.status() {
            400 => "Bad Request",
            404 => "Not Found",
            408 => "Request Timeout",
            413 => "Content Too Large",
            414 => "URI Too Long",
            431 => "Request Header Fields Too Large",
            499 => "Client Closed Request",
            501 => "Not Implemented",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            _ => "HTTP Version Not Supported",
        }
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Self::BadRequest(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_gateway_unavailable_and_timeout_are_told_apart() {
        for (error, status, code) in [
            (Error::UpstreamRefused, 502, "upstream_refused"),
            (Error::NoInstance, 503, "no_instance"),
            (Error::UpstreamTimeout, 504, "upstream_timeout"),
            (
                Error::BadRequest(Malformed::Version),
                505,
                "version_not_supported",
            ),
            (
                Error::BadRequest(Malformed::Headers),
                431,
                "header_too_large",
            ),
        ] {
            assert_eq!((error.status(), error.code()), (status, code));
        }
    }
}
