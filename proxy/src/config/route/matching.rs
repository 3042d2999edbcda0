//! What a route asks of a request besides host and path.

use config::Problem;
use serde::{Deserialize, Serialize};

use super::Route;
use crate::{http::is_token, route::conditions::Conditions};

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

impl Route {
    pub(super) fn matching_problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
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
        if let Err((key, reason)) = Conditions::of(self) {
            problems.push(Problem::new(key, reason));
        }
        problems
    }
}
