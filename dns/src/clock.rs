//! The time by the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the seconds since 1970, as DNS counts them: in 32 bits that start anew (RFC 1982).
pub(crate) fn now() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as u32)
}
