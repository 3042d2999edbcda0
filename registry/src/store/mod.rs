//! The embedded store: what clients register here, kept on disk, with leases.
//!
//! [`Database`] keeps registrations on disk, [`Leases`] knows when they end, [`Writer`] is how others ask
//! for changes. The source in `sources/store.rs` owns the first two and answers the third.

mod database;
mod lease;
mod writer;

pub(crate) use database::{Database, Stored};
pub(crate) use lease::Leases;
pub(crate) use writer::{Call, Request, Write};
pub use writer::{WriteError, Writer, Written};

use std::fmt;

use crate::{InstanceId, ServiceName};

/// Names one registration of the embedded store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The service.
    pub service: ServiceName,
    /// The instance in it.
    pub id: InstanceId,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.id)
    }
}
