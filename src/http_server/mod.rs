//! What the HTTP APIs beside the proxy have in common: the admin API, and those of systems that signpost
//! replaces.

mod access;
pub(crate) mod aside;
pub(crate) mod body;
mod listener;

pub(crate) use access::Access;
pub(crate) use listener::{Api, Limits, Listener};
