//! The HTTP client of the sources: one request on a connection of its own, its answer read as it
//! comes.
//!
//! Stores that speak HTTP push what changes on an answer that doesn't end, and are asked for little
//! else; so there is no pool. [`Client`] knows certificates and credentials ([`Login`]), and
//! [`Body`] gives what has come.

mod client;
mod login;

pub(crate) use client::{Body, Client, Failure, Request, told};
pub use login::{Login, LoginScheme};
