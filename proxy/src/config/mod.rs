//! The section `[proxy]` of the configuration.

mod limits;
mod listener;
mod route;
mod timeouts;

use std::{net::SocketAddr, path::PathBuf};

use config::{Problem, Size};
use ipnet::IpNet;
use registry::ServiceName;
use serde::{Deserialize, Serialize};

pub use self::{
    limits::Limits,
    listener::{Listener, Protocol},
    route::{Route, RouteTimeouts},
    timeouts::Timeouts,
};
use crate::{Balancer, http};

/// Configures the proxy.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where clients connect; by default one on `127.0.0.1:8080`.
    pub listeners: Vec<Listener>,
    /// Which requests go to which service; the most specific one that matches counts.
    pub routes: Vec<Route>,
    /// Whether a request that no route matches goes to the service that its host names.
    pub host_routing: bool,
    /// How an instance is chosen where the route doesn't say it.
    pub balancer: Balancer,
    /// The networks of proxies whose `Forwarded` and `X-Forwarded-*` lines are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The header with the id of each request, which one of `trusted_proxies` may have set and else
    /// is made; empty for none.
    pub request_id_header: String,
    /// Whether clients get the id too, in the same header.
    pub request_id_returned: bool,
    /// The name of this proxy in the `Via` header of requests and responses; empty for no such
    /// header.
    pub via: String,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How much things may take.
    pub limits: Limits,
    /// What happens when an instance fails.
    pub retries: Retries,
    /// Who asked what, line by line.
    pub access_log: AccessLog,
}

/// Configures what happens when an instance fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retries {
    /// How many instances are asked at most for one request, the first one included; 3.
    pub attempts: usize,
    /// The largest request body that is kept so that it can be sent again; 64 KiB.
    pub body_bytes: Size,
}

/// Configures the access log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessLog {
    /// Whether requests are logged.
    pub enabled: bool,
    /// The file to append to; standard output when left out.
    pub path: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listeners: vec![Listener::new(SocketAddr::from(([127, 0, 0, 1], 8080)))],
            routes: Vec::new(),
            host_routing: true,
            balancer: Balancer::default(),
            trusted_proxies: Vec::new(),
            request_id_header: "x-request-id".to_owned(),
            request_id_returned: false,
            via: String::new(),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            retries: Retries::default(),
            access_log: AccessLog::default(),
        }
    }
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 3,
            body_bytes: Size::from_bytes(64 << 10),
        }
    }
}

impl Config {
    /// Finds what types can't say; keys are those within `[proxy]`.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (at, listener) in self.listeners.iter().enumerate() {
            let within = format!("listeners[{at}]");
            let found = listener.problem(&self.listeners[..at]);
            problems.extend(found.map(|problem| problem.within(&within)));
        }
        for (at, route) in self.routes.iter().enumerate() {
            let within = format!("routes[{at}]");
            let found = route.problem(&self.routes[..at]);
            problems.extend(found.map(|problem| problem.within(&within)));
        }
        problems.extend(self.marks_problems());
        problems.extend(self.timeouts.problems());
        problems.extend(self.limits.problems());
        if self.retries.attempts == 0 {
            let reason = "`0` attempts would answer no request".to_owned();
            problems.push(Problem::new("retries.attempts", reason));
        }
        problems
    }

    fn marks_problems(&self) -> impl Iterator<Item = Problem> {
        let name = &self.request_id_header;
        let is_good = name.is_empty() || http::is_token(name);
        let is_own = http::fields::Field::of(name) == http::fields::Field::EndToEnd;
        let header = match (is_good, is_own) {
            (false, _) => Some(format!("`{name}` is not the name of a header")),
            (true, false) => Some(format!("`{name}` is a header with a meaning of its own")),
            (true, true) => None,
        };
        let via = &self.via;
        let bad_via = !via.is_empty() && !http::is_token(via);
        let via = bad_via.then(|| format!("`{via}` is not a name such as \"proxy-1.example.com\""));
        let header = header.map(|reason| Problem::new("request_id_header", reason));
        let via = via.map(|reason| Problem::new("via", reason));
        header.into_iter().chain(via)
    }

    /// Finds routes to services that aren't `known`; keys are those within `[proxy]`.
    pub fn dangling(&self, known: impl Fn(&ServiceName) -> bool) -> Vec<Problem> {
        let routes = self.routes.iter().enumerate();
        routes
            .filter(|(_, route)| !known(&route.service))
            .map(|(at, route)| {
                let reason = format!("no source knows service `{}`", route.service);
                Problem::new(format!("routes[{at}].service"), reason)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
