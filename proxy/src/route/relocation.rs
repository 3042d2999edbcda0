//! Another place than the one to which an instance sends a client.

use crate::config::LocationRewrite;

/// Replaces the `Location` of responses (RFC 9110, section 10.2.2).
#[derive(Debug)]
pub(crate) struct Relocation {
    /// In lower case.
    hosts: Box<[Box<str>]>,
    line: Box<[u8]>,
    dropped: [Box<str>; 1],
}

impl Relocation {
    pub(super) fn new(config: &LocationRewrite) -> Self {
        let hosts = config.hosts.iter();
        Self {
            hosts: hosts.map(|host| host.to_ascii_lowercase().into()).collect(),
            line: format!("Location: {}\r\n", config.path).into_bytes().into(),
            dropped: [Self::NAME.into()],
        }
    }

    /// The name of the header that is replaced.
    pub(crate) const NAME: &str = "location";

    /// Returns the names whose lines are left out.
    pub(crate) fn dropped(&self) -> &[Box<str>] {
        &self.dropped
    }

    /// Returns the line that stands instead of one with this value; `None` where that stays.
    pub(crate) fn line(&self, value: &[u8]) -> Option<&[u8]> {
        let value = std::str::from_utf8(value).ok()?;
        let is_path = value.starts_with('/') && !value.starts_with("//");
        (is_path || self.is_ours(value)).then_some(&self.line)
    }

    /// Tells whether a URL leads to a path of one of the hosts.
    fn is_ours(&self, url: &str) -> bool {
        let Some((scheme, rest)) = url.split_once("://") else {
            return false;
        };
        let Some((authority, _)) = rest.split_once('/') else {
            return false;
        };
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        };
        let mut schemes = ["http", "https"].into_iter();
        schemes.any(|one| scheme.eq_ignore_ascii_case(one))
            && self.hosts.iter().any(|own| host.eq_ignore_ascii_case(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_urls_of_the_hosts_are_replaced() {
        let relocation = Relocation::new(&LocationRewrite {
            hosts: vec!["Shop.example.com".to_owned(), "b".to_owned()],
            path: "/my/content".to_owned(),
        });
        for (value, is_replaced) in [
            ("/", true),
            ("/login?next=/x", true),
            ("http://shop.example.com/x", true),
            ("HTTPS://SHOP.example.com:8443/", true),
            ("http://b:80/", true),
            ("http://b", false),
            ("http://c/x", false),
            ("http://b.c/x", false),
            ("//c/x", false),
            ("x/y", false),
            ("ftp://b/x", false),
            ("http://user@b/x", false),
            ("", false),
        ] {
            let line = relocation.line(value.as_bytes());
            let expected = is_replaced.then_some(&b"Location: /my/content\r\n"[..]);
            assert_eq!(line, expected, "{value}");
        }
        assert_eq!(relocation.line(b"/\xff"), None);
    }
}
