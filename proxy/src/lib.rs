//! Takes HTTP requests to living instances.

mod balancers;
mod config;
mod endpoint;
mod error;
mod explain;
mod http;
mod pool;
mod route;

pub use balancers::Balancer;
pub use config::{
    AccessLog as AccessLogConfig, Config, Limits, Listener, Protocol, Retries, Route,
    RouteTimeouts, Timeouts,
};
pub use endpoint::Endpoint;
pub use explain::{EndpointState, Explanation, LeftOut, RouteVerdict};
pub use route::RouteTable;
