//! The names of Mesos-DNS, for what a `mesos` source says.
//!
//! With `T` for a task's label, or the labels of a discovery name with dots, `F` for those of its
//! framework, and `C` for `T` with a hash of the task's id and the end of its agent's:
//!
//! | name | answers |
//! |---|---|
//! | `T.F`, `C.F` | the addresses of all tasks called so; of one |
//! | `T.F.slave`, `C.F.slave` | the addresses of their agents |
//! | `_T._tcp.F`, `_T._udp.F` | the ports that they say (SRV to `C.F`) |
//! | the same, of tasks that say no name | the ports they got (SRV to `C.F.slave`) |
//! | `_port._T._tcp.F`, `_port._T._udp.F` | the ports of that name |
//! | `_T._tcp.F.slave`, `_T._udp.F.slave` | the ports of their agents that they have (SRV to `C.F.slave`) |
//! | `F`, `_framework._tcp.F` | the framework's scheduler |
//! | `slave`, `_slave._tcp` | the agents |
//! | `leader`, `_leader._tcp`, `_leader._udp` | the leading master |
//! | `master`, `master0`, `master1`, ... | all masters, each |
//!
//! What an instance is, its attribute `mesos` says. Services of other sources have the names of the
//! scheme `plain`.

use registry::{Instance, PortName, Protocol, Service, sources::mesos};

use super::{Browsed, Names, View, plain::Plain};
use crate::{
    name::{Name, NameBuf, TooLong},
    table::Rank,
};

/// The longest label in the older form (RFC 952).
const RFC952_BYTES_MAX: usize = 24;

/// The attribute of a task that says how it is to be found.
const DISCOVERY: &str = "discovery";

pub(crate) struct Mesos {
    /// Whether labels are those of RFC 952: they start with a letter and have up to 24 bytes.
    pub(crate) rfc952: bool,
}

/// Says what the instances of a service are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind<'a> {
    /// Tasks, of the framework with these labels.
    Task(&'a str),
    /// Tasks where their agents are.
    SlaveTask(&'a str),
    Framework,
    Agent,
    Leader,
    Master,
}

impl<'a> Kind<'a> {
    /// Finds what a service's instances are, those of other sources left aside.
    fn of_service(service: &'a Service) -> Option<Self> {
        service.instances.iter().find_map(|one| Self::of(one))
    }

    fn of(instance: &'a Instance) -> Option<Self> {
        let attribute = |key: &str| instance.attributes.get(key).map(|value| &**value);
        let framework = attribute("framework").unwrap_or_default();
        match attribute("mesos")? {
            "task" => Some(Kind::Task(framework)),
            "slave-task" => Some(Kind::SlaveTask(framework)),
            "framework" => Some(Kind::Framework),
            "agent" => Some(Kind::Agent),
            "leader" => Some(Kind::Leader),
            "master" => Some(Kind::Master),
            _ => None,
        }
    }
}

impl Names for Mesos {
    fn each<'a>(&self, service: &'a Service, add: &mut dyn FnMut(Name, Rank, View<'a>)) {
        let Some(kind) = Kind::of_service(service) else {
            return Plain.each(service, add);
        };
        let mut add = |name: Result<Name, TooLong>, rank, view| {
            // What is too long to be a name is none.
            if let Ok(name) = name {
                add(name, rank, view);
            }
        };
        add(self.own(service), Rank::Service, View::Addresses);
        match kind {
            Kind::Task(framework) => self.each_task(service, framework, &mut add),
            Kind::SlaveTask(framework) => self.each_slave_task(service, framework, &mut add),
            Kind::Framework => {
                let port = service.instances.iter().flat_map(|one| &one.ports).next();
                if let Some(name) = port.and_then(|port| port.name.as_ref()) {
                    let srv = self.ports(&[name.as_str()], Protocol::Tcp, service.name.as_str());
                    add(srv, Rank::Within, View::NamedPorts(Protocol::Tcp, name));
                }
            }
            Kind::Agent => {
                let srv = self.ports(&[service.name.as_str()], Protocol::Tcp, "");
                add(srv, Rank::Service, View::MainPorts(Protocol::Tcp));
            }
            Kind::Leader => {
                for protocol in Protocol::ALL {
                    let srv = self.ports(&[service.name.as_str()], protocol, "");
                    add(srv, Rank::Service, View::MainPorts(protocol));
                }
            }
            Kind::Master => {}
        }
        if matches!(kind, Kind::Task(_) | Kind::SlaveTask(_) | Kind::Master) {
            for instance in &service.instances {
                let name = self.instance(service, instance);
                name.into_iter()
                    .for_each(|name| add(Ok(name), Rank::Within, View::Instance(instance)));
            }
        }
    }

    fn browse<'a>(&self, service: &'a Service, add: &mut dyn FnMut(Browsed<'a>)) {
        if Kind::of_service(service).is_none() {
            Plain.browse(service, add);
        }
    }

    fn instance(&self, service: &Service, instance: &Instance) -> Option<Name> {
        let id = instance.id.as_str();
        let name = match Kind::of(instance) {
            None => return Plain.instance(service, instance),
            Some(Kind::Task(framework)) => {
                self.canonical(task(service, framework, ""), id, &[framework])
            }
            Some(Kind::SlaveTask(framework)) => {
                self.canonical(task(service, framework, SLAVE), id, &[framework, "slave"])
            }
            // What these are asked for leads to all of them.
            Some(Kind::Framework | Kind::Agent | Kind::Leader) => self.own(service),
            Some(Kind::Master) => self.name(&[id]),
        };
        name.ok()
    }

    fn rfc952(&self) -> Option<&'static dyn Names> {
        Some(&Self { rfc952: true })
    }
}

/// What the names of services end in that are tasks at their agents.
const SLAVE: &str = ".slave";

type Add<'s, 'a> = dyn FnMut(Result<Name, TooLong>, Rank, View<'a>) + 's;

impl Mesos {
    fn each_task<'a>(&self, service: &'a Service, framework: &str, add: &mut Add<'_, 'a>) {
        let task = task(service, framework, "");
        for protocol in Protocol::ALL {
            let says = |one: &&registry::Port| one.protocol == protocol;
            let found = service.instances.iter();
            let found = found.filter(|one| one.attributes.contains_key(DISCOVERY));
            let mut names: Vec<Option<&PortName>> = found
                .flat_map(|one| one.ports.iter().filter(says).map(|port| port.name.as_ref()))
                .collect();
            if names.is_empty() {
                continue;
            }
            let view = View::AllPorts {
                protocol,
                only: Some((DISCOVERY, true)),
            };
            add(
                self.ports(&[task], protocol, framework),
                Rank::Service,
                view,
            );
            names.sort();
            names.dedup();
            for port in names.into_iter().flatten() {
                let name = self.ports(&[port.as_str(), task], protocol, framework);
                add(name, Rank::Within, View::NamedPorts(protocol, port));
            }
        }
    }

    fn each_slave_task<'a>(&self, service: &'a Service, framework: &str, add: &mut Add<'_, 'a>) {
        let task = task(service, framework, SLAVE);
        let mut instances = service.instances.iter();
        let hidden = instances.any(|one| !one.attributes.contains_key(DISCOVERY));
        for protocol in Protocol::ALL {
            let all = service.instances.iter();
            if !all
                .flat_map(|one| &one.ports)
                .any(|port| port.protocol == protocol)
            {
                continue;
            }
            let view = |only| View::AllPorts { protocol, only };
            let below = self.ports(&[task], protocol, &format!("{framework}.slave"));
            add(below, Rank::Service, view(None));
            if hidden {
                let name = self.ports(&[task], protocol, framework);
                add(name, Rank::Within, view(Some((DISCOVERY, false))));
            }
        }
    }

    /// Makes the service's own name.
    fn own(&self, service: &Service) -> Result<Name, TooLong> {
        self.name(&[service.name.as_str()])
    }

    /// Makes `T.F` with another last label of `T`.
    fn canonical(&self, task: &str, id: &str, behind: &[&str]) -> Result<Name, TooLong> {
        let mut name = NameBuf::default();
        if let Some((before, _)) = task.rsplit_once('.') {
            self.push(&mut name, before)?;
        }
        // It is made of a label and two short ones, and isn't cut a second time.
        match self.rfc952 {
            true => name.push(&canonical952(id))?,
            false => name.push(id)?,
        }
        behind
            .iter()
            .try_for_each(|labels| self.push(&mut name, labels))?;
        Ok(name.finish())
    }

    /// Makes `_first._second._tcp.behind`.
    fn ports(&self, before: &[&str], protocol: Protocol, behind: &str) -> Result<Name, TooLong> {
        let mut name = NameBuf::default();
        for labels in before {
            let mut labels = labels.split('.');
            if let Some(first) = labels.next() {
                name.push_underscored(&self.label(first))?;
            }
            for label in labels {
                name.push(&self.label(label))?;
            }
        }
        name.push_underscored(protocol.label())?;
        self.push(&mut name, behind)?;
        Ok(name.finish())
    }

    fn name(&self, parts: &[&str]) -> Result<Name, TooLong> {
        let mut name = NameBuf::default();
        parts
            .iter()
            .try_for_each(|labels| self.push(&mut name, labels))?;
        Ok(name.finish())
    }

    /// Adds labels with dots between them; none where there is nothing.
    fn push(&self, name: &mut NameBuf, labels: &str) -> Result<(), TooLong> {
        let labels = labels.split('.').map(|label| self.label(label));
        labels
            .filter(|label| !label.is_empty())
            .try_for_each(|label| name.push(&label))
    }

    fn label(&self, label: &str) -> String {
        match self.rfc952 {
            true => label952(label),
            false => label.to_owned(),
        }
    }
}

/// Returns the part of a service's name that is the task's.
fn task<'a>(service: &'a Service, framework: &str, end: &str) -> &'a str {
    let name = service.name.as_str();
    let task = name
        .strip_suffix(end)
        .and_then(|name| name.strip_suffix(framework));
    task.and_then(|task| task.strip_suffix('.')).unwrap_or(name)
}

/// Cuts a label to the form of RFC 952, as Mesos-DNS does.
fn label952(label: &str) -> String {
    let rest = label.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit());
    mesos::cut_label(rest, RFC952_BYTES_MAX)
}

/// Cuts the task's label within `<task>-<hash>-<agent>`, and leaves the rest.
fn canonical952(id: &str) -> String {
    let mut parts = id.rsplitn(3, '-');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(agent), Some(hash), Some(task)) => format!("{}-{hash}-{agent}", label952(task)),
        _ => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use registry::{Port, Protocol, testing};

    use super::*;

    fn service(
        name: &str,
        id: &str,
        ports: &[(&str, u16)],
        attributes: &[(&str, &str)],
    ) -> Service {
        let mut instance = testing::instance(id, "10.0.0.1", 1);
        instance.ports = ports
            .iter()
            .map(|(name, number)| Port {
                name: name.parse().ok(),
                number: *number,
                protocol: Protocol::Tcp,
            })
            .collect();
        let attributes = attributes.iter();
        instance.attributes = attributes
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        testing::service_of(name, [instance])
    }

    fn names(mesos: &Mesos, service: &Service) -> Vec<String> {
        let mut names = Vec::new();
        mesos.each(service, &mut |name, _, _| names.push(name.to_string()));
        names.sort();
        names
    }

    const MESOS: Mesos = Mesos { rfc952: false };

    #[test]
    fn a_task_has_the_names_of_mesos_dns() {
        let task = [
            ("mesos", "task"),
            ("framework", "marathon"),
            ("discovery", "app.group"),
        ];
        let task = service(
            "app.group.marathon",
            "group-iffe9-s1",
            &[("http", 80)],
            &task,
        );
        assert_eq!(
            names(&MESOS, &task),
            [
                "_app.group._tcp.marathon",
                "_http._app.group._tcp.marathon",
                "app.group-iffe9-s1.marathon",
                "app.group.marathon",
            ]
        );
        let target = MESOS.instance(&task, &task.instances[0]).unwrap();
        assert_eq!(target.to_string(), "app.group-iffe9-s1.marathon");
    }

    #[test]
    fn a_task_that_says_no_name_is_found_at_its_agent() {
        let slave = [("mesos", "slave-task"), ("framework", "marathon")];
        let slave = service("web.marathon.slave", "web-iffe9-s1", &[("", 31000)], &slave);
        assert_eq!(
            names(&MESOS, &slave),
            [
                "_web._tcp.marathon",
                "_web._tcp.marathon.slave",
                "web-iffe9-s1.marathon.slave",
                "web.marathon.slave",
            ]
        );
    }

    #[test]
    fn masters_agents_and_schedulers_have_names_of_their_own() {
        let named = |name, id, kind| {
            names(
                &MESOS,
                &service(name, id, &[("framework", 1)], &[("mesos", kind)]),
            )
        };
        assert_eq!(named("master", "master0", "master"), ["master", "master0"]);
        assert_eq!(
            named("leader", "leader", "leader"),
            ["_leader._tcp", "_leader._udp", "leader"]
        );
        assert_eq!(named("slave", "s1", "agent"), ["_slave._tcp", "slave"]);
        assert_eq!(
            named("marathon", "f1", "framework"),
            ["_framework._tcp.marathon", "marathon"]
        );
    }

    #[test]
    fn labels_are_cut_as_rfc_952_has_them() {
        for (label, cut) in [
            ("4abc123", "abc123"),
            ("fdgsf---gs7-fgs--d7fddg-123", "fdgsf---gs7-fgs--d7fddg1"),
            ("89fdgsf---gs7-fgs--d7fddg", "fdgsf---gs7-fgs--d7fddg"),
            (
                "chronoswithaspaceandmixedcase-2-0-1",
                "chronoswithaspaceandmixe",
            ),
            ("0-6-0", ""),
        ] {
            assert_eq!(label952(label), cut, "{label}");
        }
        assert_eq!(
            canonical952("chronoswithaspaceandmixedcase-iffe9-s1"),
            "chronoswithaspaceandmixe-iffe9-s1"
        );
        let task = [("mesos", "task"), ("framework", "marathon-0.6.0-dev")];
        let task = service("web.marathon-0.6.0-dev", "web-iffe9-s1", &[], &task);
        let rfc952 = Mesos { rfc952: true };
        assert_eq!(
            names(&rfc952, &task),
            ["web-iffe9-s1.marathon-0.dev", "web.marathon-0.dev"]
        );
    }
}
