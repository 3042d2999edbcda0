//! Why a request goes where it goes.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use httparse::Header;
use registry::{Instance, InstanceId, Origin, ServiceName, Snapshot};
use serde::Serialize;

use crate::{
    RouteTable,
    config::{self, Distance, Scheme, Subset},
    http,
    pool::{self, Pool},
    route::{self, Matched, action::Action, facets::Facets, routes::Routes, rule::Rule},
};

/// Describes a request that is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The method.
    pub method: String,
    /// The host, with or without a port.
    pub host: String,
    /// The path, with or without a query.
    pub path: String,
    /// Names and values of headers.
    pub headers: Vec<(String, String)>,
    /// Who sends it.
    pub client: IpAddr,
    /// The port that it comes to; 0 when it doesn't matter.
    pub port: u16,
    /// The scheme that the client uses.
    pub scheme: Scheme,
}

impl Sample {
    /// Creates a sample: a GET without headers, from this machine.
    pub fn new(host: &str, path: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            client: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            scheme: Scheme::Http,
        }
    }
}

/// Explains where requests for one host and path go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The host as it is compared.
    pub host: String,
    /// The path as it is compared.
    pub path: String,
    /// The version of the snapshot that this is about.
    pub version: u64,
    /// What a request would come to, in words.
    pub verdict: String,
    /// The service that gets it; of several, the first.
    pub service: Option<ServiceName>,
    /// Every configured route in the order in which they are tried, and why it is used or not.
    pub routes: Vec<RouteVerdict>,
    /// The instances that are asked.
    pub endpoints: Vec<EndpointState>,
    /// The instances that aren't.
    pub left_out: Vec<LeftOut>,
}

/// Says why a route is used or not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteVerdict {
    /// Its place in the configuration.
    pub index: usize,
    /// The route, without the values of headers that only instances are to see.
    #[serde(flatten)]
    pub route: config::Route,
    /// Whether it is the one.
    pub used: bool,
    /// Why, or why not.
    pub reason: &'static str,
}

/// Shows an instance that is asked, and how it does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EndpointState {
    /// Its id.
    pub id: InstanceId,
    /// Its service.
    pub service: ServiceName,
    /// Where it is asked.
    pub address: std::net::SocketAddr,
    /// Its share of requests, relative to the others.
    pub weight: u16,
    /// The lowest number is asked first.
    pub priority: u16,
    /// How near it is, where the configuration says where signpost stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance: Option<Distance>,
    /// How long it takes to answer as the balancer `p2c` counts it, in milliseconds; nothing while
    /// nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Requests it is busy with.
    pub in_flight: u64,
    /// How many times it was asked.
    pub requests: u64,
    /// How many times it failed.
    pub failures: u64,
    /// The record that it comes from.
    pub origin: Origin,
}

/// Shows an instance that isn't asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its id.
    pub id: InstanceId,
    /// Its service.
    pub service: ServiceName,
    /// Why.
    pub reason: String,
    /// The record that it comes from.
    pub origin: Origin,
}

impl RouteTable {
    /// Explains where a request goes; `snapshot` is the one that the table was made of, and `now` is in
    /// milliseconds, as latencies are counted.
    pub(crate) fn explain(&self, sample: &Sample, snapshot: &Snapshot, now: u32) -> Explanation {
        let host = sample.host.as_str();
        let host = http::host::host(host).unwrap_or(host).to_ascii_lowercase();
        let (path, query) = match sample.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (sample.path.as_str(), None),
        };
        let headers = sample.headers.iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let proxies = &self.routes().trusted_proxies;
        let facets = Facets::new(&sample.method, &headers, query, sample.client, proxies);
        let facets = facets.at_port(sample.port).by(sample.scheme);
        let normal = route::path::normalize(path, self.routes().path);
        let (path, refusal) = match &normal {
            Ok(normal) => (&**normal, None),
            Err(reason) => (path, Some(*reason)),
        };
        let matched = self
            .find(&host, path, &facets)
            .filter(|_| refusal.is_none());
        let used = matched.and_then(Matched::rule);
        let rules = self.routes().rules().iter();
        let mut explanation = Explanation {
            version: self.version(),
            verdict: match (refusal, matched) {
                (Some(reason), _) => format!("400: {reason}"),
                (None, None) => self.nowhere(),
                (None, Some(Matched::Named(pool))) => {
                    format!("by its host {}", to(&pool.service, None, Some(pool)))
                }
                (None, Some(Matched::Rule(rule))) => self.verdict(rule),
            },
            service: None,
            routes: rules
                .map(|rule| RouteVerdict {
                    index: rule.place,
                    route: shown(&self.routes().all[rule.place]),
                    used: used.is_some_and(|used| used.place == rule.place),
                    reason: reason(rule, used, &host, path, &facets),
                })
                .collect(),
            endpoints: Vec::new(),
            left_out: Vec::new(),
            path: path.to_owned(),
            host,
        };
        let seen = Seen {
            snapshot,
            routes: self.routes(),
            now,
        };
        match matched {
            None => {}
            Some(Matched::Named(pool)) => explanation.show(&pool.service, None, Some(pool), seen),
            Some(Matched::Rule(rule)) => {
                for target in rule.action.targets() {
                    let (pool, subset) = (self.pool_of(target), target.subset.as_deref());
                    explanation.show(&target.service, subset, pool, seen);
                }
            }
        }
        explanation
    }

    /// Says why a request goes nowhere.
    fn nowhere(&self) -> String {
        match self.is_unsynced() {
            true => "503: nothing has this name, but not all sources are known yet".to_owned(),
            false => "404: no route matches, and no service has the host's name".to_owned(),
        }
    }

    /// Says what a route does.
    fn verdict(&self, rule: &Rule) -> String {
        let by = match &self.routes().all[rule.place].name {
            Some(name) => format!("by routes[{}], `{name}`,", rule.place),
            None => format!("by routes[{}]", rule.place),
        };
        match &rule.action {
            Action::Redirect(location) => format!("{}: {by}, a redirect", location.status()),
            Action::Respond(respond) => format!("{}: {by}, a fixed answer", respond.status),
            Action::Forward(_) => {
                let targets = rule.action.targets().iter().map(|target| {
                    let share = (rule.action.targets().len() > 1).then_some(target.weight);
                    to(&target.service, share, self.pool_of(target))
                });
                format!("{by} {}", targets.collect::<Vec<_>>().join("; "))
            }
        }
    }
}

/// Says what requests to a service come to.
fn to(service: &ServiceName, share: Option<u32>, pool: Option<&Arc<Pool>>) -> String {
    let share = share.map_or_else(String::new, |weight| format!(" (weight {weight})"));
    match pool {
        None => format!("to `{service}`{share}, which no source knows: 503"),
        Some(pool) if pool.is_empty() => {
            format!("to `{service}`{share}, of which no instance can be asked: 503")
        }
        Some(pool) => {
            let priority = pool.first_priority().unwrap_or_default();
            format!("to `{service}`{share}, instances of priority {priority} first")
        }
    }
}

/// What instances are shown by.
#[derive(Clone, Copy)]
struct Seen<'a> {
    snapshot: &'a Snapshot,
    routes: &'a Routes,
    /// In milliseconds.
    now: u32,
}

impl Explanation {
    /// Lists the instances of a service: those that are asked, and the others.
    fn show(
        &mut self,
        service: &ServiceName,
        subset: Option<&Subset>,
        pool: Option<&Arc<Pool>>,
        seen: Seen<'_>,
    ) {
        self.service.get_or_insert_with(|| service.clone());
        let (Some(service), Some(pool)) = (seen.snapshot.service(service.as_str()), pool) else {
            return;
        };
        for instance in &service.instances {
            let (id, origin) = (instance.id.clone(), instance.origin.clone());
            match pool.endpoint_of(instance) {
                Some((priority, endpoint)) => self.endpoints.push(EndpointState {
                    id,
                    service: service.name.clone(),
                    address: endpoint.address,
                    weight: instance.weight,
                    priority,
                    distance: seen.routes.distance(instance),
                    latency_ms: endpoint
                        .latency(seen.now)
                        .map(|micros| micros as f64 / 1_000.0),
                    in_flight: endpoint.in_flight(),
                    requests: endpoint.requests(),
                    failures: endpoint.failures(),
                    origin,
                }),
                None => self.left_out.push(LeftOut {
                    id,
                    service: service.name.clone(),
                    reason: exclusion(instance, subset),
                    origin,
                }),
            }
        }
    }
}

/// Hides what may be a secret between the proxy and the instances.
fn shown(route: &config::Route) -> config::Route {
    let mut route = route.clone();
    if let Some(rewrite) = &mut route.rewrite {
        let headers = &mut rewrite.headers;
        let values = headers.set.values_mut().chain(headers.add.values_mut());
        values.for_each(|value| "(hidden)".clone_into(value));
    }
    route
}

/// Says why a route is used, or isn't.
fn reason(
    rule: &Rule,
    used: Option<&Rule>,
    host: &str,
    path: &str,
    facets: &Facets<'_>,
) -> &'static str {
    if !rule.is_at(facets.port) {
        return "the port is another one";
    }
    if !rule.host.matches(host) {
        return "the host is another one";
    }
    if !rule.path.matches(path) {
        return "the path is another one";
    }
    let conditions = rule.conditions.as_ref();
    if let Some(reason) = conditions.and_then(|conditions| conditions.failed(host, path, facets)) {
        return reason;
    }
    match used {
        None => "it matches, but the path is refused",
        Some(used) if used.place == rule.place => "the most specific one that matches",
        Some(used) if used.priority > rule.priority => {
            "it matches, but another one has a higher priority"
        }
        Some(used) if used.is_as_specific_as(rule) => {
            "it matches, but another one stands before it"
        }
        Some(_) => "it matches, but another one is more specific",
    }
}

/// Says why an instance isn't asked.
fn exclusion(instance: &Instance, subset: Option<&Subset>) -> String {
    match instance.exclusion() {
        Some(exclusion) => exclusion.to_string(),
        None if pool::address(instance).is_none() => "it has no TCP port".to_owned(),
        None if subset.is_some_and(|subset| !subset.contains(instance)) => {
            "it is not in the route's subset".to_owned()
        }
        None => "it is not in this version".to_owned(),
    }
}

#[cfg(test)]
mod tests;
