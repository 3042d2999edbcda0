//! How a rule stands in its znode.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    About, AppRule, Entry, Key, ServiceName,
    sources::{marathon::service_of, zookeeper::Parse},
};

/// What the second form calls itself.
const VERSION: &str = "2";

/// The most bytes of a rule.
const RULE_BYTES_MAX: usize = 64 << 10;

/// The key of the ACL among a rule's settings.
const ACL: &str = "Acl";

/// The second form: `{"version":"2","config":{"Acl":"path_beg -i /x"}}`.
#[derive(Deserialize, Serialize)]
struct Second {
    version: Box<str>,
    #[serde(default)]
    config: BTreeMap<Arc<str>, Arc<str>>,
}

/// Makes entries of rules.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) source: Arc<str>,
    pub(super) suffix: ServiceName,
}

impl Parse for Rules {
    fn parse(&self, key: &Key, name: &str, bytes: &[u8]) -> Result<Entry, String> {
        let id = app_id(name)?;
        let service = service_of(&id, &self.suffix)?;
        if bytes.len() > RULE_BYTES_MAX {
            let length = bytes.len();
            return Err(format!("it has {length} bytes, more than {RULE_BYTES_MAX}"));
        }
        let (acl, config) = read(bytes)?;
        let rule = AppRule {
            id: id.into(),
            acl,
            config,
            path: key.as_str().into(),
            source: Arc::clone(&self.source),
        };
        Ok(Entry {
            about: About {
                app: None,
                rules: vec![Arc::new(rule)],
            },
            ..Entry::new(key.clone(), service, Vec::new())
        })
    }
}

type Settings = BTreeMap<Arc<str>, Arc<str>>;

/// Reads either form: what isn't the second one is an ACL as it stands there.
fn read(bytes: &[u8]) -> Result<(Arc<str>, Settings), String> {
    let second = serde_json::from_slice::<Second>(bytes).ok();
    if let Some(rule) = second.filter(|rule| *rule.version == *VERSION) {
        let acl = rule.config.get(ACL).cloned().unwrap_or_default();
        return Ok((acl, rule.config));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
    let text = text.trim();
    match (text.is_empty(), text.chars().any(char::is_control)) {
        (true, _) => Err("it is empty".to_owned()),
        (_, true) => Err("it has characters that no ACL has".to_owned()),
        // The words of a rule that only another version could read.
        (false, false) if text.starts_with('{') && serde_json::from_str::<Second>(text).is_ok() => {
            Err(format!("its form isn't version {VERSION}"))
        }
        (false, false) => {
            let acl: Arc<str> = text.into();
            Ok((Arc::clone(&acl), BTreeMap::from([(ACL.into(), acl)])))
        }
    }
}

/// Returns the data of a rule, in the second form.
pub fn rule_data(config: &BTreeMap<Arc<str>, Arc<str>>) -> Vec<u8> {
    let rule = Second {
        version: VERSION.into(),
        config: config.clone(),
    };
    serde_json::to_vec(&rule).expect("a map of texts is JSON")
}

/// Tells whether an app may be called so.
///
/// # Errors
///
/// Returns in words why not.
pub fn check_id(id: &str) -> Result<(), String> {
    let suffix = "app".parse().expect("it is a name");
    match id.split('/').skip(1).any(str::is_empty) {
        true => Err(format!("`{id}` is not the id of an app")),
        false => service_of(id, &suffix).map(drop),
    }
}

/// Returns the name of the znode of an app's rule, escaped as Go's `url.QueryEscape` does it.
pub fn rule_name(id: &str) -> String {
    let mut name = String::new();
    for byte in id.bytes() {
        match byte {
            b'-' | b'_' | b'.' | b'~' => name.push(char::from(byte)),
            b' ' => name.push('+'),
            byte if byte.is_ascii_alphanumeric() => name.push(char::from(byte)),
            byte => write!(name, "%{byte:02X}").expect("a string takes all"),
        }
    }
    name
}

/// Reads the app's id out of the name of a znode; it begins with a slash.
fn app_id(name: &str) -> Result<String, String> {
    let spaced = name.replace('+', " ");
    let mut bytes = Vec::new();
    let mut rest = spaced.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = more.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes
            .push(byte.ok_or_else(|| format!("its name `{name}` is not escaped as it should be"))?);
        rest = &more[2..];
    }
    let id = String::from_utf8(bytes).map_err(|_| format!("its name `{name}` is no text"))?;
    Ok(match id.starts_with('/') {
        true => id,
        false => format!("/{id}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, data: &str) -> Result<(String, String, usize), String> {
        let rules = Rules {
            source: "rules".into(),
            suffix: "app".parse().unwrap(),
        };
        let entry = rules.parse(&Key::new("/r"), name, data.as_bytes())?;
        let rule = &entry.about.rules[0];
        assert!(entry.instances.is_empty());
        let of = format!("{} {}", rule.id, entry.service.as_str());
        Ok((of, rule.acl.to_string(), rule.config.len()))
    }

    #[test]
    fn both_forms_are_read() {
        let good = |of: &str, acl: &str, settings| Ok((of.to_owned(), acl.to_owned(), settings));
        for (name, data, expected) in [
            (
                "%2FExampleAppGroup%2Fapp1",
                r#"{"version":"2","config":{"Acl":"path_beg -i /x","Priority":"7"}}"#,
                good(
                    "/ExampleAppGroup/app1 app1.exampleappgroup.app",
                    "path_beg -i /x",
                    2,
                ),
            ),
            (
                "%2Fweb",
                "hdr(host) -i foo\n",
                good("/web web.app", "hdr(host) -i foo", 1),
            ),
            ("web", r#"{"version":"2"}"#, good("/web web.app", "", 0)),
            ("%2Fa+b", "path /", good("/a b ab.app", "path /", 1)),
        ] {
            assert_eq!(parse(name, data), expected, "{name}");
        }
        for (name, data, reason) in [
            ("%2Fweb", "", "it is empty"),
            ("%2Fweb", "\u{0}\u{1}", "it has characters that no ACL has"),
            ("%2Fweb", r#"{"version":"3"}"#, "its form isn't version 2"),
            (
                "%2",
                "path /",
                "its name `%2` is not escaped as it should be",
            ),
            ("%FF", "path /", "its name `%FF` is no text"),
            (
                "%2F",
                "path /",
                "the app's id `/` has nothing that DNS can carry",
            ),
        ] {
            assert_eq!(parse(name, data).unwrap_err(), reason, "{name} {data}");
        }
    }

    #[test]
    fn what_is_written_is_what_bamboo_reads() {
        assert_eq!(
            rule_name("/ExampleAppGroup/app1"),
            "%2FExampleAppGroup%2Fapp1"
        );
        assert_eq!(rule_name("/a b~c.d-e_f"), "%2Fa+b~c.d-e_f");
        for id in ["/a b", "/ä/%/+"] {
            assert_eq!(app_id(&rule_name(id)).as_deref(), Ok(id));
        }
        let config = BTreeMap::from([("Acl".into(), "path_beg -i /x".into())]);
        assert_eq!(
            String::from_utf8(rule_data(&config)).unwrap(),
            r#"{"version":"2","config":{"Acl":"path_beg -i /x"}}"#
        );
    }
}
