//! The section `[proxy]` of the configuration.

mod limits;
mod path;
mod retries;
mod route;
mod service;
mod timeouts;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::PathBuf,
};

use config::Problem;
use ipnet::IpNet;
use registry::ServiceName;
use serde::{Deserialize, Serialize};

pub use self::{
    limits::Limits,
    path::{DotSegments, EncodedSlash, PathRules},
    retries::{Retries, Statuses},
    route::{
        HeaderEdits, Mirror, Percent, Redirect, Respond, Rewrite, Route, RouteRetries,
        RouteTimeouts, SameSite, Scheme, Share, Sticky, Subset, ValueMatch,
    },
    service::{
        Check, CheckKind, CircuitLimits, Ejection, ServiceOptions, ServicePolicy, StatusRange, Told,
    },
    timeouts::Timeouts,
};
use crate::{Balancer, route::coverage, sticky::Keys};

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
    /// The file with the keys by which the cookies of `sticky` are signed, one in each line: the first
    /// signs, those of the others are still taken. Without a file a key is made up at the start.
    pub sticky_key_file: Option<PathBuf>,
    /// The networks of proxies whose `Forwarded` and `X-Forwarded-*` lines are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// In which form paths are routed and forwarded.
    pub path: PathRules,
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
            sticky_key_file: None,
            trusted_proxies: Vec::new(),
            path: PathRules::default(),
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
        problems.extend(self.route_problems());
        let keys = self.sticky_key_file.as_deref().map(Keys::load);
        if let Some(Err(reason)) = keys {
            problems.push(Problem::new("sticky_key_file", reason));
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

    /// Lists what may not be meant so, although it works; keys are those within `[proxy]`.
    pub fn warnings(&self) -> Vec<Problem> {
        let covered = coverage::covered(self).into_iter();
        let covered = covered.filter(|one| !one.is_twin);
        covered
            .map(|one| {
                let why = match one.by_priority {
                    true => "has a higher priority",
                    false => "comes before it",
                };
                let reason = format!("never used: routes[{}] matches all of it and {why}", one.by);
                Problem::new(format!("routes[{}]", one.place), reason)
            })
            .collect()
    }

    fn route_problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut names = HashMap::new();
        for (at, route) in self.routes.iter().enumerate() {
            let within = format!("routes[{at}]");
            let found = route.problems(self.path).into_iter();
            problems.extend(found.map(|problem| problem.within(&within)));
            if let Some(name) = &route.name
                && let Some(other) = names.insert(name, at)
            {
                let reason = format!("`{name}` is what routes[{other}] is called");
                problems.push(Problem::new(format!("routes[{at}].name"), reason));
            }
        }
        let twins = coverage::covered(self)
            .into_iter()
            .filter(|one| one.is_twin);
        problems.extend(twins.map(|one| {
            let reason = format!(
                "matches just what routes[{}] matches, and would never be used",
                one.by
            );
            Problem::new(format!("routes[{}]", one.place), reason)
        }));
        problems
    }

    /// Finds routes to services that aren't `known`, and options for such; keys are those within
    /// `[proxy]`.
    pub fn dangling(&self, known: impl Fn(&ServiceName) -> bool) -> Vec<Problem> {
        let routes = self.routes.iter().enumerate();
        let routes = routes.flat_map(|(at, route)| {
            let services = route.services();
            services.map(move |(key, service)| (format!("routes[{at}].{key}"), service))
        });
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
