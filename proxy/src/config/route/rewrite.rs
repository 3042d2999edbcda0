//! What a route changes in requests and responses.

use std::collections::{BTreeMap, BTreeSet};

use config::Problem;
use serde::{Deserialize, Serialize};

use super::{
    Route,
    action::{is_host, path_problem},
    is_default, is_false,
};
use crate::http::{fields::Field, is_field_value, is_token};

/// Configures what instances get in another way than clients send it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rewrite {
    /// Whether the path loses the route's prefix.
    #[serde(skip_serializing_if = "is_false")]
    pub strip_prefix: bool,
    /// What stands in the path instead of the route's prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace_prefix: Option<String>,
    /// Another host, with or without a port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Other headers.
    #[serde(skip_serializing_if = "is_default")]
    pub headers: HeaderEdits,
}

/// Configures changes of header lines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderEdits {
    /// Headers that are there with just this value, whatever there was.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// Headers that get one more line.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<String, String>,
    /// Headers that aren't there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

impl Route {
    pub(super) fn rewrite_problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(rewrite) = &self.rewrite {
            let mut found = rewrite.problems(self.path_prefix.is_some());
            if self.redirect.is_some() || self.respond.is_some() {
                found.push(Problem::new(
                    "",
                    "no instance gets the requests of this route",
                ));
            }
            problems.extend(found.into_iter().map(|problem| problem.within("rewrite")));
        }
        let found = self.response_headers.problems().into_iter();
        problems.extend(found.map(|problem| problem.within("response_headers")));
        problems
    }
}

impl Rewrite {
    fn problems(&self, has_prefix: bool) -> Vec<Problem> {
        let mut problems = Vec::new();
        let with = self.replace_prefix.as_deref();
        problems.extend(with.and_then(|with| path_problem("replace_prefix", with)));
        if self.strip_prefix && with.is_some() {
            let reason = "there are both `strip_prefix` and `replace_prefix`";
            problems.push(Problem::new("", reason));
        }
        if (self.strip_prefix || with.is_some()) && !has_prefix {
            problems.push(Problem::new(
                "",
                "the route has no `path_prefix` to be replaced",
            ));
        }
        if let Some(host) = &self.host {
            let bare = match host.rsplit_once(':') {
                Some((bare, port)) if port.parse::<u16>().is_ok_and(|port| port > 0) => bare,
                _ => host,
            };
            if !is_host(bare) {
                problems.push(Problem::new("host", format!("`{host}` is not a host")));
            }
        }
        let found = self.headers.problems().into_iter();
        problems.extend(found.map(|problem| problem.within("headers")));
        problems
    }
}

impl HeaderEdits {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let lines = [("set", &self.set), ("add", &self.add)];
        for (key, lines) in lines {
            let mut names = BTreeSet::new();
            for (name, value) in lines {
                let key = format!("{key}.{name}");
                if let Some(reason) = name_problem(name) {
                    problems.push(Problem::new(key, reason));
                } else if !is_field_value(value) {
                    // The value may be a secret.
                    problems.push(Problem::new(key, "the value can't stand in a header"));
                } else if !names.insert(name.to_ascii_lowercase()) {
                    problems.push(Problem::new(key, "it is there in another case, too"));
                }
            }
        }
        for (at, name) in self.remove.iter().enumerate() {
            let found = name_problem(name);
            let key = format!("remove[{at}]");
            problems.extend(found.map(|reason| Problem::new(key, reason)));
        }
        problems
    }
}

fn name_problem(name: &str) -> Option<String> {
    if !is_token(name) {
        return Some(format!("`{name}` is not the name of a header"));
    }
    match Field::of(name) {
        Field::EndToEnd => None,
        Field::Host => Some("the host is changed by `rewrite.host`".to_owned()),
        _ => Some(format!("`{name}` is written by the proxy itself")),
    }
}
