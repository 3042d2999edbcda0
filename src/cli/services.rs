//! `signpost services`

use clap::Args;
use serde_json::Value;

use super::{Failure, Output, OutputArgs, block_on, client::Client, say, table};

/// List services, or show one
#[derive(Debug, Args)]
pub(super) struct Services {
    /// The service to show; all are listed without one
    name: Option<String>,
    #[command(flatten)]
    client: Client,
    #[command(flatten)]
    output: OutputArgs,
}

impl Services {
    pub(super) fn run(self) -> Result<(), Failure> {
        let path = match &self.name {
            None => "/v1/services".to_owned(),
            Some(name) => format!("/v1/services/{name}"),
        };
        let value = block_on(self.client.get(&path))?;
        say(&match (self.output.output, &self.name) {
            (Output::Json, _) => format!("{value:#}"),
            (Output::Table, None) => services(&value),
            (Output::Table, Some(_)) => instances(&value),
        })
    }
}

fn services(value: &Value) -> String {
    let mut rows = vec![row(&["SERVICE", "AVAILABLE", "INSTANCES", "DRAINING"])];
    for service in items(&value["services"]) {
        rows.push(vec![
            text(&service["name"]),
            text(&service["available"]),
            text(&service["instances"]),
            text(&service["draining"]),
        ]);
    }
    for (name, draining) in value["gone"].as_object().into_iter().flatten() {
        let none = || "0".to_owned();
        rows.push(vec![name.clone(), none(), none(), text(draining)]);
    }
    table(&rows)
}

fn instances(value: &Value) -> String {
    let mut rows = vec![row(&[
        "INSTANCE",
        "ADDRESSES",
        "PORTS",
        "WEIGHT",
        "STATE",
        "HEALTH",
        "ORIGIN",
    ])];
    for instance in items(&value["instances"]) {
        let addresses: Vec<_> = items(&instance["addresses"]).map(text).collect();
        let ports: Vec<_> = items(&instance["ports"]).map(port).collect();
        let origin = &instance["origin"];
        rows.push(vec![
            text(&instance["id"]),
            addresses.join(","),
            ports.join(","),
            text(&instance["weight"]),
            state(instance),
            health(&value["health"], instance),
            format!("{}:{}", text(&origin["source"]), text(&origin["path"])),
        ]);
    }
    table(&rows)
}

/// Says how an instance is by what was seen; empty where nobody looks.
fn health(health: &Value, instance: &Value) -> String {
    let seen = &health["instances"][instance["id"].as_str().unwrap_or_default()];
    let verdict = text(&seen["verdict"]).replace('_', " ");
    let ignored = health["fail_open"] == true && matches!(&*verdict, "check failed" | "ejected");
    match (ignored, seen["share"].as_u64()) {
        (true, _) => format!("{verdict} (ignored)"),
        (false, Some(share)) if share < 100 => format!("{verdict} ({share} %)"),
        _ => verdict,
    }
}

/// Says how an instance is, and how far it has come when it drains.
fn state(instance: &Value) -> String {
    let state = text(&instance["state"]);
    let drain = &instance["drain"];
    let count = |what: &str| match drain[what].as_u64() {
        None | Some(0) => String::new(),
        Some(count) => format!(", {what} {count}"),
    };
    match drain["phase"].as_str() {
        Some(phase) => format!("{state} ({phase}{}{})", count("requests"), count("tunnels")),
        None => state,
    }
}

fn port(port: &Value) -> String {
    let number = text(&port["number"]);
    let number = match port["protocol"].as_str() {
        Some("udp") => format!("{number}/udp"),
        _ => number,
    };
    match port["name"].as_str() {
        Some(name) => format!("{name}={number}"),
        None => number,
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn health_is_shown_where_somebody_looks() {
        let instance = json!({"id": "a"});
        let shown = |seen: Value, fail_open: bool| {
            let instances = json!({"a": seen});
            health(
                &json!({"fail_open": fail_open, "instances": instances}),
                &instance,
            )
        };
        let failed = json!({"verdict": "check_failed", "share": 100});
        assert_eq!(shown(failed.clone(), false), "check failed");
        assert_eq!(shown(failed, true), "check failed (ignored)");
        let slow = json!({"verdict": "healthy", "share": 30});
        assert_eq!(shown(slow, false), "healthy (30 %)");
        assert_eq!(health(&Value::Null, &instance), "");
    }
}
