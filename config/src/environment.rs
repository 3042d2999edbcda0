//! The environment variables a configuration may use.

use std::collections::BTreeMap;

/// The start of the names that override keys of a file.
const PREFIX: &str = "SIGNPOST_";

/// Names with the prefix that mean something else: they belong to the client verbs.
const RESERVED: [&str; 4] = [
    "SIGNPOST_ADMIN",
    "SIGNPOST_CONFIG",
    "SIGNPOST_LOG",
    "SIGNPOST_TOKEN_FILE",
];

/// Holds a copy of environment variables, so that reading a configuration is a pure function of it.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Copies the environment of this process; variables that aren't UTF-8 are left out.
    pub fn current() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
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

    /// Lists the overrides as (variable, key path without prefix in lower case, value).
    pub(crate) fn overrides(&self) -> impl Iterator<Item = (&str, String, &str)> {
        self.0
            .iter()
            .filter(|(name, _)| !RESERVED.contains(&name.as_str()))
            .filter_map(|(name, value)| {
                let key = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
                Some((name.as_str(), key, value.as_str()))
            })
    }

    fn value_of(&self, expression: &str) -> Result<String, String> {
        let (name, default) = match expression.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (expression, None),
        };
        // As in a shell, `:-` also replaces a variable that is set to nothing.
        match (self.0.get(name), default) {
            (Some(value), None) => Ok(value.clone()),
            (Some(value), Some(_)) if !value.is_empty() => Ok(value.clone()),
            (_, Some(default)) => Ok(default.to_owned()),
            (None, None) => Err(format!("environment variable `{name}` is not set")),
        }
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        [("HOST", "h1"), ("EMPTY", ""), ("SIGNPOST_DNS_LISTEN", "x")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect()
    }

    #[test]
    fn expands_variables_defaults_and_escapes() {
        let expand = |text| environment().expand(text);
        assert_eq!(expand("a ${HOST}:1").as_deref(), Ok("a h1:1"));
        assert_eq!(expand("${NONE:-d}${HOST:-d}").as_deref(), Ok("dh1"));
        assert_eq!(expand("${EMPTY}|${EMPTY:-d}").as_deref(), Ok("|d"));
        assert_eq!(expand("$${HOST}").as_deref(), Ok("${HOST}"));
    }

    #[test]
    fn says_which_variable_is_missing() {
        let error = environment().expand("${NONE}").unwrap_err();
        assert_eq!(error, "environment variable `NONE` is not set");
        assert!(environment().expand("${HOST").is_err());
    }

    #[test]
    fn client_variables_override_nothing() {
        assert_eq!(environment().overrides().count(), 1);
        let environment: Environment = [("SIGNPOST_ADMIN".to_owned(), "u".to_owned())]
            .into_iter()
            .collect();
        assert_eq!(environment.overrides().count(), 0);
    }
}
