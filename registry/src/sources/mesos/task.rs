//! One task: what is known of it, and what it becomes in the registry.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use smallvec::SmallVec;

use super::{
    config::IpSource,
    draft::Draft,
    labels,
    members::Agent,
    record::{Discovery, PORTS_MAX, StatusRecord, TaskRecord, TaskState},
};
use crate::{Instance, InstanceId, Port, PortName, Protocol, State, instance::address};

/// The labels in which containerizers note addresses.
const DOCKER_LABEL: &str = "Docker.NetworkSettings.IPAddress";
const MESOS_LABEL: &str = "MesosContainerizer.NetworkSettings.IPAddress";

/// The alphabet of z-base-32.
const ZBASE32: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";

/// Holds what is known of a task.
#[derive(Debug, Clone)]
pub(super) struct Task {
    id: Arc<str>,
    pub(super) agent: Arc<str>,
    name: String,
    pub(super) state: TaskState,
    discovery: Option<Discovery>,
    resources: Vec<(i64, i64)>,
    netinfo: Seen<Vec<String>>,
    docker: Seen<Vec<String>>,
    mesos: Seen<Vec<String>>,
    healthy: Seen<bool>,
}

/// The newest thing that statuses say, and when.
///
/// A status that says nothing of it changes nothing: those of health checks know no networks.
#[derive(Debug, Clone, Default)]
struct Seen<T>(Option<(f64, T)>);

impl<T> Seen<T> {
    fn take(&mut self, at: f64, value: T) {
        // Of two of the same time the first counts.
        if self.0.as_ref().is_none_or(|(newest, _)| *newest < at) {
            self.0 = Some((at, value));
        }
    }

    fn get(&self) -> Option<&T> {
        self.0.as_ref().map(|(_, value)| value)
    }
}

/// Says where in DNS a task stands.
pub(super) struct Place<'a> {
    /// Its framework's labels.
    pub(super) framework: &'a str,
    pub(super) agent: &'a Agent,
}

impl Task {
    pub(super) fn new(record: TaskRecord) -> Self {
        let mut task = Self {
            id: record.id.0,
            agent: record.slave_id.0,
            name: record.name,
            state: record.state,
            discovery: record.discovery.filter(|one| !one.name.is_empty()),
            resources: record.resources,
            netinfo: Seen(None),
            docker: Seen(None),
            mesos: Seen(None),
            healthy: Seen(None),
        };
        record.statuses.iter().for_each(|one| task.absorb(one));
        task
    }

    /// Takes what a status says of a task that runs.
    pub(super) fn absorb(&mut self, status: &StatusRecord) {
        if status.state != TaskState::Running {
            return;
        }
        let at = status.timestamp;
        let owned = |texts: &mut dyn Iterator<Item = &str>| -> Vec<String> {
            texts.map(str::to_owned).collect()
        };
        for (seen, texts) in [
            (&mut self.netinfo, owned(&mut status.network_addresses())),
            (
                &mut self.docker,
                owned(&mut status.label_values(DOCKER_LABEL)),
            ),
            (
                &mut self.mesos,
                owned(&mut status.label_values(MESOS_LABEL)),
            ),
        ] {
            if !texts.is_empty() {
                seen.take(at, texts);
            }
        }
        if let Some(healthy) = status.healthy {
            self.healthy.take(at, healthy);
        }
    }

    /// Returns how it is; `None` when it isn't any more.
    fn state(&self) -> Option<State> {
        match self.state {
            TaskState::Starting => Some(State::Starting),
            TaskState::Running if self.healthy.get() == Some(&false) => Some(State::Down),
            TaskState::Running => Some(State::Up),
            TaskState::Killing => Some(State::Draining),
            TaskState::Unreachable => Some(State::Down),
            TaskState::Over => None,
        }
    }

    /// Tells whether it is of interest.
    pub(super) fn is_over(&self) -> bool {
        self.state().is_none()
    }

    /// Makes what it is in the registry: an instance of the service `T.F` at its own addresses, one of
    /// `T.F.slave` at those of its agent, and the same two for a name with dots that it was given.
    ///
    /// # Errors
    ///
    /// Returns in words why there is no name for it.
    pub(super) fn drafts(
        &self,
        place: &Place<'_>,
        ip_sources: &[IpSource],
        left_out: &mut Vec<String>,
    ) -> Result<Vec<Draft>, String> {
        let Some(state) = self.state() else {
            return Ok(Vec::new());
        };
        let given = self.discovery.as_ref().map(|one| one.name.as_str());
        let name = given.unwrap_or(&self.name);
        let label = labels::label(name);
        if label.is_empty() {
            return Err(format!(
                "its name `{}` has nothing that DNS can carry",
                shown(name)
            ));
        }
        // Names with dots are several labels; in a group of Marathon that is how people know it.
        let raw = given.map(str::to_ascii_lowercase);
        let raw = raw.filter(|raw| *raw != label && raw.contains('.'));
        let resources = self.resource_ports(left_out);
        let own_ports = match &self.discovery {
            Some(discovery) => discovery_ports(discovery, left_out),
            None => resources.clone(),
        };
        let addresses = self.addresses(place.agent, ip_sources, left_out);
        let mut drafts = Vec::new();
        for task in [Some(label.as_str()), raw.as_deref()].into_iter().flatten() {
            let attributes = self.attributes(place.framework, given);
            let id = self.instance_id(task);
            let on = |suffix: &str| format!("{task}.{}{suffix}", place.framework);
            let draft = |service: String, kind: &str| Draft {
                service,
                id: id.clone(),
                state,
                hosts: Vec::new(),
                ports: Vec::new(),
                kind: kind.into(),
                attributes: attributes.clone(),
            };
            drafts.push(Draft {
                hosts: addresses.clone(),
                ports: own_ports.clone(),
                ..draft(on(""), "task")
            });
            drafts.push(Draft {
                hosts: vec![place.agent.host.clone()],
                ports: resources.clone(),
                ..draft(on(".slave"), "slave-task")
            });
        }
        Ok(drafts)
    }

    /// Makes the last label of its canonical name, `<task>-<hash of the id>-<end of the agent's id>`.
    fn instance_id(&self, task: &str) -> InstanceId {
        let last = task.rsplit('.').next().unwrap_or(task);
        let tail = self.agent.rsplit('-').next().unwrap_or_default();
        let tail = labels::label(tail);
        InstanceId::from_text(&format!("{last}-{}-{tail}", hash(&self.id)))
    }

    fn attributes(&self, framework: &str, given: Option<&str>) -> BTreeMap<Arc<str>, Arc<str>> {
        let pairs = [
            ("framework", Some(framework)),
            ("task", Some(&*self.id)),
            ("agent", Some(&*self.agent)),
            ("discovery", given),
        ];
        let pairs = pairs.into_iter();
        pairs
            .filter_map(|(key, value)| Some((key.into(), value?.into())))
            .collect()
    }

    /// Returns the addresses of the first source that has any; texts that are none are left out.
    fn addresses(
        &self,
        agent: &Agent,
        ip_sources: &[IpSource],
        left_out: &mut Vec<String>,
    ) -> Vec<String> {
        for source in ip_sources {
            let texts = match source {
                IpSource::Host => return vec![agent.host.clone()],
                IpSource::Netinfo => self.netinfo.get(),
                IpSource::Docker => self.docker.get(),
                IpSource::Mesos => self.mesos.get(),
            };
            let mut found = Vec::new();
            for text in texts.into_iter().flatten() {
                match address(text) {
                    Some(_) => found.push(text.clone()),
                    None => left_out.push(format!("`{}` is no address", shown(text))),
                }
            }
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    /// Lists the ports of its agent that it has, for TCP and UDP each.
    fn resource_ports(&self, left_out: &mut Vec<String>) -> Vec<Port> {
        let mut ports = Vec::new();
        for (begin, end) in &self.resources {
            if begin > end {
                left_out.push(format!("{begin}-{end} is no range of ports"));
                continue;
            }
            for number in *begin..=*end {
                if ports.len() >= 2 * PORTS_MAX {
                    left_out.push(format!("it has more than {PORTS_MAX} ports"));
                    return ports;
                }
                match Port::number(number) {
                    Ok(number) => ports.extend(Protocol::ALL.map(|protocol| Port {
                        name: None,
                        number,
                        protocol,
                    })),
                    Err(reason) => {
                        left_out.push(reason);
                        break;
                    }
                }
            }
        }
        ports
    }
}

/// Lists the ports that a task says.
fn discovery_ports(discovery: &Discovery, left_out: &mut Vec<String>) -> Vec<Port> {
    let mut ports = Vec::new();
    for port in discovery.ports().iter().take(PORTS_MAX) {
        let number = match Port::number(port.number) {
            Ok(number) => number,
            Err(reason) => {
                left_out.push(reason);
                continue;
            }
        };
        let protocols = match protocols(&port.protocol) {
            Ok(protocols) => protocols,
            Err(reason) => {
                left_out.push(format!("port {number}: {reason}"));
                continue;
            }
        };
        let name: Option<PortName> = labels::label(&port.name).parse().ok();
        ports.extend(protocols.into_iter().map(|protocol| Port {
            name: name.clone(),
            number,
            protocol,
        }));
    }
    if discovery.ports().len() > PORTS_MAX {
        left_out.push(format!("it says more than {PORTS_MAX} ports"));
    }
    ports
}

/// Reads `tcp`, `udp` or `tcp,udp`; nothing stands for both.
fn protocols(text: &str) -> Result<SmallVec<[Protocol; 2]>, String> {
    if text.is_empty() {
        return Ok(SmallVec::from(Protocol::ALL));
    }
    let all = text
        .split(',')
        .map(|one| match one.trim().to_ascii_lowercase().as_str() {
            "tcp" => Ok(Protocol::Tcp),
            "udp" => Ok(Protocol::Udp),
            _ => Err(format!("`{}` is neither tcp nor udp", shown(text))),
        });
    all.collect()
}

/// Hashes a task's id as Mesos-DNS does: five letters of the SHA-1 in z-base-32.
fn hash(id: &str) -> String {
    use sha1::{Digest as _, Sha1};
    let digest = Sha1::digest(id.as_bytes());
    let bits = digest[..4]
        .iter()
        .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
    (0..5)
        .map(|nth| char::from(ZBASE32[(bits >> (27 - 5 * nth) & 31) as usize]))
        .collect()
}

pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Puts an instance at hosts: addresses, or one name.
///
/// # Errors
///
/// Returns in words why there is none.
pub(super) fn set_hosts(instance: &mut Instance, hosts: &[String]) -> Result<(), String> {
    let addresses: SmallVec<[IpAddr; 1]> = hosts.iter().filter_map(|host| address(host)).collect();
    match (addresses.is_empty(), hosts.first()) {
        (false, _) => {
            instance.addresses = addresses;
            Ok(())
        }
        (true, Some(host)) => instance.set_host(host),
        (true, None) => Err("it has no address in any of ip_sources".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_mesos_dns() {
        assert_eq!(hash("test"), "iffe9");
    }

    #[test]
    fn protocols_are_one_both_or_refused() {
        let read = |text| protocols(text).map(|all| all.to_vec());
        assert_eq!(read(""), Ok(Protocol::ALL.to_vec()));
        assert_eq!(read("TCP"), Ok(vec![Protocol::Tcp]));
        assert_eq!(read("udp,tcp"), Ok(vec![Protocol::Udp, Protocol::Tcp]));
        assert!(read("sctp").unwrap_err().contains("`sctp`"));
    }
}
