//! What a route has otherwise than `[proxy.retries]`.

use config::{Duration, Problem, Size};
use serde::{Deserialize, Serialize};

use crate::config::{Retries, Statuses};

/// Overrides, for one route, what happens when an instance fails.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteRetries {
    /// As [`Retries::attempts`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<usize>,
    /// As [`Retries::body_bytes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<Size>,
    /// As [`Retries::per_try`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_try: Option<Duration>,
    /// As [`Retries::statuses`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statuses: Option<Statuses>,
    /// As [`Retries::non_idempotent`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_idempotent: Option<bool>,
}

impl RouteRetries {
    /// Returns what holds for the route where `all` holds for the others.
    pub(crate) fn over(self, all: Retries) -> Retries {
        Retries {
            attempts: self.attempts.unwrap_or(all.attempts),
            body_bytes: self.body_bytes.unwrap_or(all.body_bytes),
            per_try: self.per_try.or(all.per_try),
            statuses: self.statuses.unwrap_or(all.statuses),
            non_idempotent: self.non_idempotent.unwrap_or(all.non_idempotent),
            ..all
        }
    }

    pub(super) fn problems(self) -> Vec<Problem> {
        self.over(Retries::default()).problems()
    }
}
