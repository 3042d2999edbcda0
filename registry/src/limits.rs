//! What the registry takes at the most.

use serde::Deserialize;

/// Bounds what the registry holds; what is beyond is refused or left out by itself, and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Records of one source; those beyond are refused.
    pub entries_per_source_max: usize,
    /// Instances of one service, the first by id; those beyond are left out.
    pub instances_per_service_max: usize,
    /// Refused records of one source that are kept with their reason; those beyond are only counted.
    pub refusals_kept_max: usize,
    /// Host names that are resolved; instances at those beyond stay without address.
    pub hosts_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries_per_source_max: 2_000_000,
            instances_per_service_max: 10_000,
            refusals_kept_max: 10_000,
            hosts_max: 10_000,
        }
    }
}
