//! The section `[proxy]` of the configuration.

use std::{net::SocketAddr, path::PathBuf};

use config::{Duration, Problem, Size};
use ipnet::IpNet;
use registry::ServiceName;
use serde::{Deserialize, Serialize};

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
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How much things may take.
    pub limits: Limits,
    /// What happens when an instance fails.
    pub retries: Retries,
    /// Who asked what, line by line.
    pub access_log: AccessLog,
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

/// Configures one route.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The host, `shop.example.com`, or all hosts below one, `*.example.com`; any host when left
    /// out.
    #[serde(default)]
    pub host: Option<String>,
    /// The path and all below it: `/api` is for `/api` and `/api/v1`, not for `/apiary`.
    #[serde(default)]
    pub path_prefix: Option<String>,
    /// The service that gets the requests.
    pub service: ServiceName,
    /// How an instance is chosen.
    #[serde(default)]
    pub balancer: Option<Balancer>,
    /// Other timeouts than the proxy's.
    #[serde(default)]
    pub timeouts: RouteTimeouts,
}

/// Overrides some timeouts for one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteTimeouts {
    /// As [`Timeouts::connect`].
    pub connect: Option<Duration>,
    /// As [`Timeouts::request`].
    pub request: Option<Duration>,
    /// As [`Timeouts::stream_idle`].
    pub stream_idle: Option<Duration>,
}

/// Configures how long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Until a connection to an instance stands; 1 s.
    pub connect: Duration,
    /// Until a request's head is there, from its first byte or the connection's begin; 10 s.
    pub header: Duration,
    /// Between two requests on a client's connection; 60 s.
    pub idle: Duration,
    /// From the last byte of a request until the head of its response; 60 s.
    pub request: Duration,
    /// Between two pieces of a body; 60 s.
    pub stream_idle: Duration,
    /// Without a byte through a tunnel (WebSocket) either way; 1 h.
    pub tunnel: Duration,
    /// Before an unused connection to an instance is closed; 4 s, as many servers close after 5 s.
    pub upstream_idle: Duration,
}

/// Configures how much things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The longest request line; 8 KiB.
    pub request_line_bytes: Size,
    /// The largest head of a request or response, with its first line; 64 KiB.
    pub header_bytes: Size,
    /// The most header lines of a request or response; 100, at most 256.
    pub headers: usize,
    /// The most clients' connections of one worker; what is above waits to be accepted; 16384.
    pub connections: usize,
    /// The most unused connections that one worker keeps to one instance; 64.
    pub upstream_idle: usize,
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
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            header: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            request: Duration::from_secs(60),
            stream_idle: Duration::from_secs(60),
            tunnel: Duration::from_secs(3600),
            upstream_idle: Duration::from_secs(4),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line_bytes: Size::from_bytes(8 << 10),
            header_bytes: Size::from_bytes(64 << 10),
            headers: 100,
            connections: 16_384,
            upstream_idle: 64,
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
        if self.retries.attempts == 0 {
            let reason = "`0` attempts would answer no request".to_owned();
            problems.push(Problem::new("retries.attempts", reason));
        }
        problems
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

impl Route {
    /// Returns the host in the form in which hosts are compared: lower case, no final dot.
    pub(crate) fn normal_host(&self) -> Option<String> {
        let host = self.host.as_deref()?;
        Some(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase())
    }

    /// Returns the path prefix without a final slash; empty for all paths.
    pub(crate) fn normal_path(&self) -> &str {
        self.path_prefix
            .as_deref()
            .unwrap_or("")
            .trim_end_matches('/')
    }

    fn problem(&self, before: &[Self]) -> Option<Problem> {
        if let Some(host) = &self.host {
            let name = host.strip_prefix("*.").unwrap_or(host);
            if name.is_empty() || name.contains('*') || http::host::host(name).is_none() {
                let reason = format!("`{host}` is neither a host nor `*.` and a host");
                return Some(Problem::new("host", reason));
            }
            if name.contains(':') && !name.ends_with(']') {
                let reason = format!("`{host}` has a port, which routes don't look at");
                return Some(Problem::new("host", reason));
            }
        }
        if let Some(path) = self.path_prefix.as_deref() {
            if !path.starts_with('/') {
                let reason = format!("`{path}` does not begin with a slash");
                return Some(Problem::new("path_prefix", reason));
            }
            if path.contains(['?', '#']) || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
                let reason = format!("`{path}` is not a path as it stands in a request");
                return Some(Problem::new("path_prefix", reason));
            }
        }
        let times = &self.timeouts;
        let times = [
            ("timeouts.connect", times.connect),
            ("timeouts.request", times.request),
            ("timeouts.stream_idle", times.stream_idle),
        ];
        for (key, timeout) in times {
            if timeout.is_some_and(|timeout| timeout.get().is_zero()) {
                return Some(Problem::new(key, "`0s` leaves no time"));
            }
        }
        let matches = |route: &Self| (route.normal_host(), route.normal_path().to_owned());
        let twin = before
            .iter()
            .position(|other| matches(other) == matches(self))?;
        let reason = format!("matches just what routes[{twin}] matches, and would never be used");
        Some(Problem::new("", reason))
    }
}

impl Timeouts {
    fn problems(&self) -> Vec<Problem> {
        let all = [
            ("connect", self.connect),
            ("header", self.header),
            ("idle", self.idle),
            ("request", self.request),
            ("stream_idle", self.stream_idle),
            ("tunnel", self.tunnel),
        ];
        all.into_iter()
            .filter(|(_, timeout)| timeout.get().is_zero())
            .map(|(key, _)| Problem::new(format!("timeouts.{key}"), "`0s` leaves no time"))
            .collect()
    }
}

impl Limits {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut bound = |key: &str, value: usize, least: usize, most: usize| {
            if !(least..=most).contains(&value) {
                let reason = format!("`{value}` is not between {least} and {most}");
                problems.push(Problem::new(format!("limits.{key}"), reason));
            }
        };
        bound(
            "request_line_bytes",
            self.request_line_bytes.bytes(),
            64,
            1 << 20,
        );
        bound("header_bytes", self.header_bytes.bytes(), 256, 16 << 20);
        bound("headers", self.headers, 1, http::HEADERS_MAX);
        bound("connections", self.connections, 1, 1 << 24);
        problems
    }
}

#[cfg(test)]
mod tests;
