//! One of `[[proxy.routes]]`.

mod action;
mod auth;
mod limits;
mod location;
mod matching;
mod mirror;
mod retries;
mod rewrite;
mod sticky;

use config::{Duration, Problem};
use ipnet::IpNet;
use registry::ServiceName;
use serde::{Deserialize, Serialize};

pub use self::{
    action::{Redirect, Respond, Scheme, Share, Subset},
    auth::{Auth, PasswordHash},
    limits::RouteLimits,
    location::LocationRewrite,
    matching::{Unless, ValueMatch},
    mirror::{Mirror, Percent},
    retries::RouteRetries,
    rewrite::{HeaderEdits, Rewrite},
    sticky::{SameSite, Sticky},
};
use super::PathRules;
use crate::{Balancer, http, route};

/// Configures one route.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// What it is called in metrics and explanations; no other route has the same name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The higher one goes before all else that makes a route the one to be used; 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// The ports that clients connect to; any when left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// The host, `shop.example.com`, or all hosts below one, `*.example.com`; any host when left
    /// out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// This path alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The path and all below it: `/api` is for `/api` and `/api/v1`, not for `/apiary`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// A regular expression that the whole path matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_regex: Option<String>,
    /// How the path begins, whether a part of it ends there or not: `/app` is for `/app`, `/app/x` and
    /// `/apple`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_start: Option<String>,
    /// Whether case doesn't matter in `path_start`.
    #[serde(skip_serializing_if = "is_false")]
    pub ignore_case: bool,
    /// The scheme that the client has used, as far as one of `trusted_proxies` says it; any when left
    /// out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// The methods of the requests; any when left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// What all must hold of the request's headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<ValueMatch>,
    /// What all must hold of the parameters in the request's query.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<ValueMatch>,
    /// The networks of the clients; any when left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<IpNet>,
    /// Which requests it isn't for, although all of the above holds for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unless: Vec<Unless>,
    /// Whose password a client has to send before anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// The service that gets the requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// Only these of the service's instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subset: Option<Subset>,
    /// Several services between which the requests are split.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub split: Vec<Share>,
    /// Where clients are sent instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,
    /// What clients are answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub respond: Option<Respond>,
    /// Which service gets copies of the requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// What instances get in another way than clients send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Rewrite>,
    /// What clients get in another way than instances send it.
    #[serde(skip_serializing_if = "is_default")]
    pub response_headers: HeaderEdits,
    /// Where clients are sent instead of where instances send them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationRewrite>,
    /// What keeps a client at one instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// How an instance is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balancer: Option<Balancer>,
    /// Other timeouts than the proxy's.
    #[serde(skip_serializing_if = "is_default")]
    pub timeouts: RouteTimeouts,
    /// Other retries than the proxy's.
    #[serde(skip_serializing_if = "is_default")]
    pub retries: RouteRetries,
    /// Other limits than the proxy's.
    #[serde(skip_serializing_if = "is_default")]
    pub limits: RouteLimits,
}

/// Overrides some timeouts for one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteTimeouts {
    /// As [`Timeouts::connect`](super::Timeouts::connect).
    pub connect: Option<Duration>,
    /// As [`Timeouts::request`](super::Timeouts::request).
    pub request: Option<Duration>,
    /// As [`Timeouts::stream_idle`](super::Timeouts::stream_idle).
    pub stream_idle: Option<Duration>,
}

impl Route {
    /// Returns the host in the form in which hosts are compared: lower case, no final dot.
    pub(crate) fn normal_host(&self) -> Option<String> {
        let host = self.host.as_deref()?;
        Some(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase())
    }

    /// Lists the services that get its requests, each with its key.
    pub(crate) fn services(&self) -> impl Iterator<Item = (String, &ServiceName)> {
        let service = self.service.iter();
        let shares = self.split.iter().enumerate();
        let mirror = self.mirror.iter().map(|mirror| &mirror.service);
        service
            .map(|service| ("service".to_owned(), service))
            .chain(shares.map(|(at, share)| (format!("split[{at}].service"), &share.service)))
            .chain(mirror.map(|service| ("mirror.service".to_owned(), service)))
    }

    /// Finds what is wrong with it, whatever the others are; `rules` are those of the proxy.
    pub fn problems(&self, rules: PathRules) -> Vec<Problem> {
        let mut problems: Vec<_> = self.host_problem().into_iter().collect();
        let name = self.name.as_deref();
        if name.is_some_and(|name| name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic())) {
            let reason =
                "a name has at least one character, and neither spaces nor letters beyond ASCII";
            problems.push(Problem::new("name", reason));
        }
        if let Err((key, reason)) = route::pattern::PathPattern::of(self, rules) {
            problems.push(Problem::new(key, reason));
        }
        problems.extend(self.matching_problems(rules));
        problems.extend(self.action_problems());
        problems.extend(self.mirror_problems());
        problems.extend(self.rewrite_problems());
        problems.extend(self.location_problems());
        problems.extend(self.sticky_problems());
        let found = self.auth.iter().flat_map(Auth::problems);
        problems.extend(found.map(|problem| problem.within("auth")));
        problems.extend(self.retries.problems());
        let times = &self.timeouts;
        let times = [
            ("timeouts.connect", times.connect),
            ("timeouts.request", times.request),
            ("timeouts.stream_idle", times.stream_idle),
        ];
        for (key, timeout) in times {
            if timeout.is_some_and(|timeout| timeout.get().is_zero()) {
                problems.push(Problem::new(key, "`0s` leaves no time"));
            }
        }
        problems
    }

    fn host_problem(&self) -> Option<Problem> {
        let host = self.host.as_deref()?;
        let name = host.strip_prefix("*.").unwrap_or(host);
        if name.is_empty() || name.contains('*') || http::host::host(name).is_none() {
            let reason = format!("`{host}` is neither a host nor `*.` and a host");
            return Some(Problem::new("host", reason));
        }
        if name.contains(':') && !name.ends_with(']') {
            let reason = format!("`{host}` has a port, which routes don't look at");
            return Some(Problem::new("host", reason));
        }
        None
    }
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
