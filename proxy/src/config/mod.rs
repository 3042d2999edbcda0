//! The section `[proxy]` of the configuration.

mod limits;
mod listener;
mod locality;
mod path;
mod retries;
mod route;
mod service;
mod timeouts;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    path::PathBuf,
};

use config::Problem;
use ipnet::IpNet;
use registry::ServiceName;
use serde::{Deserialize, Serialize};

pub use self::{
    limits::Limits,
    listener::{Listener, Protocol},
    locality::{Distance, Locality},
    path::{DotSegments, EncodedSlash, PathParameters, PathRules},
    retries::{Retries, Statuses},
    route::{
        Auth, HeaderEdits, LocationRewrite, Mirror, PasswordHash, Percent, Redirect, Respond,
        Rewrite, Route, RouteLimits, RouteRetries, RouteTimeouts, SameSite, Scheme, Share, Sticky,
        Subset, Unless, ValueMatch,
    },
    service::{
        Check, CheckKind, CircuitLimits, Ejection, ServiceOptions, ServicePolicy, StatusRange, Told,
    },
    timeouts::Timeouts,
};
use crate::{Balancer, http, route::coverage, sticky::Keys};

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
    /// The services to which no host leads by its name, as something else says which requests they get.
    #[serde(skip)]
    pub unnamed: BTreeSet<ServiceName>,
    /// How an instance is chosen where the route doesn't say it.
    pub balancer: Balancer,
    /// Where this signpost stands, so that instances near it are preferred.
    pub locality: Locality,
    /// The file with the keys by which the cookies of `sticky` are signed, one in each line: the first
    /// signs, those of the others are still taken. Without a file a key is made up at the start.
    pub sticky_key_file: Option<PathBuf>,
    /// The networks of proxies whose `Forwarded` and `X-Forwarded-*` lines are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// In which form paths are routed and forwarded.
    pub path: PathRules,
    /// The header with the id of each request, which one of `trusted_proxies` may have set and else
    /// is made; empty for none.
    pub request_id_header: String,
    /// Whether clients get the id too, in the same header.
    pub request_id_returned: bool,
    /// The name of this proxy in the `Via` header of requests and responses; empty for no such
    /// header.
    pub via: String,
    /// Whether a client that ends its side of the connection has left, so that its request is broken
    /// off; else it gets the response, as HTTP allows, and only a reset says that it has left.
    pub abort_on_close: bool,
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
            listeners: vec![Listener::http(SocketAddr::from(([127, 0, 0, 1], 8080)))],
            routes: Vec::new(),
            host_routing: true,
            unnamed: BTreeSet::new(),
            balancer: Balancer::default(),
            locality: Locality::default(),
            sticky_key_file: None,
            trusted_proxies: Vec::new(),
            path: PathRules::default(),
            request_id_header: "x-request-id".to_owned(),
            request_id_returned: false,
            via: String::new(),
            abort_on_close: false,
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
            let within = format!("listeners[{at}]");
            let found = listener.problem(&self.listeners[..at]);
            problems.extend(found.map(|problem| problem.within(&within)));
        }
        problems.extend(self.route_problems());
        let keys = self.sticky_key_file.as_deref().map(Keys::load);
        if let Some(Err(reason)) = keys {
            problems.push(Problem::new("sticky_key_file", reason));
        }
        problems.extend(self.locality.problems());
        problems.extend(self.marks_problems());
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
