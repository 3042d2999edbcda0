//! Answers DNS queries about services, from what the registry knows.
//!
//! [`Zones`] are made of a [`Config`] and a snapshot, and made anew of the old ones when the
//! snapshot changes. Inside, a zone is a domain and a table of the names under it; a [`Scheme`]
//! says which names a service has and what it says at each, and that is encoded at once into sets
//! of records. So [`respond`] has little to do: it reads a query, finds the name and copies. All of
//! this is pure.
//!
//! Around it are the sockets, of which each worker has its own ([`bind_udp`], [`bind_tcp`]). A
//! [`UdpServer`] is a thread that takes, answers and sends datagrams by the batch; [`serve_tcp`]
//! keeps connections on the worker's runtime, and answers what has come by one at once. Each has
//! [`Counters`] of its own, which [`Metrics`] sums up.
//!
//! Queries for names that are nobody's here may be handed to a [`Forwarder`], which has resolvers asked.
//!
//! [`Zones::explain`] says why a name is answered as it is, and [`Zones::export`] writes a zone down
//! for other name servers.

mod batch;
mod browse;
mod clock;
mod config;
mod cookie;
mod excerpt;
mod explain;
mod export;
mod forward;
mod http;
mod lookup;
mod metrics;
mod name;
mod policy;
mod rate_limit;
mod records;
mod respond;
mod reverse;
mod rrset;
mod schemes;
mod socket;
mod table;
mod tcp;
#[cfg(test)]
mod testing;
mod ttl;
mod udp;
mod wire;
mod zone;
mod zones;

pub use crate::config::{
    AllDown, ChaosConfig, Compat, Config, CookiesConfig, Domain, ForwardConfig, Mailbox, Network,
    RateLimitConfig, ReverseConfig, Upstream, ZoneConfig,
};
pub use cookie::{CookieKind, Cookies};
pub use explain::{ExplainedInstance, ExplainedRecord, Explanation, LeftOut};
pub use export::ZoneSummary;
pub use forward::Forwarder;
pub use lookup::{Authority, Named, Record};
pub use metrics::{Counters, Metrics, QueryType, ZoneSlot};
pub use respond::{Outcome, Request, Transport, respond};
pub use schemes::Scheme;
pub use socket::{adopt_tcp, adopt_udp, bind_tcp, bind_udp};
pub use tcp::serve_tcp;
pub use udp::UdpServer;
pub use wire::Rcode;
pub use zones::Zones;
