//! The wall clock: for people to read, never to decide by.

use std::time::SystemTime;

use crate::Timestamp;

/// Returns the moment by the wall clock.
pub(crate) fn timestamp() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
