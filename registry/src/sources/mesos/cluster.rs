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
    draft::{Draft, Making, refuse},
    event::Event,
    members::{Agent, Framework},
    picture::Picture,
    record::{AgentRecord, TaskRecord, pid},
    task::{Place, Task},
};
use crate::{Key, Update, election::Candidates};

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
    masters: Candidates,
}

/// A framework's id and a task's, which is only unique within it.
type TaskKey = (Arc<str>, Arc<str>);

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
                let renamed = before.is_none_or(|before| !before.has_name_of(&framework));
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
            if let Some(framework) = self.frameworks.get_mut(&record.id.0)
                && framework.move_to(host, port)
            {
                things.push(Thing::Framework(Arc::clone(&record.id.0)));
            }
        }
        things
    }

    /// Takes who the masters are; returns whether that is news.
    pub(super) fn set_masters(&mut self, masters: Candidates) -> bool {
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
        let (id, agent) = Agent::new(record);
        self.agents.insert(id, agent);
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

#[cfg(test)]
mod tests;
