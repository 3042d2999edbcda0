//! What few routes want besides leading somewhere.

use super::{action::Target, edits::Edits, path::replace_prefix, relocation::Relocation};
use crate::config::{self, Percent, Sticky};

/// Holds what a route wants; shared with the requests that it is for.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// What stands in the path instead of the prefix, and the prefix.
    prefix: Option<(Box<str>, Box<str>)>,
    /// Another host for instances.
    pub(crate) host: Option<Box<str>>,
    /// Changes of the request's header lines.
    pub(crate) request: Option<Edits>,
    /// Changes of the response's header lines.
    pub(crate) response: Option<Edits>,
    /// Where clients are sent instead of where instances send them.
    pub(crate) location: Option<Relocation>,
    /// Where copies of how many requests go.
    pub(crate) mirror: Option<(Target, Percent)>,
    /// What keeps clients at one instance.
    pub(crate) sticky: Option<Sticky>,
}

impl Extras {
    /// Prepares what a route wants, whose path prefix in its normal form is `prefix`; `None` when it
    /// wants nothing.
    pub(super) fn of(route: &config::Route, prefix: &str) -> Option<Self> {
        let mut extras = Self {
            response: Edits::of(&route.response_headers),
            location: route.location.as_ref().map(Relocation::new),
            sticky: route.sticky.clone(),
            mirror: route.mirror.as_ref().map(|mirror| {
                let subset = mirror.subset.as_ref();
                (Target::new(&mirror.service, subset, 1), mirror.percent)
            }),
            ..Self::default()
        };
        if let Some(rewrite) = &route.rewrite {
            let with = match &rewrite.replace_prefix {
                None if rewrite.strip_prefix => Some(""),
                with => with.as_deref(),
            };
            extras.prefix = with.map(|with| (with.into(), prefix.into()));
            extras.host = rewrite.host.as_deref().map(Box::from);
            extras.request = Edits::of(&rewrite.headers);
        }
        let some = [
            extras.response.is_some(),
            extras.location.is_some(),
            extras.sticky.is_some(),
            extras.mirror.is_some(),
            route.rewrite.is_some(),
        ];
        some.contains(&true).then_some(extras)
    }

    /// Returns the path that instances get instead of the one that was routed.
    pub(crate) fn rewritten(&self, path: &str) -> Option<String> {
        let (with, prefix) = self.prefix.as_ref()?;
        // `*` is no path.
        let is_path = path.starts_with('/');
        is_path.then(|| replace_prefix(path, prefix, with))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_stripped_or_replaced_by_segments() {
        let rewritten = |rewrite: &str, prefix: &str, path: &str| {
            let route = toml::from_str(&format!("rewrite = {{ {rewrite} }}")).unwrap();
            let extras = Extras::of(&route, prefix).unwrap();
            extras.rewritten(path).unwrap_or_else(|| path.to_owned())
        };
        for (rewrite, prefix, path, expected) in [
            ("strip_prefix = true", "/api", "/api/v1", "/v1"),
            ("strip_prefix = true", "/api", "/api", "/"),
            ("strip_prefix = true", "/api", "/api/", "/"),
            ("strip_prefix = true", "/api", "/api//x", "/x"),
            ("strip_prefix = true", "", "/x", "/x"),
            ("strip_prefix = true", "", "*", "*"),
            ("replace_prefix = '/v2/'", "/api", "/api/x/", "/v2/x/"),
            ("replace_prefix = '/v2'", "/api", "/api", "/v2"),
            ("replace_prefix = '/'", "/api", "/api/x", "/x"),
            ("replace_prefix = '/all'", "", "/x", "/all/x"),
            ("host = 'x'", "/api", "/api/x", "/api/x"),
        ] {
            assert_eq!(
                rewritten(rewrite, prefix, path),
                expected,
                "{rewrite} {path}"
            );
        }
    }
}
