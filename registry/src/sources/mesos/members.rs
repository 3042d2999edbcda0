//! Who takes part in a cluster besides tasks: masters, frameworks and agents.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    draft::Draft,
    labels,
    record::{AgentRecord, FrameworkRecord, pid},
    task::shown,
};
use crate::{InstanceId, Port, Protocol, State, election::Candidates};

/// A framework.
#[derive(Debug, Clone)]
pub(super) struct Framework {
    /// Its labels.
    name: String,
    /// How it is called.
    text: String,
    /// Where its scheduler is.
    host: Option<String>,
    port: Option<u16>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agent {
    /// An address or a name.
    pub(super) host: String,
    port: Option<u16>,
}

impl Candidates {
    /// Makes, of masters, `leader`, and `master` with the instances `master0`, `master1` and so on: those
    /// of the list in their order, and the leader behind them when it isn't among them.
    pub(super) fn drafts(&self) -> Vec<Draft> {
        let draft = |service: &str, id: String, (host, port): &(String, u16)| {
            let ports = Protocol::ALL.map(|protocol| Port {
                name: None,
                number: *port,
                protocol,
            });
            Draft {
                service: service.to_owned(),
                id: InstanceId::from_text(&id),
                state: State::Up,
                hosts: vec![host.clone()],
                ports: ports.into(),
                kind: service.into(),
                attributes: BTreeMap::new(),
            }
        };
        let mut all: Vec<&(String, u16)> = Vec::new();
        for master in self.all.iter().chain(&self.leader) {
            if !all.iter().any(|one| one.0 == master.0) {
                all.push(master);
            }
        }
        let leader = self.leader.iter();
        let leader = leader.map(|leader| draft("leader", "leader".to_owned(), leader));
        let masters = all.iter().enumerate();
        let masters = masters.map(|(nth, master)| draft("master", format!("master{nth}"), master));
        leader.chain(masters).collect()
    }
}

impl Framework {
    /// Takes what a master says of a framework; the events don't say where a scheduler is, and it is
    /// where it was.
    pub(super) fn new(record: FrameworkRecord, before: Option<&Self>) -> (Arc<str>, Self) {
        let place = record.pid.as_deref().and_then(pid);
        let (host, port) = match (place, before) {
            (Some((host, port)), _) => (Some(host.to_owned()), Some(port)),
            (None, Some(before)) if before.port.is_some() => (before.host.clone(), before.port),
            (None, _) => (Some(record.hostname).filter(|host| !host.is_empty()), None),
        };
        let framework = Self {
            name: labels::labels(&record.name),
            text: record.name,
            host,
            port,
        };
        (record.id.0, framework)
    }

    pub(super) fn has_name_of(&self, other: &Self) -> bool {
        self.name == other.name
    }

    /// Takes where its scheduler is; returns whether that is news.
    pub(super) fn move_to(&mut self, host: &str, port: u16) -> bool {
        let is_news = self.host.as_deref() != Some(host) || self.port != Some(port);
        (self.host, self.port) = (Some(host.to_owned()), Some(port));
        is_news
    }

    /// Returns the labels of its name, or why there are none.
    pub(super) fn labels(&self) -> Result<&str, String> {
        match self.name.is_empty() {
            true => Err(format!(
                "its framework's name `{}` has nothing that DNS can carry",
                shown(&self.text)
            )),
            false => Ok(&self.name),
        }
    }

    /// Makes the service `F`, where the scheduler's place is known.
    pub(super) fn drafts(&self, id: &str) -> Result<Vec<Draft>, String> {
        let service = self.labels()?.to_owned();
        let Some(host) = &self.host else {
            return Ok(Vec::new());
        };
        let port = self.port.map(|number| Port {
            name: "framework".parse().ok(),
            number,
            protocol: Protocol::Tcp,
        });
        Ok(vec![Draft {
            service,
            id: InstanceId::from_text(id),
            state: State::Up,
            hosts: vec![host.clone()],
            ports: port.into_iter().collect(),
            kind: "framework".into(),
            attributes: BTreeMap::new(),
        }])
    }
}

impl Agent {
    pub(super) fn new(record: AgentRecord) -> (Arc<str>, Self) {
        let (host, port) = match pid(&record.pid) {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (record.hostname, None),
        };
        (record.id.0, Self { host, port })
    }

    /// Makes its instance of the service `slave`.
    pub(super) fn draft(&self, id: &str) -> Draft {
        Draft {
            service: "slave".to_owned(),
            id: InstanceId::from_text(id),
            state: State::Up,
            hosts: vec![self.host.clone()],
            ports: self.port.into_iter().map(Port::tcp).collect(),
            kind: "agent".into(),
            attributes: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::mesos::record::pid;

    fn place(text: &str) -> (String, u16) {
        let (host, port) = text.rsplit_once(':').unwrap();
        (host.to_owned(), port.parse().unwrap())
    }

    /// The masters by their names, as Mesos-DNS's own test has them.
    fn drafts(all: &[&str], leader: &str) -> Vec<String> {
        let masters = Candidates {
            leader: pid(leader).map(|(host, port)| (host.to_owned(), port)),
            all: all.iter().map(|one| place(one)).collect(),
        };
        let drafts = masters.drafts();
        let line = |draft: &Draft| format!("{} {}", draft.id, draft.hosts[0]);
        drafts.iter().map(line).collect()
    }

    #[test]
    fn masters_are_numbered_in_their_order_and_a_leader_that_is_not_listed_comes_last() {
        for leader in ["", "@", "1@", "@2", "3@4"] {
            assert_eq!(drafts(&[], leader), [""; 0], "{leader}");
        }
        let six = "5@0.0.0.6:7";
        let alone = ["leader 0.0.0.6", "master0 0.0.0.6"];
        assert_eq!(drafts(&[], six), alone);
        assert_eq!(drafts(&["0.0.0.6:7"], six), alone);
        let v6 = drafts(&[], "5@[2001:db8::1]:7");
        assert_eq!(v6, ["leader [2001:db8::1]", "master0 [2001:db8::1]"]);
        let two = ["leader 0.0.0.6", "master0 0.0.0.8", "master1 0.0.0.6"];
        for all in [
            &["0.0.0.8:9"][..],
            &["0.0.0.8:9", "0.0.0.8:9"],
            &["0.0.0.8:9", "0.0.0.6:7"],
            &["0.0.0.8:9", "0.0.0.6:7", "0.0.0.6:7"],
        ] {
            assert_eq!(drafts(all, six), two, "{all:?}");
        }
        let three = drafts(&["0.0.0.8:9", "0.0.0.6:7", "[2001:db8::1]:1"], six);
        assert_eq!(three[..3], two);
        assert_eq!(three[3], "master2 [2001:db8::1]");
    }
}
