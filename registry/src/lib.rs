//! Knows which service instances are alive.
//!
//! The words come first: a [`Service`] is a [`ServiceName`] and its [`Instance`]s. A store speaks of them
//! in records; what one record says is an [`Entry`].
//!
//! Then the machine. A [`Source`] watches one store and sends [`Update`]s.

mod instance;
mod name;
mod service;
mod snapshot;
mod source;
pub mod testing;
mod update;

pub use instance::{Exclusion, Instance, Locality, Origin, Port, Protocol, State, Timestamp};
pub use name::{InstanceId, NameError, PortName, ServiceName};
pub use service::Service;
pub use snapshot::{Change, Snapshot};
pub use source::{Error, Source, Updates};
pub use update::{Entry, Key, Refusal, Update};
