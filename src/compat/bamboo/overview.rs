//! What the page shows: apps and rules side by side, with the instances.

use std::{collections::BTreeMap, sync::Arc};

use registry::{App, AppRule, Instance, Service, Snapshot};
use serde_json::{Value, json};

use super::{rules::PRIORITY, state};
use crate::compat::Dynamic;

/// How many instances of an app are listed; all are counted.
const INSTANCES_MAX: usize = 500;

/// An app, its rule, or both.
type Row<'a> = (
    Option<(&'a Arc<App>, &'a Arc<Service>)>,
    Option<&'a Arc<AppRule>>,
);

/// Makes what the page shows.
pub(super) fn overview(snapshot: &Snapshot, dynamic: &Dynamic) -> Value {
    let mut rows: BTreeMap<&str, Row<'_>> = BTreeMap::new();
    for (app, service) in state::apps(snapshot) {
        rows.entry(&app.id).or_default().0 = Some((app, service));
    }
    for rule in state::rules(snapshot) {
        rows.entry(&rule.id).or_default().1 = Some(rule);
    }
    let rows = rows.into_iter().map(|(id, row)| shown(id, row, dynamic));
    json!({
        "version": snapshot.version(),
        "stale": snapshot.stale(),
        "rows": rows.collect::<Vec<_>>(),
    })
}

fn shown(id: &str, (app, rule): Row<'_>, dynamic: &Dynamic) -> Value {
    let instances = app.map(|(_, service)| service.instances.as_slice());
    let instances = instances.unwrap_or_default();
    let up = instances.iter().filter(|one| one.exclusion().is_none());
    let listed = instances.iter().take(INSTANCES_MAX);
    let refused = dynamic.refused.iter();
    let prefix = format!("{id} ");
    let refused = refused.filter(|one| {
        let of_rule = rule.is_some_and(|rule| *rule.path == *one.path);
        of_rule || one.path == id || one.path.starts_with(&prefix)
    });
    let refused = refused.map(|one| match one.path.strip_prefix(&prefix) {
        Some(label) => format!("{label}: {}", one.reason),
        None => one.reason.clone(),
    });
    json!({
        "id": id,
        "service": app.map(|(_, service)| service.name.as_str()),
        "isApp": app.is_some(),
        "rule": rule.map(|rule| json!({
            "acl": rule.acl,
            "priority": rule.config.get(PRIORITY),
            "config": rule.config,
            "source": rule.source,
            "path": rule.path,
        })),
        "refused": refused.collect::<Vec<_>>(),
        "up": up.count(),
        "count": instances.len(),
        "instances": listed.map(|one| instance(one)).collect::<Vec<_>>(),
    })
}

fn instance(instance: &Instance) -> Value {
    let port = instance.ports.first().map(|port| port.number);
    json!({
        "id": instance.id.as_str(),
        "host": state::host(instance),
        "port": port,
        "state": instance.state,
        "reason": instance.exclusion().map(|why| why.to_string()),
        "task": instance.attributes.get("task"),
        "taskState": instance.attributes.get("state"),
        "source": instance.origin.source,
        "path": instance.origin.path,
    })
}
