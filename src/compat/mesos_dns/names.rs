//! `/v1/hosts` and `/v1/services`: what is at one name.

use dns::{Record, Zones};
use serde_json::{Value, json};

/// Lists the addresses of a host, those of version 4 first; one empty object where there are none.
pub(super) fn hosts(zones: &Zones, host: &str) -> Value {
    let host = format!("{}.", plain(host));
    let addresses = zones.lookup(&host).into_iter();
    let entries = addresses.filter_map(|record| match record {
        Record::Address(address) => Some(json!({"host": host, "ip": address.to_string()})),
        Record::Port { .. } => None,
    });
    let entries: Vec<_> = entries.collect();
    match entries.is_empty() {
        true => json!([{"host": "", "ip": ""}]),
        false => entries.into(),
    }
}

/// Lists the ports of a service, each with one address of either version of its host; one empty object
/// where there are none.
pub(super) fn services(zones: &Zones, service: &str) -> Value {
    let mut entries = Vec::new();
    for record in zones.lookup(&plain(service)) {
        let Record::Port { number, target } = record else {
            continue;
        };
        let mut addresses = zones
            .lookup(&target)
            .into_iter()
            .filter_map(|record| match record {
                Record::Address(address) => Some(address),
                Record::Port { .. } => None,
            });
        let first = addresses.next();
        let other =
            addresses.find(|one| first.is_some_and(|first| first.is_ipv4() != one.is_ipv4()));
        for address in first.into_iter().chain(other) {
            entries.push(json!({
                "service": service,
                "host": target,
                "ip": address.to_string(),
                "port": number.to_string(),
            }));
        }
    }
    match entries.is_empty() {
        true => json!([{"service": "", "host": "", "ip": "", "port": ""}]),
        false => entries.into(),
    }
}

/// Takes a name's final dot and its `.*` away, and writes it in lower case.
fn plain(name: &str) -> String {
    let name = name.trim_end_matches('.').replace(".*", "");
    name.to_ascii_lowercase()
}
