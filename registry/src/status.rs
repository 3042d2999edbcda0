//! How the sources are.

use serde::Serialize;

use crate::{Refusal, ServiceName, Timestamp};

/// How many refused records a status lists; all of them are counted.
pub const REFUSALS_LISTED_MAX: usize = 1000;

/// Says how one source is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceStatus {
    /// Its name in the configuration.
    pub name: String,
    /// What kind of store it watches.
    pub kind: &'static str,
    /// Whether everything has been read once, so that what isn't known doesn't exist.
    pub synced: bool,
    /// Since when the store can't be reached; what was known then is still served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_since: Option<Timestamp>,
    /// The last thing that went wrong, and when; it may be over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<SourceError>,
    /// When the source last said something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update: Option<Timestamp>,
    /// How many updates it has sent.
    pub updates: u64,
    /// How often it has failed and was run again.
    pub failures: u64,
    /// How often it has read everything again to see whether it had missed something.
    pub audits: u64,
    /// How many missed changes these audits have found; anything but 0 is a defect.
    pub drift: u64,
    /// How many records it has.
    pub entries: usize,
    /// How many instances these speak of.
    pub instances: usize,
    /// How many records can't be read.
    pub refused: usize,
    /// The first of these, by their path.
    pub refusals: Vec<Refusal>,
    /// The source's services that have more instances than `instances_per_service_max`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limited: Vec<LimitedService>,
}

impl SourceStatus {
    /// Notes that the store can't be reached; since when is kept if it is so already.
    pub(crate) fn lose(&mut self, now: Timestamp, reason: String) {
        self.stale_since.get_or_insert(now);
        self.last_error = Some(SourceError { at: now, reason });
    }
}

/// Names a service of which some instances are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LimitedService {
    /// Which one.
    pub service: ServiceName,
    /// How many of its instances are left out, those of all sources together.
    pub left_out: usize,
}

/// Says what went wrong with a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceError {
    /// When.
    pub at: Timestamp,
    /// What, in words.
    pub reason: String,
}
