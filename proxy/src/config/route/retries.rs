//! What a route has otherwise than `[proxy.retries]`.

use config::{Problem, Size};
use serde::{Deserialize, Serialize};

use crate::config::Retries;

/// Overrides, for one route, what happens when an instance fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteRetries {
    /// As [`Retries::attempts`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<usize>,
    /// As [`Retries::body_bytes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<Size>,
}

impl RouteRetries {
    /// Returns what holds for the route where `all` holds for the others.
    pub(crate) fn over(self, all: Retries) -> Retries {
        Retries {
            attempts: self.attempts.unwrap_or(all.attempts),
            body_bytes: self.body_bytes.unwrap_or(all.body_bytes),
        }
    }

    pub(super) fn problem(self) -> Option<Problem> {
        let is_zero = self.attempts == Some(0);
        is_zero.then(|| Problem::new("retries.attempts", "`0` attempts would answer no request"))
    }
}
