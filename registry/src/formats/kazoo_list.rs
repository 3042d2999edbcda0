//! `["127.0.0.1", "9099"]`: a JSON list of host and port.

use serde_json::Value;

use super::{Record, value};
use crate::{Instance, Port};

/// Tells a JSON list from an IPv6 address in brackets.
pub(super) fn fits(text: &str) -> bool {
    text.starts_with('[') && !text.contains("]:")
}

/// Reads host and port; further elements mean nothing here.
pub(super) fn parse(text: &str, record: &Record<'_>) -> Result<Vec<Instance>, String> {
    let list = match value::json(text)? {
        Value::Array(list) => list,
        other => {
            let shown = value::shown_value(&other);
            return Err(format!("`{shown}` is no list of host and port"));
        }
    };
    let [host, port, ..] = list.as_slice() else {
        let length = list.len();
        return Err(format!("a list of {length} elements, not of host and port"));
    };
    let Value::String(host) = host else {
        let shown = value::shown_value(host);
        return Err(format!("host `{shown}` is not a text"));
    };
    let mut instance = record.instance(None);
    instance.set_host(host.trim())?;
    instance.ports.push(Port::tcp(value::port(port)?));
    Ok(vec![instance])
}
