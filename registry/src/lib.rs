//! Knows which service instances are alive.
//!
//! The words come first. A [`Service`] is a [`ServiceName`] and its [`Instance`]s. A store speaks of them
//! in records; what one record says is an [`Entry`], whose [`Key`] is the record's name in the store.
//! People and programs write an instance down as a [`Registration`].
//!
//! Then the machine. A [`Source`] watches one store and sends [`Update`]s: everything at first
//! (`Reset`), then what changes. A supervisor runs it again when it fails, and nothing is forgotten
//! meanwhile. The [`Registry`] takes the updates of all sources, merges those that speak of the same
//! service, lays over them what is seen of their instances (an [`Observation`]) and which of them
//! operators drain, and makes [`Snapshot`]s, each with a version that is higher than every one before.
//! It is pure; [`start`] puts it into a task and returns the [`Controls`] to speak with it.
//!
//! The stores are in `sources/`, one file each, listed in `sources/mod.rs`; how the records of some
//! of them look is in `formats/`. What `store/` has is the embedded one: registrations on disk, with
//! leases.

mod app;
mod backoff;
mod clock;
mod config;
mod controls;
mod election;
pub mod formats;
mod hosts;
mod http;
mod instance;
mod limits;
mod machine;
mod merge;
mod name;
mod observation;
mod registration;
mod registry;
mod service;
mod snapshot;
mod source;
pub mod sources;
mod status;
mod store;
mod supervise;
pub mod testing;
mod update;
mod version;
mod weights;

pub use app::{About, App, AppCheck, AppPort, AppRule};
pub use backoff::Backoff;
pub use config::Config;
pub use controls::{Controls, Stopped};
pub use http::{Login, LoginScheme};
pub use instance::{
    Addresses, Exclusion, Instance, Locality, Origin, Port, Ports, Protocol, State, Timestamp,
};
pub use limits::Limits;
pub use machine::{start, start_after};
pub use name::{InstanceId, NameError, PortName, ServiceName};
pub use observation::{Health, Observation, Reason};
pub use registration::{NamedPort, Registration};
pub use registry::Registry;
pub use service::Service;
pub use snapshot::{Change, Snapshot};
pub use source::{Error, Reports, Source, Updates, What, channel};
pub use status::{LimitedService, REFUSALS_LISTED_MAX, SourceError, SourceStatus};
pub use store::{Place, WriteError, Writer, Written};
pub use update::{Entry, Key, Refusal, Update};
pub use weights::{Weights, hundredths};
