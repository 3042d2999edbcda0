//! Names that are safe in DNS: of services, instances and ports.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest label, in bytes (RFC 1035, section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// The longest service name, in bytes: what is left of DNS's 255 for an instance's label and the domain.
const SERVICE_BYTES_MAX: usize = 127;

/// Says why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{}` {reason}", shorten(.text))]
pub struct NameError {
    what: &'static str,
    text: String,
    reason: String,
}

/// Names a service: one or more DNS-safe labels, such as `web` or `app.group`, in lower case.
///
/// A label has 1 to 63 letters, digits, `-` and `_`; it starts with a letter or digit and ends with one.
/// The order is by label from the left, as plain text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    /// Returns the name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the labels, the most specific one first.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }
}

impl FromStr for ServiceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |reason: String| NameError {
            what: "service name",
            text: text.to_owned(),
            reason,
        };
        if text.len() > SERVICE_BYTES_MAX {
            let reason = format!("has {} bytes, more than {SERVICE_BYTES_MAX}", text.len());
            return Err(error(reason));
        }
        text.split('.').try_for_each(check_label).map_err(error)?;
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

/// Names an instance among those of its service: one DNS-safe label in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(Arc<str>);

impl InstanceId {
    /// Makes an id of any text: itself where it is a label, else a label that looks like it.
    ///
    /// What had to be changed ends in a hash of the original text, so that `10.0.0.1:80` and `10-0-0-1-80`
    /// don't become one. Equal texts give equal ids, in every process.
    pub fn from_text(text: &str) -> Self {
        if let Ok(id) = text.parse() {
            return id;
        }
        let hash = fnv1a(text.as_bytes()) as u32;
        let safe = |c: char| match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() || c == '_' => c,
            _ => '-',
        };
        let mut label: String = text.chars().take(LABEL_BYTES_MAX - 9).map(safe).collect();
        label.truncate(label.trim_end_matches(['-', '_']).len());
        let label = label.trim_start_matches(['-', '_']);
        match label {
            "" => Self(format!("x-{hash:08x}").into()),
            _ => Self(format!("{label}-{hash:08x}").into()),
        }
    }

    /// Returns the id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InstanceId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check_label(text).map_err(|reason| NameError {
            what: "instance id",
            text: text.to_owned(),
            reason,
        })?;
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

/// Names a port of an instance: one DNS-safe label in lower case, such as `http`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortName(Arc<str>);

impl PortName {
    /// Returns the name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PortName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check_label(text).map_err(|reason| NameError {
            what: "port name",
            text: text.to_owned(),
            reason,
        })?;
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

fn check_label(label: &str) -> Result<(), String> {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let odd = |c: &char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_');
    if label.is_empty() {
        return Err("has an empty label".to_owned());
    }
    if label.len() > LABEL_BYTES_MAX {
        let bytes = label.len();
        return Err(format!(
            "has a label of {bytes} bytes, more than {LABEL_BYTES_MAX}"
        ));
    }
    if let Some(c) = label.chars().find(odd) {
        return Err(format!("has {c:?}, which is no letter, digit, `-` or `_`"));
    }
    if !edge(label.chars().next()) || !edge(label.chars().next_back()) {
        return Err("has a label that doesn't start and end with a letter or digit".to_owned());
    }
    Ok(())
}

/// Hashes as FNV-1a with 64 bits: fixed for all time, unlike the standard library's hasher.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

macro_rules! name {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(ServiceName);
name!(InstanceId);
name!(PortName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_name_is_made_of_labels_in_lower_case() {
        let name: ServiceName = "App_1.Group-2".parse().unwrap();
        assert_eq!(name.as_str(), "app_1.group-2");
        assert_eq!(name.labels().collect::<Vec<_>>(), ["app_1", "group-2"]);
    }

    #[test]
    fn what_dns_could_not_carry_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "has an empty label"),
            ("a..b", "has an empty label"),
            ("_http", "start and end"),
            ("a-", "start and end"),
            ("a b", "has ' '"),
            ("w\u{e9}b", "has 'é'"),
            (&"x".repeat(64), "more than 63"),
            (&"x.".repeat(100), "more than 127"),
        ] {
            let error = text.parse::<ServiceName>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn any_text_becomes_an_id_and_different_texts_different_ones() {
        assert_eq!(InstanceId::from_text("S1").as_str(), "s1");
        let texts = [
            "10.0.0.1:80",
            "10-0-0-1:80",
            "",
            "::",
            "-a-",
            "日本",
            &"y".repeat(300),
        ];
        let ids: std::collections::BTreeSet<_> =
            texts.iter().map(|t| InstanceId::from_text(t)).collect();
        assert_eq!(ids.len(), texts.len());
        for id in ids {
            assert_eq!(id.as_str().parse::<InstanceId>().as_ref(), Ok(&id));
        }
        assert!(
            InstanceId::from_text("10.0.0.1:80")
                .as_str()
                .starts_with("10-0-0-1-80-")
        );
    }
}
