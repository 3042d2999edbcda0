//! A rule as clients write it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::rules::{ACL, Settings};

/// What can't be read.
const UNREADABLE: &str = "Unable to decode JSON request";

/// A rule that is to be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Begins with a slash.
    pub(super) id: String,
    acl: String,
    config: Option<Settings>,
}

impl Rule {
    /// Reads `{"id":…,"acl":…}` or `{"id":…,"config":{"Acl":…}}`; the case of keys doesn't matter.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, in Bamboo's words where it has any.
    pub(super) fn parse(bytes: &[u8], path_id: Option<&str>) -> Result<Self, String> {
        let object: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|_| UNREADABLE.to_owned())?;
        let get = |name: &str| {
            let mut pairs = object.iter();
            let found = pairs.find(|(key, _)| key.eq_ignore_ascii_case(name));
            found
                .map(|(_, value)| value)
                .filter(|value| !value.is_null())
        };
        let text = |name: &str| match get(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(UNREADABLE.to_owned()),
        };
        let config = match get("config") {
            None => None,
            Some(Value::Object(pairs)) => Some(settings(pairs)?),
            Some(_) => return Err(UNREADABLE.to_owned()),
        };
        let written = text("id")?;
        let id = match (written.as_str(), path_id) {
            ("", None | Some("")) => return Err("can not use empty ID".to_owned()),
            ("", Some(id)) => slashed(id),
            (id, None) => slashed(id),
            (id, Some(path)) if slashed(id) == slashed(path) => slashed(id),
            (id, Some(path)) => {
                return Err(format!(
                    "the path is that of `{}`, and the id is `{}`",
                    slashed(path),
                    slashed(id)
                ));
            }
        };
        Ok(Self {
            id,
            acl: text("acl")?,
            config,
        })
    }

    /// Returns what is stored: all settings, the ACL among them.
    pub(super) fn stored(&self) -> Settings {
        let mut config = self.config.clone().unwrap_or_default();
        if !self.acl.is_empty() {
            // It counts, as with Bamboo, for who has read a rule and sends it back changed.
            config.insert(ACL.into(), self.acl.as_str().into());
        }
        config
    }

    /// Returns what clients are answered: what they sent, as it was understood.
    pub(super) fn answer(&self) -> Value {
        json!({ "Id": self.id, "Acl": self.acl, "Config": self.config })
    }
}

/// Returns an id with the slash that it begins with.
pub(super) fn slashed(id: &str) -> String {
    match id.starts_with('/') {
        true => id.to_owned(),
        false => format!("/{id}"),
    }
}

fn settings(pairs: &Map<String, Value>) -> Result<Settings, String> {
    let pairs = pairs.iter().map(|(key, value)| match value {
        Value::String(text) => Ok((key.as_str().into(), Arc::from(text.as_str()))),
        _ => Err(UNREADABLE.to_owned()),
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, path: Option<&str>) -> Result<(String, String), String> {
        let rule = Rule::parse(text.as_bytes(), path)?;
        let stored = rule.stored();
        let acl = stored.get(ACL).map(ToString::to_string).unwrap_or_default();
        Ok((rule.id, acl))
    }

    #[test]
    fn rules_are_read_as_bamboo_reads_them() {
        let good = |id: &str, acl: &str| Ok((id.to_owned(), acl.to_owned()));
        let path = "path_beg /x";
        assert_eq!(
            parse(r#"{"id":"/a","acl":"path_beg /x"}"#, None),
            good("/a", path)
        );
        assert_eq!(
            parse(r#"{"ID":"a","ACL":"path_beg /x"}"#, None),
            good("/a", path)
        );
        let config = r#"{"Id":"/a","config":{"Acl":"path_beg /x","Priority":"3"}}"#;
        assert_eq!(parse(config, Some("/a")), good("/a", path));
        assert_eq!(
            parse(r#"{"acl":"path_beg /x"}"#, Some("a/b")),
            good("/a/b", path)
        );
        let both = r#"{"id":"/a","acl":"path_beg /x","config":{"Acl":"path_beg /old"}}"#;
        assert_eq!(parse(both, None), good("/a", path));
        for (text, at, reason) in [
            ("rubbish", None, UNREADABLE),
            ("[]", None, UNREADABLE),
            (r#"{"id":7}"#, None, UNREADABLE),
            (r#"{"id":"/a","config":{"Acl":7}}"#, None, UNREADABLE),
            ("{}", None, "can not use empty ID"),
            (r#"{"id":""}"#, Some(""), "can not use empty ID"),
            (
                r#"{"id":"/a"}"#,
                Some("b"),
                "the path is that of `/b`, and the id is `/a`",
            ),
        ] {
            assert_eq!(parse(text, at).unwrap_err(), reason, "{text}");
        }
    }

    #[test]
    fn the_answer_is_what_was_sent() {
        let rule = Rule::parse(br#"{"id":"/some/service","acl":"path_beg /x"}"#, None).unwrap();
        let expected = json!({"Id": "/some/service", "Acl": "path_beg /x", "Config": null});
        assert_eq!(rule.answer(), expected);
    }
}
