//! Where a redirect sends clients.

use super::path::replace_prefix;
use crate::config::{Redirect, Scheme};

/// Makes locations for the requests of one route.
#[derive(Debug)]
pub(crate) struct Location {
    redirect: Redirect,
    /// The route's prefix, without a final slash.
    prefix: Box<str>,
}

/// Says what a location may keep of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct From<'a> {
    pub(crate) scheme: Scheme,
    /// Host and port; may be empty.
    pub(crate) authority: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
}

impl Location {
    pub(super) fn new(redirect: Redirect, prefix: &str) -> Self {
        let prefix = prefix.into();
        Self { redirect, prefix }
    }

    pub(crate) fn status(&self) -> u16 {
        self.redirect.status
    }

    /// Makes the value of `Location` (RFC 9110, section 10.2.2): a path with the query, and the
    /// scheme, host and port before it when one of them is another one.
    pub(crate) fn of(&self, from: From<'_>) -> String {
        let redirect = &self.redirect;
        let path = match (&redirect.path, &redirect.replace_prefix) {
            (Some(path), _) => path.clone(),
            (None, Some(with)) => replace_prefix(from.path, &self.prefix, with),
            (None, None) if redirect.strip_prefix => replace_prefix(from.path, &self.prefix, ""),
            // Two slashes at the front would be read as a host.
            (None, None) => replace_prefix(from.path, "", ""),
        };
        // To browsers a backslash is a slash.
        let mut location = self.base(from) + &path.replace('\\', "%5C");
        if let Some(query) = from.query {
            location.push('?');
            location.push_str(query);
        }
        location
    }

    fn base(&self, from: From<'_>) -> String {
        let redirect = &self.redirect;
        if redirect.scheme.is_none() && redirect.host.is_none() && redirect.port.is_none() {
            return String::new();
        }
        let end = from
            .authority
            .rfind(':')
            .filter(|at| !from.authority[*at..].contains(']'));
        let (host, port) = match end {
            Some(at) => (&from.authority[..at], from.authority[at + 1..].parse().ok()),
            None => (from.authority, None),
        };
        let host = redirect.host.as_deref().unwrap_or(host);
        if host.is_empty() {
            return String::new();
        }
        let scheme = redirect.scheme.unwrap_or(from.scheme);
        let port = redirect.port.or(match redirect.scheme {
            Some(_) => None,
            None => port,
        });
        match port.filter(|port| *port != scheme.port()) {
            Some(port) => format!("{}://{host}:{port}", scheme.as_str()),
            None => format!("{}://{host}", scheme.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_keeps_what_the_redirect_does_not_say() {
        for (text, authority, path, expected) in [
            ("scheme = 'https'", "a.b:8080", "/x", "https://a.b/x?q=1"),
            (
                "scheme = 'https'\nport = 8443",
                "a.b",
                "/x",
                "https://a.b:8443/x?q=1",
            ),
            ("host = 'c'", "a.b:8080", "/x", "http://c:8080/x?q=1"),
            ("host = 'c'\nport = 80", "a.b:8080", "/x", "http://c/x?q=1"),
            ("port = 81", "[::1]:8080", "/x", "http://[::1]:81/x?q=1"),
            ("path = '/y'", "a.b:8080", "/x", "/y?q=1"),
            ("strip_prefix = true", "a", "/p/x", "/x?q=1"),
            ("strip_prefix = true", "a", "/p", "/?q=1"),
            ("strip_prefix = true", "a", "/p//evil", "/evil?q=1"),
            ("strip_prefix = true", "a", "/p/\\evil", "/%5Cevil?q=1"),
            ("replace_prefix = '/n/'", "a", "/p/x", "/n/x?q=1"),
            ("scheme = 'https'", "", "/x", "/x?q=1"),
            ("status = 308", "a", "//evil", "/evil?q=1"),
        ] {
            let location = Location::new(toml::from_str(text).unwrap(), "/p");
            let from = From {
                scheme: Scheme::Http,
                authority,
                path,
                query: Some("q=1"),
            };
            assert_eq!(location.of(from), expected, "{text} {authority} {path}");
        }
    }
}
