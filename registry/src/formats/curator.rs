//! Apache Curator's `ServiceInstance` as its JSON serializer writes it (curator-x-discovery, 5.9).
//!
//! `payload` belongs to the application; only Spring Cloud's `metadata` in it is looked at, whose
//! `instance_status` takes an instance out of service without deleting it (spring-cloud-zookeeper,
//! `StatusConstants`).

use serde_json::Value;

use super::{Record, value};
use crate::{Instance, Port, Protocol, State};

/// The keys that only Curator writes.
const MARKS: [&str; 4] = [
    "\"registrationTimeUTC\"",
    "\"serviceType\"",
    "\"sslPort\"",
    "\"uriSpec\"",
];

/// Tells Curator's objects from others by their keys.
pub(super) fn fits(text: &str) -> bool {
    text.starts_with('{') && MARKS.iter().any(|mark| text.contains(mark))
}

/// Reads one instance; a key that isn't there is like `null`, and an absent `enabled` is true.
pub(super) fn parse(text: &str, record: &Record<'_>) -> Result<Vec<Instance>, String> {
    let object = value::object(text)?;
    let mut instance = record.instance(object.text(&["id"])?.filter(|id| !id.is_empty()));
    instance.set_host(object.host(&["address"])?)?;
    if let Some(port) = object.first(&["port"]) {
        instance.ports.push(Port::tcp(value::port(port)?));
    }
    if let Some(port) = object.first(&["sslPort"]) {
        instance.ports.push(Port {
            name: Some("https".parse().expect("it is a label")),
            number: value::port(port)?,
            protocol: Protocol::Tcp,
        });
    }
    if let Some(Value::Object(metadata)) = object
        .first(&["payload"])
        .and_then(|payload| payload.get("metadata"))
    {
        instance.attributes = value::texts_of(metadata);
    }
    instance.state = match instance
        .attributes
        .get("instance_status")
        .map(AsRef::as_ref)
    {
        _ if object.first(&["enabled"]) == Some(&Value::Bool(false)) => State::Down,
        Some("OUT_OF_SERVICE" | "DOWN") => State::Down,
        Some("STARTING") => State::Starting,
        _ => State::Up,
    };
    Ok(vec![instance])
}
