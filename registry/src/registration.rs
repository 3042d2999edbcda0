//! How people and programs write an instance down: in files and to the admin API.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{Instance, InstanceId, Locality, Origin, Port, PortName, Ports, Protocol, State};

/// Describes an instance as a client registers it or a file lists it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// An address, v4 or v6, or a host name.
    pub address: String,
    /// The main port, 1 to 65535.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i64>,
    /// Ports by name: `{"http": 80}` or `{"dns": {"port": 53, "protocol": "udp"}}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<PortName, NamedPort>,
    /// 0 to 65535, 1 where it isn't given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// 0 to 65535, 0 where it isn't given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u16>,
    /// `up` where it isn't given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Free labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Arc<str>>,
    /// Free pairs of key and value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<Arc<str>, Arc<str>>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locality: Option<Box<Locality>>,
}

/// Gives a port that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum NamedPort {
    /// A TCP port.
    Number(i64),
    /// A port of any protocol.
    Full {
        /// 1 to 65535.
        port: i64,
        /// `tcp` or `udp`.
        protocol: Protocol,
    },
}

impl Registration {
    /// Makes an instance of it.
    ///
    /// # Errors
    ///
    /// Returns the reason in words when the address or a port is none, or there is no port at all.
    pub fn instance(&self, id: InstanceId, origin: Origin) -> Result<Instance, String> {
        let mut instance = Instance::new(id, origin);
        instance.set_host(&self.address)?;
        instance.ports = self.ports()?;
        instance.weight = self.weight.unwrap_or(Instance::WEIGHT_DEFAULT);
        instance.priority = self.priority.unwrap_or_default();
        instance.state = self.state.unwrap_or_default();
        instance.tags = BTreeSet::from_iter(self.tags.clone()).into_iter().collect();
        instance.attributes.clone_from(&self.attributes);
        instance.locality.clone_from(&self.locality);
        Ok(instance)
    }

    /// Lists the ports, the main one first; it has a name if one of the named ports is the same.
    fn ports(&self) -> Result<Ports, String> {
        let mut ports = Ports::with_capacity(self.ports.len() + 1);
        for (name, port) in &self.ports {
            let (number, protocol) = match *port {
                NamedPort::Number(number) => (number, Protocol::Tcp),
                NamedPort::Full { port, protocol } => (port, protocol),
            };
            ports.push(Port {
                name: Some(name.clone()),
                number: Port::number(number)?,
                protocol,
            });
        }
        if let Some(number) = self.port {
            let main = Port::tcp(Port::number(number)?);
            let named = |port: &Port| (port.number, port.protocol) == (main.number, main.protocol);
            match ports.iter().position(named) {
                Some(at) => ports[..=at].rotate_right(1),
                None => ports.insert(0, main),
            }
        }
        if ports.is_empty() {
            return Err("neither `port` nor `ports` is given".to_owned());
        }
        Ok(ports)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(json: &str) -> Result<Instance, String> {
        let registration: Registration =
            serde_json::from_str(json).map_err(|error| error.to_string())?;
        let origin = Origin {
            source: "s".into(),
            path: "p".into(),
            revision: None,
            since: None,
        };
        registration.instance(InstanceId::from_text("a"), origin)
    }

    fn ports(json: &str) -> Vec<(Option<String>, u16)> {
        let ports = instance(json).unwrap().ports.into_iter();
        ports
            .map(|port| (port.name.map(|name| name.to_string()), port.number))
            .collect()
    }

    #[test]
    fn the_main_port_comes_first() {
        let json = r#"{"address":"::1","port":8080,"ports":{"admin":9000,"http":8080}}"#;
        let named = |name: &str, number| (Some(name.to_owned()), number);
        assert_eq!(ports(json), [named("http", 8080), named("admin", 9000)]);
        let json = r#"{"address":"::1","port":80,"ports":{"admin":9000}}"#;
        assert_eq!(ports(json), [(None, 80), named("admin", 9000)]);
    }

    #[test]
    fn a_port_may_have_a_protocol() {
        let json = r#"{"address":"::1","ports":{"dns":{"port":53,"protocol":"udp"}}}"#;
        assert_eq!(instance(json).unwrap().ports[0].protocol, Protocol::Udp);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (json, reason) in [
            (
                r#"{"address":"10.0.0.1","port":70000}"#,
                "port 70000 is not between",
            ),
            (
                r#"{"address":"10.0.0","port":80}"#,
                "neither an address nor",
            ),
            (r#"{"address":"10.0.0.1"}"#, "neither `port` nor `ports`"),
            (r#"{"address":"::1","prot":1}"#, "unknown field `prot`"),
            (
                r#"{"address":"::1","ports":{"a b":1}}"#,
                "port name `a b` has ' '",
            ),
        ] {
            let error = instance(json).unwrap_err();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }
}
