//! The password that a route asks for.

use std::{collections::BTreeMap, fmt};

use config::Problem;
use serde::{Deserialize, Serialize, Serializer};

use crate::http::is_field_value;

/// Configures basic authentication (RFC 7617).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// What clients are told that they are asked for.
    pub realm: String,
    /// Who may come in, and the hashes of their passwords.
    pub users: BTreeMap<String, PasswordHash>,
}

/// Holds the hash of a password as `crypt(3)` has it with SHA-256 or SHA-512: `$5$…` or `$6$…`.
///
/// It is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The most rounds of a hash: more keep a core busy for longer than a client waits.
    const ROUNDS_MAX: u32 = 100_000;

    /// Creates one from its text, which isn't looked at yet.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text; whoever calls this takes care where it goes.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Says why no password can be compared with it.
    fn reason(&self) -> Option<String> {
        let known = "made by `mkpasswd -m sha-512` or `-m sha-256`";
        let Some((kind, rest)) = self.0.get(1..).and_then(|text| text.split_once('$')) else {
            return Some(format!("it is no hash {known}"));
        };
        let digest_bytes = match kind {
            "5" if self.0.starts_with('$') => 43,
            "6" if self.0.starts_with('$') => 86,
            _ => return Some(format!("its kind is not one {known}")),
        };
        let (rounds, rest) = match rest.strip_prefix("rounds=") {
            Some(rest) => rest.split_once('$').unwrap_or_default(),
            None => ("5000", rest),
        };
        let rounds = rounds.parse::<u32>().ok();
        if rounds.is_none_or(|rounds| !(1_000..=Self::ROUNDS_MAX).contains(&rounds)) {
            let most = Self::ROUNDS_MAX;
            return Some(format!("its rounds are not between 1000 and {most}"));
        }
        let is_base64 = |text: &str| {
            let mut bytes = text.bytes();
            bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'))
        };
        match rest.split_once('$') {
            Some((salt, digest))
                if (1..=16).contains(&salt.len())
                    && digest.len() == digest_bytes
                    && is_base64(salt)
                    && is_base64(digest) =>
            {
                None
            }
            _ => Some(format!("it is no whole hash {known}")),
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(hidden)")
    }
}

impl Serialize for PasswordHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
    }
}

impl Auth {
    /// Finds what is wrong with it.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !is_field_value(&self.realm) || self.realm.contains(['"', '\\']) {
            let reason = format!("`{}` can't stand in a header in quotes", self.realm);
            problems.push(Problem::new("realm", reason));
        }
        if self.users.is_empty() {
            problems.push(Problem::new("users", "nobody may come in"));
        }
        for (name, hash) in &self.users {
            let key = format!("users.{name}");
            // RFC 7617, section 2: the first colon ends the name.
            if name.contains(':') || name.chars().any(char::is_control) {
                let reason = "the name of a user has no colons or control characters";
                problems.push(Problem::new(key.clone(), reason));
            }
            problems.extend(hash.reason().map(|reason| Problem::new(key, reason)));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(realm: &str, name: &str, hash: &str) -> Vec<String> {
        let auth = Auth {
            realm: realm.to_owned(),
            users: [(name.to_owned(), PasswordHash::new(hash))].into(),
        };
        auth.problems().iter().map(Problem::to_string).collect()
    }

    #[test]
    fn only_hashes_that_can_be_compared_are_taken() {
        let digest = "a".repeat(43);
        for good in [
            format!("$5$salt${digest}"),
            format!("$5$rounds=1000$salt${digest}"),
            format!("$6$salt${digest}{digest}"),
        ] {
            assert_eq!(problems("r", "u", &good), Vec::<String>::new(), "{good}");
        }
        for (bad, expected) in [
            ("secret".to_owned(), "no hash"),
            (String::new(), "no hash"),
            ("$1$salt$abc".to_owned(), "kind"),
            ("$2y$10$abc".to_owned(), "kind"),
            (format!("$6$salt${digest}"), "no whole hash"),
            (format!("$5$${digest}"), "no whole hash"),
            (format!("$5$rounds=1${digest}"), "rounds"),
            (format!("$5$rounds=9999999$salt${digest}"), "rounds"),
            ("$5$rounds=".to_owned(), "rounds"),
            ("é$5$".to_owned(), "no hash"),
        ] {
            let found = problems("r", "u", &bad);
            assert_eq!(found.len(), 1, "{bad}");
            assert!(found[0].contains(expected), "{bad}: {found:?}");
            assert!(bad.is_empty() || !found[0].contains(&bad), "{found:?}");
        }
        let good = format!("$5$salt${digest}");
        assert!(problems("a \"b\"", "u", &good)[0].starts_with("realm"));
        assert!(problems("r", "a:b", &good)[0].starts_with("users.a:b"));
    }

    #[test]
    fn a_hash_is_not_shown() {
        let hash = PasswordHash::new("$5$salt$x");
        assert_eq!(format!("{hash:?}"), "PasswordHash(hidden)");
        assert_eq!(serde_json::to_string(&hash).unwrap(), "\"(hidden)\"");
    }
}
