//! The HTTP client of the sources: one request on a connection of its own, its answer read as it
//! comes.
//!
//! Stores that speak HTTP push what changes on an answer that doesn't end, and are asked for little
//! else; so there is no pool. [`Client`] knows certificates and credentials ([`Login`]), and
//! [`Body`] gives what has come, of which [`Events`] takes a stream of events apart.

mod client;
mod login;
mod sse;

pub(crate) use client::{Body, Client, Failure, Request, Response};
pub use login::{Login, LoginScheme};
pub(crate) use sse::Events;
