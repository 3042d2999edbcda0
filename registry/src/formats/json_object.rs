//! `{"host": "10.0.0.1", "port": 80, ...}`: what people invent, and what SmartStack's Nerve writes.
//!
//! The object may say more: `id`, `ports` (names and numbers), `weight`, `priority`, `state`,
//! `tags`, and pairs of texts under `attributes`, `metadata` or `labels`. `name` is left alone:
//! some write the instance's there, some the service's.

use serde_json::Value;

use super::{
    Record,
    value::{self, Object},
};
use crate::{Instance, Port, PortName, Ports, Protocol, State};

/// Any object that no other format wants might be one.
pub(super) fn fits(text: &str) -> bool {
    text.starts_with('{')
}

/// Reads one instance.
pub(super) fn parse(text: &str, record: &Record<'_>) -> Result<Vec<Instance>, String> {
    let object = value::object(text)?;
    let mut instance = record.instance(object.text(&["id"])?.filter(|id| !id.is_empty()));
    instance.set_host(object.host(&["host", "address", "ip"])?)?;
    instance.ports = ports(&object)?;
    if let Some(weight) = object.first(&["weight"]) {
        instance.weight = value::small("weight", weight)?;
    }
    if let Some(priority) = object.first(&["priority"]) {
        instance.priority = value::small("priority", priority)?;
    }
    if let Some(state) = object.text(&["state"])? {
        instance.state = self::state(state)?;
    }
    if let Some(Value::Array(tags)) = object.first(&["tags"]) {
        instance.tags = tags
            .iter()
            .filter_map(Value::as_str)
            .map(Into::into)
            .collect();
        instance.tags.sort();
    }
    instance.attributes = object.texts(&["attributes", "metadata", "labels"]);
    Ok(vec![instance])
}

/// Reads the main port and the named ones; one of the two must be there.
fn ports(object: &Object) -> Result<Ports, String> {
    let mut ports = Ports::new();
    if let Some(port) = object.first(&["port"]) {
        ports.push(Port::tcp(value::port(port)?));
    }
    match object.first(&["ports"]) {
        None => {}
        Some(Value::Object(named)) => {
            for (name, number) in named {
                let name: PortName = name.parse().map_err(|error| format!("{error}"))?;
                ports.push(Port {
                    number: value::port(number)?,
                    name: Some(name),
                    protocol: Protocol::Tcp,
                });
            }
        }
        Some(other) => {
            let shown = value::shown_value(other);
            return Err(format!(
                "`ports` is `{shown}`, not an object of names and numbers"
            ));
        }
    }
    if ports.is_empty() {
        return Err("`port` is missing".to_owned());
    }
    Ok(ports)
}

fn state(text: &str) -> Result<State, String> {
    match text {
        "starting" => Ok(State::Starting),
        "up" => Ok(State::Up),
        "draining" => Ok(State::Draining),
        "down" => Ok(State::Down),
        _ => {
            let shown = value::shown(text);
            Err(format!(
                "state `{shown}` is none of starting, up, draining, down"
            ))
        }
    }
}
