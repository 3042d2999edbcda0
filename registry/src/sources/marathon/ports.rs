//! Which ports an app has, and where its tasks have them.

use std::sync::Arc;

use smallvec::SmallVec;

use super::record::{AppRecord, PortRecord, TaskRecord};
use crate::{Port, PortName, Protocol, sources::mesos::label};

/// The most ports of an app that are looked at.
const PORTS_MAX: usize = 256;

/// The ports of an app.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AppPorts {
    /// Whether each task has an address of its own, and its ports are those of its container.
    pub(super) of_container: bool,
    pub(super) all: Vec<Slot>,
}

/// One port of an app.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) name: Option<Arc<str>>,
    /// 0 when there is none.
    pub(super) service_port: u16,
    /// The port within the container, where it is said.
    pub(super) number: Option<u16>,
    pub(super) protocols: SmallVec<[Protocol; 2]>,
}

impl AppPorts {
    /// Reads an app's ports in their order, in which tasks have theirs.
    ///
    /// # Errors
    ///
    /// Returns in words which one can't be.
    pub(super) fn of(app: &AppRecord) -> Result<Self, String> {
        let container = app.container.as_ref();
        let docker = container.map(|one| &one.docker);
        let network = docker.and_then(|one| one.network.as_deref());
        let mode = app.networks.first().map(|one| one.mode.as_str());
        let is_bridge = mode == Some("container/bridge") || network == Some("BRIDGE");
        let of_container =
            mode == Some("container") || network == Some("USER") || app.ip_address.is_some();
        let discovery = app.ip_address.as_ref().map(|one| &one.discovery.ports);
        let mappings = [
            container.map(|one| &one.port_mappings),
            docker.map(|one| &one.port_mappings),
            discovery.filter(|_| of_container),
        ];
        let mut mappings = mappings.into_iter().flatten();
        let inner = mappings
            .find(|all| !all.is_empty())
            .filter(|_| is_bridge || of_container);
        let numbers: Vec<PortRecord>;
        let records = match (inner, app.port_definitions.is_empty()) {
            (Some(records), _) => records,
            (None, false) => &app.port_definitions,
            (None, true) => {
                let of = |number: &i64| PortRecord {
                    port: Some(*number),
                    ..PortRecord::default()
                };
                numbers = app.ports.iter().map(of).collect();
                &numbers
            }
        };
        if records.len() > PORTS_MAX {
            return Err(format!("it has more than {PORTS_MAX} ports"));
        }
        let all = records.iter().enumerate();
        let all = all.map(|(index, one)| Slot::of(one, app.ports.get(index).copied()));
        Ok(Self {
            of_container,
            all: all.collect::<Result<_, _>>()?,
        })
    }

    /// Lists the ports of a task, by the app's; none where the task has none.
    ///
    /// # Errors
    ///
    /// Returns in words which one can't be.
    pub(super) fn of_task(&self, task: &TaskRecord) -> Result<Vec<Vec<Port>>, String> {
        let inner = self.of_container && self.all.iter().all(|slot| slot.number.is_some());
        let numbers: Vec<u16> = match (inner, task.ports.is_empty()) {
            (true, _) => self.all.iter().filter_map(|slot| slot.number).collect(),
            (false, false) => {
                let numbers = task.ports.iter().take(PORTS_MAX);
                numbers
                    .map(|number| Port::number(*number))
                    .collect::<Result<_, _>>()?
            }
            // With `requirePorts`, old versions say it once for all.
            (false, true) => {
                let numbers = self.all.iter().map(|slot| slot.service_port);
                numbers.take_while(|number| *number != 0).collect()
            }
        };
        let all = numbers.into_iter().enumerate();
        let all = all.map(|(index, number)| match self.all.get(index) {
            Some(slot) => slot.ports(number),
            None => vec![Port::tcp(number)],
        });
        Ok(all.collect())
    }
}

impl Slot {
    fn of(record: &PortRecord, listed: Option<i64>) -> Result<Self, String> {
        let service_port = record.port.or(record.service_port).or(listed);
        let number = record.container_port.or(record.number);
        // 0 stands for one that Marathon chooses.
        let known = |number: Option<i64>| number.filter(|number| *number != 0);
        Ok(Self {
            name: record.name.clone().filter(|name| !name.is_empty()),
            service_port: known(service_port).map_or(Ok(0), Port::number)?,
            number: known(number).map(Port::number).transpose()?,
            protocols: protocols(&record.protocol)?,
        })
    }

    fn ports(&self, number: u16) -> Vec<Port> {
        let name: Option<PortName> = self
            .name
            .as_deref()
            .and_then(|name| label(name).parse().ok());
        let all = self.protocols.iter().map(|protocol| Port {
            name: name.clone(),
            number,
            protocol: *protocol,
        });
        all.collect()
    }
}

/// Reads `tcp`, `udp` or both; nothing stands for TCP.
fn protocols(text: &str) -> Result<SmallVec<[Protocol; 2]>, String> {
    if text.is_empty() {
        return Ok(SmallVec::from_slice(&[Protocol::Tcp]));
    }
    let all = text.split(',').map(|one| match one.trim() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        _ => Err(format!("`{text}` is neither tcp nor udp")),
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ports(mut app: Value) -> AppPorts {
        app["id"] = json!("/web");
        AppPorts::of(&serde_json::from_value(app).unwrap()).unwrap()
    }

    /// The numbers of a task's ports, and what clients know them by.
    fn numbers(app: Value, task: Value) -> (Vec<u16>, Vec<u16>) {
        let ports = ports(app);
        let mut task = task;
        task["id"] = json!("t");
        let task = ports.of_task(&serde_json::from_value(task).unwrap());
        let task = task.unwrap().iter().map(|all| all[0].number).collect();
        (task, ports.all.iter().map(|one| one.service_port).collect())
    }

    #[test]
    fn the_ports_of_a_host_are_those_that_the_task_got() {
        let definitions = json!({"portDefinitions": [
            {"port": 10001, "protocol": "tcp", "name": "http"}, {"port": 0, "protocol": "udp"}]});
        let task = json!({"ports": [31001, 31002, 31003]});
        assert_eq!(
            numbers(definitions.clone(), task.clone()),
            (vec![31001, 31002, 31003], vec![10001, 0])
        );
        assert_eq!(numbers(json!({"ports": [80]}), task).1, [80]);
        let fixed = json!({"ports": [8080, 8081], "requirePorts": true});
        assert_eq!(numbers(fixed, json!({})).0, [8080, 8081]);
        let all = ports(definitions);
        assert_eq!(all.all[0].name.as_deref(), Some("http"));
        assert_eq!(all.all[1].protocols[..], [Protocol::Udp]);
    }

    #[test]
    fn a_bridge_has_the_ports_of_the_host_and_a_container_its_own() {
        let mappings = json!([{"containerPort": 80, "hostPort": 0, "servicePort": 10002},
            {"containerPort": 0, "servicePort": 10003}]);
        let task = json!({"ports": [31001, 31002]});
        for bridge in [
            json!({"networks": [{"mode": "container/bridge"}], "container": {"portMappings": mappings}}),
            json!({"container": {"docker": {"network": "BRIDGE", "portMappings": mappings}}}),
        ] {
            let expected = (vec![31001, 31002], vec![10002, 10003]);
            assert_eq!(numbers(bridge, task.clone()), expected);
        }
        let own = json!([{"containerPort": 80, "servicePort": 10002}, {"containerPort": 443}]);
        let container = json!({"networks": [{"mode": "container", "name": "dcos"}],
            "container": {"portMappings": own}});
        assert_eq!(
            numbers(container, json!({})),
            (vec![80, 443], vec![10002, 0])
        );
        let old = json!({"ports": [10009], "ipAddress": {"discovery": {"ports":
            [{"number": 8080, "name": "http", "protocol": "tcp"}]}}});
        assert_eq!(
            numbers(old, json!({"ports": []})),
            (vec![8080], vec![10009])
        );
    }

    #[test]
    fn ports_that_can_not_be_are_told() {
        let app = json!({"id": "/web", "portDefinitions": [{"port": 70000}]});
        let app = serde_json::from_value(app).unwrap();
        assert!(AppPorts::of(&app).unwrap_err().contains("70000"));
        let task = json!({"id": "t", "ports": [0]});
        let task = ports(json!({})).of_task(&serde_json::from_value(task).unwrap());
        assert!(task.unwrap_err().contains("port 0"));
    }
}
