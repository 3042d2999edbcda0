//! One of `[[proxy.routes]]`.

use config::{Duration, Problem};
use registry::ServiceName;
use serde::{Deserialize, Serialize};

use crate::{Balancer, http};

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

    pub(super) fn problem(&self, before: &[Self]) -> Option<Problem> {
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
