//! What keeps a client at one instance.

use config::{Duration, Problem};
use serde::{Deserialize, Serialize};

use super::{Route, is_default, is_false};
use crate::http::is_token;

/// Configures by what a client is kept at an instance: just one of `cookie`, `header` and `client`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sticky {
    /// The name of a cookie that names the instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// How long the cookie is good for, 1 s to 400 days; 1 h. It is renewed in the second half.
    pub ttl: Duration,
    /// Whether clients send the cookie by TLS alone.
    #[serde(skip_serializing_if = "is_false")]
    pub secure: bool,
    /// With which requests from other sites clients send the cookie.
    #[serde(skip_serializing_if = "is_default")]
    pub same_site: SameSite,
    /// The name of a header; equal values go to one instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Whether requests from one address go to one instance.
    #[serde(skip_serializing_if = "is_false")]
    pub client: bool,
}

/// Says with which requests from other sites a client sends a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SameSite {
    /// With none.
    Strict,
    /// When somebody follows a link; the default.
    #[default]
    Lax,
    /// With all; only for cookies that are `secure`.
    None,
}

impl Default for Sticky {
    fn default() -> Self {
        Self {
            cookie: None,
            ttl: Duration::from_secs(3600),
            secure: false,
            same_site: SameSite::default(),
            header: None,
            client: false,
        }
    }
}

impl SameSite {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

impl Route {
    pub(super) fn sticky_problems(&self) -> Vec<Problem> {
        let Some(sticky) = &self.sticky else {
            return Vec::new();
        };
        let mut problems = sticky.problems();
        if self.redirect.is_some() || self.respond.is_some() {
            problems.push(Problem::new(
                "",
                "no instance gets the requests of this route",
            ));
        }
        let within = |problem: Problem| problem.within("sticky");
        problems.into_iter().map(within).collect()
    }
}

impl Sticky {
    /// The longest that clients keep a cookie for, in seconds.
    const TTL_SECONDS_MAX: u64 = 400 * 24 * 3600;

    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let ways = [self.cookie.is_some(), self.header.is_some(), self.client];
        if ways.into_iter().filter(|one| *one).count() != 1 {
            let reason = "it has just one of `cookie`, `header` and `client`";
            problems.push(Problem::new("", reason));
        }
        for (key, name) in [("cookie", &self.cookie), ("header", &self.header)] {
            if let Some(name) = name.as_deref().filter(|name| !is_token(name)) {
                problems.push(Problem::new(
                    key,
                    format!("`{name}` is not the name of a {key}"),
                ));
            }
        }
        if !(1..=Self::TTL_SECONDS_MAX).contains(&self.ttl.get().as_secs()) {
            let reason = format!("`{}` is not between 1s and 400 days", self.ttl);
            problems.push(Problem::new("ttl", reason));
        }
        if self.same_site == SameSite::None && !self.secure {
            let reason = "clients take `none` only of a cookie that is `secure`";
            problems.push(Problem::new("same_site", reason));
        }
        problems
    }
}
