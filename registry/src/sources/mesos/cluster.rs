//! What is known of a cluster, and what it becomes in the registry. Without I/O.
//!
//! | service | its instances |
//! |---|---|
//! | `T.F` | the tasks with the name `T` of the framework `F`, at their own addresses |
//! | `T.F.slave` | the same at the addresses and ports of their agents |
//! | `F` | the framework's scheduler |
//! | `slave` | the agents |
//! | `leader`, `master` | the leading master; all masters |
//!
//! Each instance says in its attribute `mesos` what it is, so that the scheme `mesos` of a zone can
//! make Mesos-DNS's names of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
    sync::Arc,
};

use super::{
    config::IpSource,
    event::Event,
    labels,
    picture::Picture,
    record::{AgentRecord, FrameworkRecord, TaskRecord, pid},
    task::{Place, Task, set_hosts},
};
use crate::{Entry, Instance, InstanceId, Key, Origin, Port, Protocol, Refusal, State, Update};

/// How a cluster's records become instances.
#[derive(Debug, Clone)]
pub(super) struct Making {
    pub(super) source: Arc<str>,
    pub(super) ip_sources: Vec<IpSource>,
    pub(super) weight: u16,
}

/// Holds what is known of a cluster.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    frameworks: BTreeMap<Arc<str>, Framework>,
    agents: HashMap<Arc<str>, Agent>,
    tasks: BTreeMap<TaskKey, Task>,
    /// The tasks of each agent.
    placed: HashMap<Arc<str>, BTreeSet<TaskKey>>,
    /// Agents of which the leader has yet to hear: their tasks stay as they were.
    recovered: BTreeSet<Arc<str>>,
    /// The leading master first, and then the others in the order in which they are known.
    masters: Masters,
}

/// The masters, each as host (a v6 address in brackets) and port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Masters {
    pub(super) leader: Option<(String, u16)>,
    pub(super) all: Vec<(String, u16)>,
}

/// A framework's id and a task's, which is only unique within it.
type TaskKey = (Arc<str>, Arc<str>);

#[derive(Debug, Clone)]
struct Framework {
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

/// An instance to be.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) service: String,
    pub(super) id: InstanceId,
    pub(super) state: State,
    pub(super) hosts: Vec<String>,
    pub(super) ports: Vec<Port>,
    /// The attribute `mesos`.
    pub(super) kind: Arc<str>,
    pub(super) attributes: BTreeMap<Arc<str>, Arc<str>>,
}

/// Names what may have become something else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Thing {
    Masters,
    Framework(Arc<str>),
    Agent(Arc<str>),
    Task(TaskKey),
}

impl Cluster {
    /// Takes all that a master says; what runs on agents that it hasn't heard of yet stays.
    pub(super) fn replace(&mut self, picture: Picture) {
        let old = mem::take(self);
        self.masters = old.masters;
        for record in picture.frameworks {
            let before = old.frameworks.get(&record.id.0);
            let (id, framework) = Framework::new(record, before);
            self.frameworks.insert(id, framework);
        }
        for agent in picture.agents {
            self.put_agent(agent);
        }
        for task in picture.tasks {
            self.put_task(task);
        }
        self.recovered = picture.recovered;
        for agent in self.recovered.clone() {
            if let Some(known) = old.agents.get(&agent) {
                self.agents
                    .entry(Arc::clone(&agent))
                    .or_insert_with(|| known.clone());
            }
            for key in old.placed.get(&agent).into_iter().flatten() {
                if let (Some(task), Some(framework)) =
                    (old.tasks.get(key), old.frameworks.get(&key.0))
                {
                    let id = Arc::clone(&key.0);
                    self.frameworks
                        .entry(id)
                        .or_insert_with(|| framework.clone());
                    if !self.tasks.contains_key(key) {
                        self.place(key.clone(), task.clone());
                    }
                }
            }
        }
    }

    /// Tells whether an event is about an agent that was awaited: what it ran before is known, and not
    /// what of that it still runs.
    pub(super) fn awaits(&self, event: &Event) -> bool {
        matches!(event, Event::AgentAdded(agent) if self.recovered.contains(&agent.id.0))
    }

    /// Takes an event; returns what may have become something else.
    pub(super) fn apply(&mut self, event: Event) -> Vec<Thing> {
        match event {
            Event::TaskAdded(record) => vec![Thing::Task(self.put_task(*record))],
            Event::TaskUpdated {
                framework,
                status,
                state,
            } => {
                let Some(id) = &status.task_id else {
                    return Vec::new();
                };
                let key = (framework, Arc::clone(&id.0));
                if let Some(task) = self.tasks.get_mut(&key) {
                    task.state = state;
                    task.absorb(&status);
                    if task.is_over() {
                        self.remove_task(&key);
                    }
                }
                vec![Thing::Task(key)]
            }
            Event::AgentAdded(record) => {
                let id = Arc::clone(&record.id.0);
                self.recovered.remove(&id);
                self.put_agent(record);
                self.with_tasks(id)
            }
            Event::AgentRemoved(id) => {
                self.recovered.remove(&id);
                self.agents.remove(&id);
                let tasks = self.placed.remove(&id).unwrap_or_default();
                for key in &tasks {
                    self.tasks.remove(key);
                }
                let tasks = tasks.into_iter().map(Thing::Task);
                [Thing::Agent(id)].into_iter().chain(tasks).collect()
            }
            Event::Framework(record) => {
                let before = self.frameworks.get(&record.id.0);
                let (id, framework) = Framework::new(record, before);
                let renamed = before.is_none_or(|before| before.name != framework.name);
                self.frameworks.insert(Arc::clone(&id), framework);
                match renamed {
                    true => self.with_tasks_of_framework(id),
                    false => vec![Thing::Framework(id)],
                }
            }
            Event::FrameworkRemoved(id) => {
                let things = self.with_tasks_of_framework(Arc::clone(&id));
                self.frameworks.remove(&id);
                for thing in &things {
                    if let Thing::Task(key) = thing {
                        self.remove_task(key);
                    }
                }
                things
            }
            Event::Subscribed(..) | Event::Other | Event::Refused(_) => Vec::new(),
        }
    }

    /// Takes where the schedulers of frameworks are, which only `/state` says.
    pub(super) fn take_schedulers(&mut self, picture: &Picture) -> Vec<Thing> {
        let mut things = Vec::new();
        for record in &picture.frameworks {
            let Some((host, port)) = record.pid.as_deref().and_then(pid) else {
                continue;
            };
            if let Some(framework) = self.frameworks.get_mut(&record.id.0) {
                let place = (Some(host.to_owned()), Some(port));
                if (&framework.host, framework.port) != (&place.0, place.1) {
                    (framework.host, framework.port) = place;
                    things.push(Thing::Framework(Arc::clone(&record.id.0)));
                }
            }
        }
        things
    }

    /// Takes who the masters are; returns whether that is news.
    pub(super) fn set_masters(&mut self, masters: Masters) -> bool {
        let is_news = self.masters != masters;
        self.masters = masters;
        is_news
    }

    /// Says all there is.
    pub(super) fn reset(&self, making: &Making) -> (Update, HashMap<Thing, Vec<Key>>) {
        let mut told = HashMap::new();
        let (mut entries, mut refused) = (Vec::new(), Vec::new());
        let frameworks = self.frameworks.keys().cloned().map(Thing::Framework);
        let agents = self.agents.keys().cloned().map(Thing::Agent);
        let tasks = self.tasks.keys().cloned().map(Thing::Task);
        let all = [Thing::Masters].into_iter().chain(frameworks).chain(agents);
        for thing in all.chain(tasks) {
            let mut keys = Vec::new();
            for update in self.say(&thing, making) {
                match update {
                    Update::Put(entry) => {
                        keys.push(entry.key.clone());
                        entries.push(entry);
                    }
                    Update::Refuse(refusal) => {
                        keys.push(refusal.key.clone());
                        refused.push(refusal);
                    }
                    Update::Reset { .. } | Update::Remove(_) => {}
                }
            }
            if !keys.is_empty() {
                told.insert(thing, keys);
            }
        }
        (Update::Reset { entries, refused }, told)
    }

    /// Says what one thing is, in `Put`s and `Refuse`s; nothing when it is gone.
    pub(super) fn say(&self, thing: &Thing, making: &Making) -> Vec<Update> {
        let path = thing.path();
        let mut left_out = Vec::new();
        let drafts = match thing {
            Thing::Masters => Ok(self.masters.drafts()),
            Thing::Framework(id) => {
                let framework = self.frameworks.get(id);
                framework.map_or_else(|| Ok(Vec::new()), |one| one.drafts(id))
            }
            Thing::Agent(id) => {
                let agent = self.agents.get(id);
                Ok(agent.into_iter().map(|agent| agent.draft(id)).collect())
            }
            Thing::Task(key) => self.task_drafts(key, making, &mut left_out),
        };
        let drafts = match drafts {
            Ok(drafts) => drafts,
            Err(reason) => return vec![refuse(&path, reason)],
        };
        let mut updates = Vec::new();
        for (nth, draft) in drafts.into_iter().enumerate() {
            let key = match nth {
                0 => path.clone(),
                nth => format!("{path}#{nth}"),
            };
            updates.push(draft.finish(key, making));
        }
        // What is left out of a record is no reason to refuse the rest of it.
        if !left_out.is_empty() {
            updates.push(refuse(&format!("{path}#left-out"), left_out.join("; ")));
        }
        updates
    }

    fn task_drafts(
        &self,
        key: &TaskKey,
        making: &Making,
        left_out: &mut Vec<String>,
    ) -> Result<Vec<Draft>, String> {
        let Some(task) = self.tasks.get(key) else {
            return Ok(Vec::new());
        };
        let framework = self
            .frameworks
            .get(&key.0)
            .ok_or_else(|| format!("its framework `{}` is not known", key.0))?;
        let agent = self
            .agents
            .get(&task.agent)
            .ok_or_else(|| format!("its agent `{}` is not known", task.agent))?;
        let place = Place {
            framework: framework.labels()?,
            agent,
        };
        task.drafts(&place, &making.ip_sources, left_out)
    }

    fn put_agent(&mut self, record: AgentRecord) {
        let (host, port) = match pid(&record.pid) {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (record.hostname, None),
        };
        self.agents.insert(record.id.0, Agent { host, port });
    }

    fn put_task(&mut self, record: TaskRecord) -> TaskKey {
        let key = (Arc::clone(&record.framework_id.0), Arc::clone(&record.id.0));
        self.remove_task(&key);
        let task = Task::new(record);
        if !task.is_over() {
            self.place(key.clone(), task);
        }
        key
    }

    fn place(&mut self, key: TaskKey, task: Task) {
        let agent = self.placed.entry(Arc::clone(&task.agent));
        agent.or_default().insert(key.clone());
        self.tasks.insert(key, task);
    }

    fn remove_task(&mut self, key: &TaskKey) {
        let Some(task) = self.tasks.remove(key) else {
            return;
        };
        if let Some(keys) = self.placed.get_mut(&task.agent) {
            keys.remove(key);
            if keys.is_empty() {
                self.placed.remove(&task.agent);
            }
        }
    }

    fn with_tasks(&self, agent: Arc<str>) -> Vec<Thing> {
        let tasks = self.placed.get(&agent).into_iter().flatten();
        let tasks = tasks.cloned().map(Thing::Task);
        [Thing::Agent(agent)].into_iter().chain(tasks).collect()
    }

    fn with_tasks_of_framework(&self, id: Arc<str>) -> Vec<Thing> {
        let from = (Arc::clone(&id), Arc::from(""));
        let tasks = self.tasks.range(from..).map(|(key, _)| key);
        let tasks = tasks
            .take_while(|key| key.0 == id)
            .cloned()
            .map(Thing::Task);
        let tasks: Vec<_> = tasks.collect();
        [Thing::Framework(id)].into_iter().chain(tasks).collect()
    }
}

impl Thing {
    /// Returns the record's path, as it is shown.
    fn path(&self) -> String {
        match self {
            Self::Masters => "masters".to_owned(),
            Self::Framework(id) => format!("frameworks/{id}"),
            Self::Agent(id) => format!("agents/{id}"),
            Self::Task((framework, id)) => format!("frameworks/{framework}/tasks/{id}"),
        }
    }
}

impl Framework {
    /// Takes what a master says of a framework; the events don't say where a scheduler is, and it is
    /// where it was.
    fn new(record: FrameworkRecord, before: Option<&Self>) -> (Arc<str>, Self) {
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

    fn labels(&self) -> Result<&str, String> {
        match self.name.is_empty() {
            true => Err(format!(
                "its framework's name `{}` has nothing that DNS can carry",
                super::task::shown(&self.text)
            )),
            false => Ok(&self.name),
        }
    }

    /// Makes the service `F`, where the scheduler's place is known.
    fn drafts(&self, id: &str) -> Result<Vec<Draft>, String> {
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
    fn draft(&self, id: &str) -> Draft {
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

impl Masters {
    /// Makes `leader`, and `master` with the instances `master0`, `master1` and so on: those of the list
    /// in their order, and the leader behind them when it isn't among them.
    fn drafts(&self) -> Vec<Draft> {
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

impl Draft {
    /// Makes the entry, or says why there can't be one.
    fn finish(self, path: String, making: &Making) -> Update {
        let service = match self.service.parse() {
            Ok(service) => service,
            Err(error) => return refuse(&path, format!("{error}")),
        };
        let origin = Origin {
            source: Arc::clone(&making.source),
            path: path.as_str().into(),
            revision: None,
            since: None,
        };
        let mut instance = Instance::new(self.id, origin);
        // One that starts has no address as yet, and one that is lost may have none.
        if let Err(reason) = set_hosts(&mut instance, &self.hosts)
            && self.state == State::Up
        {
            return refuse(&path, reason);
        }
        instance.state = self.state;
        instance.weight = making.weight;
        instance.ports = self.ports.into_iter().collect();
        instance.attributes = self.attributes;
        instance.attributes.insert("mesos".into(), self.kind);
        Update::Put(Entry {
            key: Key::new(path),
            service,
            instances: vec![instance],
        })
    }
}

fn refuse(path: &str, reason: String) -> Update {
    Update::Refuse(Refusal {
        key: Key::new(path),
        reason,
    })
}

#[cfg(test)]
mod tests;
