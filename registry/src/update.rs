//! What a source says: entries come, change and go.

use std::{fmt, sync::Arc};

use serde::Serialize;

use crate::{About, Instance, ServiceName};

/// Names one record in its store: a znode's path, an etcd key, a file and a position in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Key(Arc<str>);

impl Key {
    /// Creates a key from the store's own name for the record.
    pub fn new(path: impl Into<Arc<str>>) -> Self {
        Self(path.into())
    }

    /// Returns the store's own name for the record.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&Key> for Arc<str> {
    fn from(key: &Key) -> Self {
        Self::clone(&key.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what one record of a store says: some instances of one service.
///
/// It is the store's own unit of change, so a source forwards what it sees and never merges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which record.
    pub key: Key,
    /// The service it is about.
    pub service: ServiceName,
    /// Its instances; may be empty.
    pub instances: Vec<Instance>,
    /// What it says of the service itself.
    pub about: About,
}

impl Entry {
    /// Creates an entry that says nothing of the service itself.
    pub fn new(key: Key, service: ServiceName, instances: Vec<Instance>) -> Self {
        Self {
            key,
            service,
            instances,
            about: About::NOTHING,
        }
    }
}

/// Says that one record can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Which record.
    #[serde(rename = "path")]
    pub key: Key,
    /// Why, in words, with the value that is wrong.
    pub reason: String,
}

/// Tells the registry what a source sees.
///
/// A refused record takes nothing away: what the same key said before stays, as it does while a whole
/// store is away. It ends when the record is put, removed, or missing in a `Reset`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// All there is: what isn't in it is gone. The first update of every run of a source.
    Reset {
        /// The records that could be read.
        entries: Vec<Entry>,
        /// The records that couldn't.
        refused: Vec<Refusal>,
    },
    /// This record is new or has changed.
    Put(Entry),
    /// This record is gone.
    Remove(Key),
    /// This record is new or has changed, and can't be read.
    Refuse(Refusal),
}

impl Update {
    /// Creates a `Reset` without refusals.
    pub fn reset(entries: Vec<Entry>) -> Self {
        Self::Reset {
            entries,
            refused: Vec::new(),
        }
    }
}
