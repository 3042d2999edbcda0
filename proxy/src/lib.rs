//! Takes HTTP requests to living instances.
//!
//! First the view. A [`RouteTable`] is made of a [`Config`] and a snapshot of the registry; it
//! leads from a host, a path in its normal form and what else routes look at to a route's action:
//! mostly a service's pool of [`Endpoint`]s, among which a [`Balancer`] chooses. Tables share what
//! they have in common, and all have the same endpoints with the same counters, so a change of
//! membership costs what it changes. [`Shared::explain`] says why a request goes where it goes,
//! [`Drains`] follow the instances that leave. All of this is pure, and so is `http`, which reads
//! and writes HTTP/1.1 on bytes.
//!
//! Then the sockets. [`Shared`] holds what all workers read and whoever watches the registry
//! replaces. A [`Worker`] is one thread's share: its connections to endpoints, buffers, counters.
//! [`serve`] accepts on a listener that [`bind`] has made, with one task for each client. In it, a
//! *connection* reads a head, a *plan* decides where the request goes, a *stream* takes it there
//! (to another endpoint when the first one fails), an *exchange* passes both bodies with one
//! endpoint, a *tunnel* follows a 101, and a *mirror* may get a copy of what is over. A connection
//! to an endpoint has no task: it is kept by the worker and borrowed by the client's task for one
//! exchange. *Passwords* that a route asks for are compared once, on a thread of their own.
//!
//! Beside them, on the control plane, the [`HealthManager`] watches the instances and tells the
//! registry which are well.
//!
//! [`Metrics`] sum up the workers' counters; the [`AccessLog`] is written by a thread of its own.

mod access_log;
mod balancers;
mod circuit;
mod config;
mod connection;
mod drains;
mod endpoint;
mod error;
mod exchange;
mod explain;
mod forward;
mod gate;
mod health;
mod http;
mod latency;
mod ledger;
mod listener;
mod metrics;
mod mirror;
mod passwords;
mod plan;
mod pool;
mod proxy_protocol;
mod route;
mod shared;
mod socket;
mod splice;
mod sticky;
pub mod testing;
mod timer;
mod tunnel;
mod upstream;
mod worker;

pub use access_log::AccessLog;
pub use balancers::{Algorithm, Balancer, BoundedLoad};
pub use config::{
    AccessLog as AccessLogConfig, Auth, Check, CheckKind, CircuitLimits, Config, Distance,
    DotSegments, Ejection, EncodedSlash, HeaderEdits, Limits, Listener, Locality, LocationRewrite,
    Mirror, PasswordHash, PathParameters, PathRules, Percent, Protocol, Redirect, Respond, Retries,
    Rewrite, Route, RouteLimits, RouteRetries, RouteTimeouts, SameSite, Scheme, ServiceOptions,
    ServicePolicy, Share, StatusRange, Statuses, Sticky, Subset, Timeouts, Told, Unless,
    ValueMatch,
};
pub use drains::{DrainPhase, DrainState, Drains};
pub use endpoint::Endpoint;
pub use explain::{EndpointState, Explanation, LeftOut, RouteVerdict, Sample};
pub use health::{HealthManager, InstanceHealth, ServiceHealth, Verdict};
pub use listener::{Phase, bind, serve};
pub use metrics::Metrics;
pub use route::RouteTable;
pub use shared::Shared;
pub use worker::Worker;

#[cfg(test)]
mod tests;
