//! What a route does with a request.

use std::collections::BTreeMap;

use config::Problem;
use registry::{Instance, ServiceName};
use serde::{Deserialize, Serialize};

use super::{Route, is_false};
use crate::http::{self, is_field_value};

/// Names some of the instances of a service: those that have all of this.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Subset {
    /// Tags that they have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Attributes that they have, with their values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// Configures one of several services between which a route splits its requests.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The service.
    pub service: ServiceName,
    /// Only these of its instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset: Option<Subset>,
    /// Its part of the requests, relative to the others; 0 for none.
    pub weight: u32,
}

/// Configures where clients are sent instead; what isn't said stays as it is, and so does the query.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Redirect {
    /// Another scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// Another host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Another port; with another scheme its own one, unless given here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Another path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether the path loses the route's prefix.
    #[serde(skip_serializing_if = "is_false")]
    pub strip_prefix: bool,
    /// What stands in the path instead of the route's prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace_prefix: Option<String>,
    /// 301, 302, 303, 307 or 308; 302.
    pub status: u16,
}

/// Names a scheme of URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

/// Configures an answer that the proxy gives by itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Respond {
    /// 200 to 599; 200.
    pub status: u16,
    /// What the client reads; nothing.
    pub body: String,
    /// What the body is; `text/plain; charset=utf-8`.
    pub content_type: String,
}

impl Subset {
    /// Tells whether an instance is one of them.
    pub(crate) fn contains(&self, instance: &Instance) -> bool {
        let has_tag = |tag: &String| instance.tags.iter().any(|one| **one == **tag);
        let has = |(name, value): (&String, &String)| {
            let found = instance.attributes.get(name.as_str());
            found.is_some_and(|found| **found == **value)
        };
        self.tags.iter().all(has_tag) && self.attributes.iter().all(has)
    }

    pub(super) fn problem(&self) -> Option<Problem> {
        let is_empty = self.tags.is_empty() && self.attributes.is_empty();
        is_empty.then(|| Problem::new("", "it has neither `tags` nor `attributes`"))
    }
}

impl Default for Redirect {
    fn default() -> Self {
        Self {
            scheme: None,
            host: None,
            port: None,
            path: None,
            strip_prefix: false,
            replace_prefix: None,
            status: 302,
        }
    }
}

impl Default for Respond {
    fn default() -> Self {
        Self {
            status: 200,
            body: String::new(),
            content_type: "text/plain; charset=utf-8".to_owned(),
        }
    }
}

impl Scheme {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Returns the port that needs no saying.
    pub(crate) fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Route {
    pub(super) fn action_problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let actions = [
            self.service.is_some(),
            !self.split.is_empty(),
            self.redirect.is_some(),
            self.respond.is_some(),
        ];
        if actions.into_iter().filter(|one| *one).count() != 1 {
            let reason = "a route has just one of `service`, `split`, `redirect` and `respond`";
            problems.push(Problem::new("", reason));
        }
        if let Some(subset) = &self.subset {
            let found = subset.problem();
            problems.extend(found.map(|problem| problem.within("subset")));
            if self.service.is_none() {
                let reason = "it is a part of the `service`, and there is none";
                problems.push(Problem::new("subset", reason));
            }
        }
        for (at, share) in self.split.iter().enumerate() {
            let found = share.subset.as_ref().and_then(Subset::problem);
            let within = format!("split[{at}].subset");
            problems.extend(found.map(|problem| problem.within(&within)));
        }
        if !self.split.is_empty() && self.split.iter().all(|share| share.weight == 0) {
            problems.push(Problem::new("split", "no share has a weight above 0"));
        }
        if let Some(redirect) = &self.redirect {
            let found = redirect.problems(self.path_prefix.is_some()).into_iter();
            problems.extend(found.map(|problem| problem.within("redirect")));
        }
        if let Some(respond) = &self.respond {
            let found = respond.problem();
            problems.extend(found.map(|problem| problem.within("respond")));
        }
        problems
    }
}

impl Redirect {
    fn problems(&self, has_prefix: bool) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !matches!(self.status, 301 | 302 | 303 | 307 | 308) {
            let reason = format!("`{}` is not 301, 302, 303, 307 or 308", self.status);
            problems.push(Problem::new("status", reason));
        }
        let host = self.host.as_deref();
        if let Some(host) = host.filter(|host| !is_host(host)) {
            problems.push(Problem::new(
                "host",
                format!("`{host}` is not a host without a port"),
            ));
        }
        if self.port == Some(0) {
            problems.push(Problem::new("port", "`0` is not a port"));
        }
        let paths = [
            ("path", &self.path),
            ("replace_prefix", &self.replace_prefix),
        ];
        for (key, path) in paths {
            problems.extend(path.as_deref().and_then(|path| path_problem(key, path)));
        }
        let ways = [
            self.path.is_some(),
            self.strip_prefix,
            self.replace_prefix.is_some(),
        ];
        let ways = ways.into_iter().filter(|one| *one).count();
        if ways > 1 {
            let reason = "there is more than one of `path`, `strip_prefix` and `replace_prefix`";
            problems.push(Problem::new("", reason));
        }
        if (self.strip_prefix || self.replace_prefix.is_some()) && !has_prefix {
            problems.push(Problem::new(
                "",
                "the route has no `path_prefix` to be replaced",
            ));
        }
        if ways == 0 && self.scheme.is_none() && self.host.is_none() && self.port.is_none() {
            problems.push(Problem::new("", "it leads to where it comes from"));
        }
        problems
    }
}

impl Respond {
    fn problem(&self) -> Option<Problem> {
        if !(200..600).contains(&self.status) {
            let reason = format!("`{}` is not between 200 and 599", self.status);
            return Some(Problem::new("status", reason));
        }
        if matches!(self.status, 204 | 205 | 304) && !self.body.is_empty() {
            let reason = format!("an answer with status {} has no body", self.status);
            return Some(Problem::new("body", reason));
        }
        if !is_field_value(&self.content_type) {
            let reason = "it is not the value of a header";
            return Some(Problem::new("content_type", reason));
        }
        None
    }
}

/// Tells whether a text is a host without a port.
pub(super) fn is_host(text: &str) -> bool {
    let has_port = text.contains(':') && !text.ends_with(']');
    !text.is_empty() && !has_port && http::host::host(text).is_some()
}

/// Finds what is wrong with a path that is put into a target or a location.
pub(super) fn path_problem(key: &str, path: &str) -> Option<Problem> {
    let is_path = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(['?', '#', '\\'])
        && path.bytes().all(|byte| byte.is_ascii_graphic());
    let reason = || format!("`{path}` is not a path that begins with one slash");
    (!is_path).then(|| Problem::new(key, reason()))
}
