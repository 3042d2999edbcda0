//! The section `[proxy]` of the configuration.

mod limits;
mod retries;
mod route;
mod service;
mod timeouts;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use config::Problem;
use ipnet::IpNet;
use registry::ServiceName;
use serde::{Deserialize, Serialize};

pub use self::{
    limits::Limits,
    retries::{Retries, Statuses},
    route::{Route, RouteTimeouts},
    service::{
        Check, CheckKind, CircuitLimits, Ejection, ServiceOptions, ServicePolicy, StatusRange, Told,
    },
    timeouts::Timeouts,
};
use crate::Balancer;

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
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How much things may take.
    pub limits: Limits,
    /// What happens when an instance fails.
    pub retries: Retries,
    /// Who asked what, line by line.
    pub access_log: AccessLog,
    /// How each service's instances are watched and what they may take.
    pub defaults: ServiceOptions,
    /// What is different for some services.
    pub services: BTreeMap<ServiceName, ServiceOptions>,
}

/// Configures one address that clients connect to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Address and port.
    pub listen: SocketAddr,
    /// What clients speak there.
    #[serde(default)]
    pub protocol: Protocol,
}

/// Names what clients of a listener speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1 and 1.0 without TLS.
    #[default]
    Http,
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
            listeners: vec![Listener {
                listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
                protocol: Protocol::Http,
            }],
            routes: Vec::new(),
            host_routing: true,
            balancer: Balancer::default(),
            trusted_proxies: Vec::new(),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            retries: Retries::default(),
            access_log: AccessLog::default(),
            defaults: ServiceOptions::default(),
            services: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Finds what types can't say; keys are those within `[proxy]`.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (at, listener) in self.listeners.iter().enumerate() {
            let mut others = self.listeners[..at].iter();
            let same = others.any(|other| other.listen == listener.listen);
            // Port 0 is another one each time.
            if same && listener.listen.port() != 0 {
                let reason = format!("`{}` is listened on twice", listener.listen);
                problems.push(Problem::new(format!("listeners[{at}].listen"), reason));
            }
        }
        for (at, route) in self.routes.iter().enumerate() {
            let within = format!("routes[{at}]");
            let found = route.problem(&self.routes[..at]);
            problems.extend(found.map(|problem| problem.within(&within)));
        }
        problems.extend(self.timeouts.problems());
        problems.extend(self.limits.problems());
        problems.extend(self.retries.problems());
        let found = self.defaults.problems().into_iter();
        problems.extend(found.map(|problem| problem.within("defaults")));
        for (name, service) in &self.services {
            let within = format!("services.{name}");
            let found = service.problems().into_iter();
            problems.extend(found.map(|problem| problem.within(&within)));
        }
        problems
    }

    /// Returns what holds for the instances of a service.
    pub fn service(&self, name: &str) -> ServicePolicy {
        ServicePolicy::new(&self.defaults, self.services.get(name))
    }

    /// Finds routes to services that aren't `known`, and options for such; keys are those within
    /// `[proxy]`.
    pub fn dangling(&self, known: impl Fn(&ServiceName) -> bool) -> Vec<Problem> {
        let routes = self.routes.iter().enumerate();
        let routes = routes.map(|(at, route)| (format!("routes[{at}].service"), &route.service));
        let services = self.services.keys();
        let services = services.map(|name| (format!("services.{name}"), name));
        routes
            .chain(services)
            .filter(|(_, name)| !known(name))
            .map(|(key, name)| Problem::new(key, format!("no source knows service `{name}`")))
            .collect()
    }
}

#[cfg(test)]
mod tests;
