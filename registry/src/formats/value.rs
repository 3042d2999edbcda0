//! JSON values as records hold them: numbers that are texts, keys under several names.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use crate::Port;

/// The longest piece of a record that an error shows, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// Reads a text as JSON.
pub(super) fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

/// Reads a text as a JSON object.
pub(super) fn object(text: &str) -> Result<Object, String> {
    match json(text)? {
        Value::Object(map) => Ok(Object(map)),
        other => Err(format!("`{}` is no JSON object", shown_value(&other))),
    }
}

/// Reads a port from a number or from a text that holds one.
pub(super) fn port(value: &Value) -> Result<u16, String> {
    Port::number(whole("port", value)?)
}

/// Reads a number from 0 to 65535, or from a text that holds one.
pub(super) fn small(what: &str, value: &Value) -> Result<u16, String> {
    let number = whole(what, value)?;
    u16::try_from(number).map_err(|_| format!("{what} {number} is not between 0 and 65535"))
}

/// Shortens a text to what an error can show.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

pub(super) fn shown_value(value: &Value) -> String {
    shown(&value.to_string())
}

fn whole(what: &str, value: &Value) -> Result<i64, String> {
    let number = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| format!("{what} `{}` is not a whole number", shown_value(value)))
}

/// Holds a JSON object, in which `null` is the same as a key that isn't there.
pub(super) struct Object(Map<String, Value>);

impl Object {
    /// Returns the value of the first of these keys that is there.
    pub(super) fn first(&self, keys: &[&str]) -> Option<&Value> {
        keys.iter()
            .filter_map(|key| self.0.get(*key))
            .find(|value| !value.is_null())
    }

    /// Returns the text under the first of these keys that is there.
    pub(super) fn text(&self, keys: &[&str]) -> Result<Option<&str>, String> {
        match self.first(keys) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => {
                let value = shown_value(other);
                Err(format!(
                    "`{}` is `{value}`, not a text",
                    keys.join("` or `")
                ))
            }
        }
    }

    /// Returns the host under the first of these keys, which must be there.
    pub(super) fn host(&self, keys: &[&str]) -> Result<&str, String> {
        match self.text(keys)? {
            Some(host) => Ok(host.trim()),
            None => Err(format!("`{}` is missing", keys.join("` or `"))),
        }
    }

    /// Returns the members of an object of texts; numbers and booleans count as texts, the rest
    /// doesn't.
    pub(super) fn texts(&self, keys: &[&str]) -> BTreeMap<Arc<str>, Arc<str>> {
        self.first(keys)
            .and_then(Value::as_object)
            .map(texts_of)
            .unwrap_or_default()
    }
}

/// Returns the members of an object that are texts, numbers or booleans.
pub(super) fn texts_of(map: &Map<String, Value>) -> BTreeMap<Arc<str>, Arc<str>> {
    map.iter()
        .filter_map(|(key, value)| {
            let text: Arc<str> = match value {
                Value::String(text) => text.as_str().into(),
                Value::Number(_) | Value::Bool(_) => value.to_string().into(),
                _ => return None,
            };
            Some((key.as_str().into(), text))
        })
        .collect()
}
