//! Which hosts and paths a route is for.

use std::cmp::Reverse;

use regex::bytes::{Regex, RegexBuilder};

use super::{is_below, path::normalize};
use crate::config::{self, PathRules};

/// The most memory that one regular expression may take once it is compiled, in bytes.
const REGEX_BYTES_MAX: usize = 256 << 10;

const SEVERAL: &str =
    "a route has at most one of `path`, `path_prefix`, `path_start` and `path_regex`";

/// Says which hosts a route is for; all in lower case, without a final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostPattern {
    Exact(Box<str>),
    /// All hosts below this one, which is what followed `*.`.
    Below(Box<str>),
    Any,
}

/// Says which paths, in their normal form, a route is for.
#[derive(Debug, Clone)]
pub(crate) enum PathPattern {
    Exact(Box<str>),
    /// The expression as it was written, and ready for use.
    Regex(Box<str>, Regex),
    /// This path and all below it; without a final slash, so that all paths are below an empty one.
    Prefix(Box<str>),
    /// All paths that begin so.
    Start(Box<str>),
    /// All paths that begin so when they are in lower case, as this is.
    FoldedStart(Box<str>),
}

impl HostPattern {
    pub(crate) fn of(route: &config::Route) -> Self {
        match route.normal_host() {
            None => Self::Any,
            Some(host) => match host.strip_prefix("*.") {
                Some(below) => Self::Below(below.into()),
                None => Self::Exact(host.into()),
            },
        }
    }

    /// Tells whether a host in lower case is one of them.
    pub(crate) fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(wanted) => host == &**wanted,
            Self::Below(wanted) => host
                .strip_suffix(&**wanted)
                .is_some_and(|rest| rest.ends_with('.')),
            Self::Any => true,
        }
    }

    /// Returns what the more specific one has less of.
    pub(crate) fn order(&self) -> impl Ord + use<> {
        match self {
            Self::Exact(_) => (0, Reverse(0)),
            Self::Below(host) => (1, Reverse(host.len())),
            Self::Any => (2, Reverse(0)),
        }
    }
}

impl PathPattern {
    /// Prepares the pattern of a route.
    ///
    /// # Errors
    ///
    /// Returns the key and what is wrong with its value.
    pub(crate) fn of(
        route: &config::Route,
        rules: PathRules,
    ) -> Result<Self, (&'static str, String)> {
        if let Some(start) = &route.path_start {
            if route.path.is_some() || route.path_prefix.is_some() || route.path_regex.is_some() {
                return Err(("", SEVERAL.to_owned()));
            }
            return match (normal(start, rules), route.ignore_case) {
                (Ok(start), false) => Ok(Self::Start(start.into())),
                (Ok(start), true) => Ok(Self::FoldedStart(start.to_ascii_lowercase().into())),
                (Err(reason), _) => Err(("path_start", reason)),
            };
        }
        match (&route.path, &route.path_prefix, &route.path_regex) {
            (Some(path), None, None) => match normal(path, rules) {
                Ok(path) => Ok(Self::Exact(path.into())),
                Err(reason) => Err(("path", reason)),
            },
            (None, Some(prefix), None) => match normal(prefix, rules) {
                Ok(prefix) => Ok(Self::Prefix(prefix.trim_end_matches('/').into())),
                Err(reason) => Err(("path_prefix", reason)),
            },
            (None, None, Some(text)) => match regex(text) {
                Ok(regex) => Ok(Self::Regex(text.as_str().into(), regex)),
                Err(reason) => Err(("path_regex", reason)),
            },
            (None, None, None) => Ok(Self::Prefix("".into())),
            _ => Err(("", SEVERAL.to_owned())),
        }
    }

    /// Tells whether a path in its normal form is one of them.
    pub(crate) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(wanted) => path == &**wanted,
            Self::Regex(_, regex) => regex.is_match(path.as_bytes()),
            Self::Prefix(prefix) => is_below(path, prefix),
            Self::Start(start) => path.starts_with(&**start),
            Self::FoldedStart(start) => {
                let begin = path.as_bytes().get(..start.len());
                begin.is_some_and(|begin| begin.eq_ignore_ascii_case(start.as_bytes()))
            }
        }
    }

    /// Returns what the more specific one has less of.
    pub(crate) fn order(&self) -> impl Ord + use<> {
        match self {
            Self::Exact(_) => (0, Reverse(0)),
            Self::Regex(..) => (1, Reverse(0)),
            Self::Prefix(begin) | Self::Start(begin) | Self::FoldedStart(begin) => {
                (2, Reverse(begin.len()))
            }
        }
    }

    /// Returns a path at or below which all matching paths are, as far as that is easy to tell.
    pub(crate) fn top(&self) -> &str {
        match self {
            Self::Exact(path) | Self::Prefix(path) => path,
            Self::Regex(text, _) => literal_top(text),
            // What follows the last slash may go on.
            Self::Start(start) => &start[..start.rfind('/').unwrap_or(0)],
            Self::FoldedStart(_) => "",
        }
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b))
            | (Self::Regex(a, _), Self::Regex(b, _))
            | (Self::Prefix(a), Self::Prefix(b))
            | (Self::Start(a), Self::Start(b))
            | (Self::FoldedStart(a), Self::FoldedStart(b)) => a == b,
            _ => false,
        }
    }
}

/// Compiles an expression that the whole of a text has to match.
///
/// It knows letters of ASCII alone, which is what requests are made of.
///
/// # Errors
///
/// Returns the reason in words when it is none, or a too large one.
pub(crate) fn regex(text: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(&format!("^(?:{text})$"));
    let regex = builder.unicode(false).size_limit(REGEX_BYTES_MAX).build();
    regex.map_err(|error| match error {
        regex::Error::CompiledTooBig(bytes) => {
            format!("`{text}` takes more than {bytes} bytes once it is compiled")
        }
        // The last line of several says what is wrong, the others draw where.
        error => {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default();
            format!("`{text}`: {}", reason.trim_start_matches("error: "))
        }
    })
}

fn normal(path: &str, rules: PathRules) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err(format!("`{path}` does not begin with a slash"));
    }
    if path.contains(['?', '#']) || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("`{path}` is not a path as it stands in a request"));
    }
    match normalize(path, rules) {
        Ok(path) => Ok(path.into_owned()),
        Err(reason) => Err(format!("`{path}` matches nothing, as {reason}")),
    }
}

/// Returns the whole segments with which all paths begin that an expression matches.
fn literal_top(text: &str) -> &str {
    let special = |c: char| r"\.+*?()|[]{}^$".contains(c);
    let end = match text.find(special) {
        _ if text.contains('|') => 0,
        Some(end) => end,
        None => text.len(),
    };
    // A slash that may be missing parts nothing, unless it is the last thing.
    let may_miss = matches!(&text.as_bytes()[end..], [b'?' | b'*' | b'{', _, ..]);
    let end = if may_miss { end.saturating_sub(1) } else { end };
    // What is optional or repeated may not be there; a segment may go on.
    &text[..text[..end].rfind('/').unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_of_an_expression_is_a_path_that_all_matches_are_below() {
        for (text, top) in [
            ("/api/v[0-9]+/x", "/api"),
            ("/api/?", "/api"),
            ("/api/?x", ""),
            ("/api/*v1", ""),
            ("/api/{0,1}v1", ""),
            ("/a/b/?x", "/a"),
            ("/api?", ""),
            ("/a|/b", ""),
            ("(?i)/a/b", ""),
            ("/a/b/c", "/a/b"),
        ] {
            assert_eq!(literal_top(text), top, "{text}");
        }
    }

    #[test]
    fn an_expression_is_for_the_whole_path_and_not_too_large() {
        let route = config::Route {
            path_regex: Some("/[a-z]+|/x".to_owned()),
            ..config::Route::default()
        };
        let pattern = PathPattern::of(&route, PathRules::default()).unwrap();
        assert!(pattern.matches("/abc") && !pattern.matches("/abc/") && !pattern.matches("/x/y"));
        assert!(regex("(a{1000}){1000}").unwrap_err().contains("bytes once"));
        assert!(regex("(").unwrap_err().contains("unclosed group"));
    }
}
