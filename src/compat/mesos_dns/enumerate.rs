//! `/v1/enumerate` and `/v1/axfr`: everything.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use dns::{Authority, Record, Zones};
use registry::{Instance, Service, Snapshot};
use serde_json::{Map, Value, json};

/// The tasks of a framework by their ids: what each is called, and its records.
type Tasks = BTreeMap<String, (String, Vec<Value>)>;

/// Lists the tasks of every framework, and the records of each.
///
/// A record that several tasks have is listed with the first of them.
pub(super) fn tasks(zones: &Zones, domain: &str, snapshot: &Snapshot) -> Value {
    let mut frameworks: BTreeMap<String, Tasks> = BTreeMap::new();
    let mut seen = HashSet::new();
    for service in snapshot.services().values() {
        for instance in &service.instances {
            let attribute = |key: &str| instance.attributes.get(key).map(|value| &**value);
            match attribute("mesos") {
                Some("framework") => {
                    frameworks.entry(service.name.to_string()).or_default();
                }
                Some("task" | "slave-task") => {
                    let framework = attribute("framework").unwrap_or_default();
                    let id = attribute("task").unwrap_or_default().to_owned();
                    let tasks = frameworks.entry(framework.to_owned()).or_default();
                    let name = || task_name(service, framework);
                    let (_, records) = tasks.entry(id).or_insert_with(|| (name(), Vec::new()));
                    records.extend(records_of(zones, domain, service, instance, &mut seen));
                }
                _ => {}
            }
        }
    }
    let frameworks = frameworks.into_iter().map(|(name, tasks)| {
        let tasks = tasks.into_iter().map(|(id, (name, records))| {
            let records = Some(records).filter(|records| !records.is_empty());
            json!({"name": name, "id": id, "records": records})
        });
        json!({"tasks": tasks.collect::<Vec<_>>(), "name": name})
    });
    let frameworks: Vec<_> = frameworks.collect();
    json!({"frameworks": Some(frameworks).filter(|all| !all.is_empty())})
}

/// Returns the task's part of a service's name.
fn task_name(service: &Service, framework: &str) -> String {
    let name = service.name.as_str();
    let name = name.strip_suffix(".slave").unwrap_or(name);
    let task = name.strip_suffix(framework);
    let task = task.and_then(|task| task.strip_suffix('.'));
    task.unwrap_or(name).to_owned()
}

/// Lists the records that an instance has by itself, but for those `seen` before.
fn records_of(
    zones: &Zones,
    domain: &str,
    service: &Service,
    instance: &Arc<Instance>,
    seen: &mut HashSet<(String, Record)>,
) -> Vec<Value> {
    let alone = Service {
        instances: vec![Arc::clone(instance)],
        ..service.clone()
    };
    let named = zones.named_of(domain, &alone).into_iter();
    let records = named.flat_map(|one| {
        let name = one.name;
        one.records
            .into_iter()
            .map(move |record| (name.clone(), record))
    });
    let new = records.filter(|record| seen.insert(record.clone()));
    let new = new.map(|(name, record)| {
        let (kind, host) = told(&record);
        json!({"name": name, "host": host, "rtype": kind})
    });
    new.collect()
}

/// Lists the whole zone.
pub(super) fn zone(zones: &Zones, domain: &str, refresh: u64) -> Value {
    let mut lists = [("A", "As"), ("AAAA", "AAAAs"), ("SRV", "SRVs")].map(|(kind, list)| {
        let names: Map<String, Value> = Map::new();
        (kind, list, names)
    });
    for one in zones.named(domain).unwrap_or_default() {
        for record in &one.records {
            let (kind, host) = told(record);
            let found = lists.iter_mut().find(|(other, ..)| *other == kind);
            let names = found.map(|(_, _, names)| names.entry(&one.name));
            if let Some(all) =
                names.and_then(|entry| entry.or_insert_with(|| json!([])).as_array_mut())
            {
                all.push(host.into());
            }
        }
    }
    let records: Map<_, _> = lists
        .into_iter()
        .map(|(_, list, names)| (list.to_owned(), names.into()))
        .collect();
    let Authority {
        name_server,
        hostmaster,
        ttl,
        times: [serial, ..],
    } = zones.authority(domain).unwrap_or_default();
    json!({
        "TTL": ttl,
        "Serial": serial,
        "RefreshSeconds": refresh,
        "Mname": name_server,
        "Rname": hostmaster,
        "Domain": domain,
        "Records": records,
    })
}

/// Returns a record's type and what it says.
fn told(record: &Record) -> (&'static str, String) {
    match record {
        Record::Address(address) if address.is_ipv4() => ("A", address.to_string()),
        Record::Address(address) => ("AAAA", address.to_string()),
        Record::Port { number, target } => ("SRV", format!("{target}:{number}")),
    }
}
