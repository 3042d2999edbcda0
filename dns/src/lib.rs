//! Answers DNS queries about services.
mod config;
mod name;
mod records;
mod respond;
mod reverse;
mod rrset;
mod schemes;
mod table;
#[cfg(test)]
mod testing;
mod wire;
mod zone;
mod zones;

pub use crate::config::{Config, Domain, Mailbox, ZoneConfig};
pub use respond::{Outcome, Transport, respond};
pub use schemes::Scheme;
pub use wire::Rcode;
pub use zones::Zones;
