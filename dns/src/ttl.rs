//! How long clients may keep the records of each service.

use std::collections::BTreeMap;

use config::Duration;
use registry::ServiceName;

/// Holds the table `[dns.ttl]`, ready to be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ttls {
    /// In seconds, by name.
    exact: BTreeMap<String, u32>,
    /// The longest pattern first.
    patterns: Vec<Pattern>,
}

/// Matches the names that start and end so.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    start: String,
    end: String,
    /// In seconds.
    ttl: u32,
}

impl Ttls {
    /// Reads names and patterns, which [`check`] has found to be good.
    pub(crate) fn new(table: &BTreeMap<String, Duration>) -> Self {
        let mut ttls = Self::default();
        for (text, ttl) in table {
            let (text, ttl) = (text.to_ascii_lowercase(), ttl.as_ttl());
            match text.split_once('*') {
                Some((start, end)) => ttls.patterns.push(Pattern {
                    start: start.to_owned(),
                    end: end.to_owned(),
                    ttl,
                }),
                None => {
                    ttls.exact.insert(text, ttl);
                }
            }
        }
        // Stable: of equally long ones the first by the alphabet.
        ttls.patterns
            .sort_by_key(|pattern| std::cmp::Reverse(pattern.start.len() + pattern.end.len()));
        ttls
    }

    /// Returns the seconds that are set for a service: for its name, else by the longest pattern.
    pub(crate) fn of(&self, service: &ServiceName) -> Option<u32> {
        let name = service.as_str();
        let matching = || self.patterns.iter().find(|pattern| pattern.matches(name));
        let exact = self.exact.get(name).copied();
        exact.or_else(|| matching().map(|pattern| pattern.ttl))
    }

    /// Returns the most seconds that are set for any service.
    pub(crate) fn max(&self) -> Option<u32> {
        let patterns = self.patterns.iter().map(|pattern| pattern.ttl);
        self.exact.values().copied().chain(patterns).max()
    }
}

impl Pattern {
    fn matches(&self, name: &str) -> bool {
        let rest = name.strip_prefix(self.start.as_str());
        rest.is_some_and(|rest| rest.ends_with(&self.end))
    }
}

/// Checks that a text is the name of a service, or a pattern that some name can match.
///
/// # Errors
///
/// Returns the reason in words.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let name = |text: &str| text.parse::<ServiceName>();
    match text.split_once('*') {
        None => name(text).map(drop).map_err(|error| error.to_string()),
        Some((_, end)) if end.contains('*') => Err(format!("`{text}` has more than one `*`")),
        Some((start, end)) => name(&format!("{start}x{end}"))
            .map(drop)
            .map_err(|_| format!("`{text}` can match no name of a service")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_goes_before_the_longest_pattern() {
        let table = [
            ("*", 1),
            ("*.batch", 2),
            ("a*", 3),
            ("A.batch", 4),
            ("a.*.batch", 5),
            ("b*c", 6),
            ("*bc", 7),
            ("aa*aa", 8),
        ];
        let table = table.map(|(text, ttl)| (text.to_owned(), Duration::from_secs(ttl)));
        let ttls = Ttls::new(&table.into());
        for (name, ttl) in [
            ("web", 1),
            ("x.batch", 2),
            ("x.y.batch", 2),
            ("batch", 1),
            ("a", 3),
            ("ab.batch", 2),
            ("a.batch", 4),
            ("a.x.batch", 5),
            ("a.x.y.batch", 5),
            ("bbc", 7),
            ("aaa", 3),
            ("aaaa", 8),
        ] {
            assert_eq!(ttls.of(&name.parse().unwrap()), Some(ttl), "{name}");
        }
        assert_eq!(Ttls::default().of(&"web".parse().unwrap()), None);
    }

    #[test]
    fn what_can_match_nothing_is_refused() {
        for good in ["web", "Web.a_b", "*", "api-*", "*.batch", "a*b", "a.*.b"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", ".a", "a b", "*-", "a..*", "*.*", "-*", ".*", "é*"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
