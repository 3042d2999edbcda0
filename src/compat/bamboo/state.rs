//! Apps and rules in Bamboo's JSON.

use std::sync::Arc;

use registry::{App, AppRule, Instance, Service, Snapshot};
use serde_json::{Map, Value, json};

/// Lists the apps, each with the service of its first port, sorted by id.
pub(super) fn apps(snapshot: &Snapshot) -> Vec<(&Arc<App>, &Arc<Service>)> {
    let services = snapshot.services().values();
    let apps = services.filter_map(|service| Some((service.about.app.as_ref()?, service)));
    // What is made of several apps is none to Marathon, unless it is called as one of them.
    let is_one = |app: &App| app.colours.is_empty() || app.colours.contains(&app.id);
    let mut apps: Vec<_> = apps.filter(|(app, _)| is_one(app)).collect();
    apps.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
    apps
}

/// Lists all rules.
pub(super) fn rules(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<AppRule>> {
    let services = snapshot.services().values();
    services.flat_map(|service| &service.about.rules)
}

/// Makes `/api/state`.
pub(super) fn state(snapshot: &Snapshot) -> Value {
    let apps = apps(snapshot).into_iter();
    let apps: Vec<_> = apps.map(|(one, service)| app(one, service)).collect();
    json!({ "Apps": apps, "Services": services(snapshot) })
}

/// Makes `/api/services`.
pub(super) fn services(snapshot: &Snapshot) -> Value {
    let rules = rules(snapshot).map(|rule| {
        let config = (!rule.config.is_empty()).then_some(&rule.config);
        let shown = json!({ "Id": rule.id, "Acl": rule.acl, "Config": config });
        (rule.id.to_string(), shown)
    });
    Value::Object(rules.collect::<Map<_, _>>())
}

fn app(app: &App, service: &Service) -> Value {
    let mut https = app.checks.iter();
    let http = https.find(|check| matches!(&*check.protocol, "HTTP" | "HTTPS"));
    let checks = app.checks.iter().map(|check| {
        json!({
            "Protocol": check.protocol,
            "Path": check.path,
            "PortIndex": check.port_index.unwrap_or(0),
        })
    });
    let own = app.ports.iter().filter(|_| app.has_own_address);
    let discovered = own.filter_map(|port| {
        let number = port.number?;
        let name = port.name.as_deref().unwrap_or_default();
        Some(json!({ "number": number, "name": name, "protocol": port.protocol }))
    });
    let discovered: Vec<_> = discovered.collect();
    let ports: Vec<_> = app.ports.iter().map(|port| port.service_port).collect();
    let own = service.instances.iter();
    let own = own.filter(|one| one.attributes.get("app").is_none_or(|id| *id == app.id));
    let tasks = own.filter_map(|one| task(one));
    json!({
        "Id": app.id,
        "MesosDnsId": mesos_dns_id(&app.id),
        "EscapedId": app.id.replace('/', "::"),
        "HealthCheckPath": http.map_or("", |check| &check.path),
        "HealthCheckProtocol": http.map_or("", |check| &check.protocol),
        "HealthChecks": checks.collect::<Vec<_>>(),
        "ReadinessCheckPath": app.readiness_path.as_deref().unwrap_or_default(),
        "Tasks": tasks.collect::<Vec<_>>(),
        "ServicePort": ports.first().copied().unwrap_or_default(),
        "ServicePorts": (!ports.is_empty()).then_some(&ports),
        "Env": app.env,
        "Labels": app.labels,
        "SplitId": app.id.split('/').collect::<Vec<_>>(),
        "ipAddress": { "discovery": { "ports": (!discovered.is_empty()).then_some(discovered) } },
    })
}

/// Makes a task of an instance; there is none without a place.
fn task(instance: &Instance) -> Option<Value> {
    let attribute = |name: &str| instance.attributes.get(name).map(|value| &**value);
    let mut ports: Vec<u16> = instance.ports.iter().map(|port| port.number).collect();
    // One that is for TCP and UDP stands there twice.
    ports.dedup();
    Some(json!({
        "Id": attribute("task")?,
        "Host": host(instance)?,
        "Port": ports.first()?,
        "Ports": ports,
        "Alive": attribute("alive") != Some("false"),
        "State": attribute("state").unwrap_or_default(),
        "Ready": attribute("state") == Some("TASK_RUNNING") && attribute("ready") != Some("false"),
    }))
}

/// Returns where an instance is, as its record says it.
pub(super) fn host(instance: &Instance) -> Option<String> {
    let host = instance.host.as_ref().map(ToString::to_string);
    host.or_else(|| instance.addresses.first().map(ToString::to_string))
}

/// Makes `app-group-nested` of `/nested/group/app`.
fn mesos_dns_id(id: &str) -> String {
    let parts = id.rsplit('/').filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Bamboo's own test asks for.
    #[test]
    fn ids_are_turned_around_for_mesos_dns() {
        for (id, expected) in [
            ("appname", "appname"),
            ("/group/appname", "appname-group"),
            ("//group/again//appname/", "appname-again-group"),
        ] {
            assert_eq!(mesos_dns_id(id), expected);
        }
    }
}
