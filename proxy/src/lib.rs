//! Takes HTTP requests to living instances.

mod access_log;
mod balancers;
mod config;
mod connection;
mod endpoint;
mod error;
mod exchange;
mod explain;
mod forward;
mod gate;
mod http;
mod listener;
mod metrics;
mod plan;
mod pool;
mod route;
mod shared;
mod socket;
mod timer;
mod tunnel;
mod upstream;
mod worker;

pub use access_log::AccessLog;
pub use balancers::Balancer;
pub use config::{
    AccessLog as AccessLogConfig, Config, Limits, Listener, Protocol, Retries, Route,
    RouteTimeouts, Timeouts,
};
pub use endpoint::Endpoint;
pub use explain::{EndpointState, Explanation, LeftOut, RouteVerdict};
pub use listener::{Phase, bind, serve};
pub use metrics::Metrics;
pub use route::RouteTable;
pub use shared::Shared;
pub use worker::Worker;

#[cfg(test)]
mod tests;
