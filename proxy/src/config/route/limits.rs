//! What a route has otherwise than `[proxy.limits]`.

use config::Size;
use serde::{Deserialize, Serialize};

use crate::config::Limits;

/// Overrides, for one route, how much its requests may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteLimits {
    /// As [`Limits::body_bytes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<Size>,
}

impl RouteLimits {
    /// Returns what holds for the route where `all` holds for the others.
    pub(crate) fn over(self, all: Limits) -> Limits {
        Limits {
            body_bytes: self.body_bytes.unwrap_or(all.body_bytes),
            ..all
        }
    }
}
