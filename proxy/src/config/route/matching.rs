//! What a route asks of a request besides host and path.

use config::Problem;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Route, Scheme, is_false};
use crate::{config::PathRules, http::is_token, route::conditions::Conditions};

/// Says what one header, or one parameter of the query, should be.
///
/// At most one of the keys besides the name; with none the header or parameter has to be there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ValueMatch {
    /// Its name; that of a header in any case.
    pub name: String,
    /// One of its values is this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// One of its values begins so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// One of its values matches this regular expression as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// Whether it is there at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
}

/// Says which requests a route isn't for, although it would be by the rest of it: those for which all of
/// this holds. The keys are those of the route.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Unless {
    /// As [`Route::host`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// As [`Route::path`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// As [`Route::path_prefix`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// As [`Route::path_regex`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_regex: Option<String>,
    /// As [`Route::path_start`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_start: Option<String>,
    /// As [`Route::ignore_case`].
    #[serde(skip_serializing_if = "is_false")]
    pub ignore_case: bool,
    /// As [`Route::scheme`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// As [`Route::methods`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// As [`Route::headers`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<ValueMatch>,
    /// As [`Route::query`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<ValueMatch>,
    /// As [`Route::clients`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<IpNet>,
}

impl Unless {
    /// Returns a route that is for these requests, and does nothing with them.
    pub(crate) fn as_route(&self) -> Route {
        let one = self.clone();
        Route {
            host: one.host,
            path: one.path,
            path_prefix: one.path_prefix,
            path_regex: one.path_regex,
            path_start: one.path_start,
            ignore_case: one.ignore_case,
            scheme: one.scheme,
            methods: one.methods,
            headers: one.headers,
            query: one.query,
            clients: one.clients,
            ..Route::default()
        }
    }

    fn problems(&self, rules: PathRules) -> Vec<Problem> {
        if *self == Self::default() {
            let reason = "it says nothing, and so no request would be left";
            return vec![Problem::new("", reason)];
        }
        let route = self.as_route();
        let mut problems: Vec<_> = route.host_problem().into_iter().collect();
        problems.extend(route.matching_problems(rules));
        problems
    }
}

impl Route {
    pub(super) fn matching_problems(&self, rules: PathRules) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(at) = self.ports.iter().position(|port| *port == 0) {
            problems.push(Problem::new(format!("ports[{at}]"), "`0` is not a port"));
        }
        if self.ignore_case && self.path_start.is_none() {
            let reason = "there is no `path_start` in which case could matter";
            problems.push(Problem::new("ignore_case", reason));
        }
        for (at, method) in self.methods.iter().enumerate() {
            let key = format!("methods[{at}]");
            if !is_token(method) {
                problems.push(Problem::new(key, format!("`{method}` is not a method")));
            } else if method == "CONNECT" {
                let reason = "`CONNECT` is refused before routes are looked at";
                problems.push(Problem::new(key, reason));
            } else if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
                let reason = format!("`{method}` is not in upper case, as methods are");
                problems.push(Problem::new(key, reason));
            }
        }
        for (at, header) in self.headers.iter().enumerate() {
            if !is_token(&header.name) {
                let reason = format!("`{}` is not the name of a header", header.name);
                problems.push(Problem::new(format!("headers[{at}].name"), reason));
            }
        }
        for (at, unless) in self.unless.iter().enumerate() {
            let found = unless.problems(rules).into_iter();
            problems.extend(found.map(|problem| problem.within(&format!("unless[{at}]"))));
        }
        if let Err((key, reason)) = Conditions::of(self, rules)
            && !problems.iter().any(|problem| problem.key == key)
        {
            problems.push(Problem::new(key, reason));
        }
        problems
    }
}
