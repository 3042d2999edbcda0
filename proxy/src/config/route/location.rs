//! Where instances send clients.

use config::Problem;
use serde::{Deserialize, Serialize};

use super::{
    Route,
    action::{is_host, path_problem},
};

/// Configures where clients are sent when an instance sends them to a path, or to one of some hosts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LocationRewrite {
    /// The hosts whose URLs are taken for paths, at any port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// The path that they are sent to instead.
    pub path: String,
}

impl LocationRewrite {
    /// Sends clients to `path`; of the texts those that are no hosts are left out.
    pub fn new(texts: &[String], path: String) -> Self {
        let hosts = texts.iter().filter(|text| is_host(text));
        Self {
            hosts: hosts.cloned().collect(),
            path,
        }
    }
}

impl Route {
    pub(super) fn location_problems(&self) -> Vec<Problem> {
        let Some(location) = &self.location else {
            return Vec::new();
        };
        let mut problems: Vec<_> = path_problem("path", &location.path).into_iter().collect();
        for (at, host) in location.hosts.iter().enumerate() {
            if !is_host(host) {
                let reason = format!("`{host}` is not a host");
                problems.push(Problem::new(format!("hosts[{at}]"), reason));
            }
        }
        if self.redirect.is_some() || self.respond.is_some() {
            let reason = "no instance gets the requests of this route";
            problems.push(Problem::new("", reason));
        }
        let within = |problem: Problem| problem.within("location");
        problems.into_iter().map(within).collect()
    }
}
