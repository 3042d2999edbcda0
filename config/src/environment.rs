//! The environment variables a configuration may use.

use std::collections::BTreeMap;

/// The start of the names that override keys of a file.
const PREFIX: &str = "SIGNPOST_";

/// Names with the prefix that mean something else: they belong to the client verbs, and the last to an
/// upgrade.
const RESERVED: [&str; 5] = [
    "SIGNPOST_ADMIN",
    "SIGNPOST_CONFIG",
    "SIGNPOST_LOG",
    "SIGNPOST_TOKEN_FILE",
    "SIGNPOST_UPGRADE_FROM",
];

/// Holds a copy of environment variables, so that reading a configuration is a pure function of it.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// What variables may override: keys at the top of the file, and its sections.
    keys: &'static [&'static str],
    sections: &'static [&'static str],
}

/// One variable that stands in for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Override {
    pub(crate) variable: String,
    /// `None` for a key at the top.
    pub(crate) section: Option<&'static str>,
    pub(crate) key: String,
    pub(crate) value: String,
}

impl Environment {
    /// Copies the environment of this process; variables that aren't UTF-8 are left out.
    ///
    /// `SIGNPOST_KEY` overrides one of `keys`, `SIGNPOST_SECTION_KEY` a key in one of `sections`.
    pub fn current(keys: &'static [&'static str], sections: &'static [&'static str]) -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self::new(variables, keys, sections)
    }

    /// Takes these variables for the environment.
    pub fn new(
        variables: impl IntoIterator<Item = (String, String)>,
        keys: &'static [&'static str],
        sections: &'static [&'static str],
    ) -> Self {
        Self {
            variables: variables.into_iter().collect(),
            keys,
            sections,
        }
    }

    /// Lists variables with the prefix that override nothing: a key is misspelt, or somebody else uses
    /// the prefix (as Kubernetes does for a service of the same name).
    pub fn ignored(&self) -> impl Iterator<Item = &str> {
        let names = self.variables.keys().map(String::as_str);
        names.filter(|name| {
            let ours = name.starts_with(PREFIX) && !RESERVED.contains(name);
            ours && self.target(name).is_none()
        })
    }

    /// Expands `${NAME}` and `${NAME:-default}` in `text`; `$${` stands for a plain `${`.
    ///
    /// # Errors
    ///
    /// Returns the reason in words when a variable without default isn't set or a brace isn't closed.
    pub fn expand(&self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, after) = (&rest[..at], &rest[at + 2..]);
            if let Some(escaped) = before.strip_suffix('$') {
                out.push_str(escaped);
                out.push_str("${");
                rest = after;
                continue;
            }
            out.push_str(before);
            let end = after
                .find('}')
                .ok_or_else(|| format!("`${{` without `}}` in `{text}`"))?;
            out.push_str(&self.value_of(&after[..end])?);
            rest = &after[end + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Lists the overrides.
    pub(crate) fn overrides(&self) -> impl Iterator<Item = Override> {
        self.variables.iter().filter_map(|(name, value)| {
            let (section, key) = self.target(name)?;
            Some(Override {
                variable: name.clone(),
                section,
                key,
                value: value.clone(),
            })
        })
    }

    /// Finds what a variable overrides.
    fn target(&self, name: &str) -> Option<(Option<&'static str>, String)> {
        if RESERVED.contains(&name) {
            return None;
        }
        let key = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
        if self.keys.contains(&key.as_str()) {
            return Some((None, key));
        }
        let (first, rest) = key.split_once('_')?;
        let section = self.sections.iter().find(|section| **section == first)?;
        Some((Some(section), rest.to_owned()))
    }

    fn value_of(&self, expression: &str) -> Result<String, String> {
        let (name, default) = match expression.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (expression, None),
        };
        // As in a shell, `:-` also replaces a variable that is set to nothing.
        match (self.variables.get(name), default) {
            (Some(value), None) => Ok(value.clone()),
            (Some(value), Some(_)) if !value.is_empty() => Ok(value.clone()),
            (_, Some(default)) => Ok(default.to_owned()),
            (None, None) => Err(format!("environment variable `{name}` is not set")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables = variables.iter().map(owned);
        Environment::new(variables, &["workers", "drain_timeout"], &["dns"])
    }

    #[test]
    fn expands_variables_defaults_and_escapes() {
        let environment = environment(&[("HOST", "h1"), ("EMPTY", "")]);
        let expand = |text| environment.expand(text);
        assert_eq!(expand("a ${HOST}:1").as_deref(), Ok("a h1:1"));
        assert_eq!(expand("${NONE:-d}${HOST:-d}").as_deref(), Ok("dh1"));
        assert_eq!(expand("${EMPTY}|${EMPTY:-d}").as_deref(), Ok("|d"));
        assert_eq!(expand("$${HOST}").as_deref(), Ok("${HOST}"));
    }

    #[test]
    fn says_which_variable_is_missing() {
        let environment = environment(&[("HOST", "h1")]);
        let error = environment.expand("${NONE}").unwrap_err();
        assert_eq!(error, "environment variable `NONE` is not set");
        assert!(environment.expand("${HOST").is_err());
    }

    #[test]
    fn only_known_keys_and_sections_are_overridden() {
        let environment = environment(&[
            ("SIGNPOST_ADMIN", "a flag of the client verbs"),
            ("SIGNPOST_DNS_LISTEN", "1"),
            ("SIGNPOST_DNS_UDP_PAYLOAD_MAX", "2"),
            ("SIGNPOST_DRAIN_TIMEOUT", "3"),
            ("SIGNPOST_PORT_8080_TCP", "what Kubernetes sets"),
            ("SIGNPOST_SERVICE_HOST", "what Kubernetes sets"),
        ]);
        let targets: Vec<_> = environment
            .overrides()
            .map(|one| (one.section, one.key, one.value))
            .collect();
        let expected = [
            (Some("dns"), "listen", "1"),
            (Some("dns"), "udp_payload_max", "2"),
            (None, "drain_timeout", "3"),
        ];
        let expected =
            expected.map(|(section, key, value)| (section, key.to_owned(), value.to_owned()));
        assert_eq!(targets, expected);
        let ignored: Vec<_> = environment.ignored().collect();
        assert_eq!(ignored, ["SIGNPOST_PORT_8080_TCP", "SIGNPOST_SERVICE_HOST"]);
    }
}
