//! All that a master says at once: `/state`, or the state that a stream of events starts with.

use std::{collections::BTreeSet, sync::Arc};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::record::{AgentRecord, FrameworkRecord, Id, TaskRecord};
use crate::{Key, Refusal};

/// Holds what could be read of a state, and what couldn't.
#[derive(Debug, Default)]
pub(super) struct Picture {
    /// `master@host:port`; only `/state` has it.
    pub(super) leader: Option<String>,
    pub(super) agents: Vec<AgentRecord>,
    /// Agents that a new leader knows of and that haven't spoken to it yet: what runs there isn't
    /// among the tasks.
    pub(super) recovered: BTreeSet<Arc<str>>,
    pub(super) frameworks: Vec<FrameworkRecord>,
    pub(super) tasks: Vec<TaskRecord>,
    pub(super) refused: Vec<Refusal>,
}

type Raw<'a> = &'a RawValue;

#[derive(Deserialize)]
struct StateDocument<'a> {
    #[serde(default)]
    leader: String,
    #[serde(default, borrow)]
    slaves: Vec<Raw<'a>>,
    #[serde(default, borrow)]
    recovered_slaves: Vec<Raw<'a>>,
    #[serde(default, borrow)]
    frameworks: Vec<Raw<'a>>,
}

/// The lists within a framework of `/state`.
#[derive(Deserialize)]
struct Tasks<'a> {
    #[serde(default, borrow)]
    tasks: Vec<Raw<'a>>,
    #[serde(default, borrow)]
    unreachable_tasks: Vec<Raw<'a>>,
}

/// `get_state` of the v1 operator API.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct GetState<'a> {
    #[serde(borrow)]
    get_tasks: Tasks1<'a>,
    #[serde(borrow)]
    get_frameworks: Frameworks1<'a>,
    #[serde(borrow)]
    get_agents: Agents1<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Tasks1<'a> {
    #[serde(borrow)]
    tasks: Vec<Raw<'a>>,
    #[serde(borrow)]
    unreachable_tasks: Vec<Raw<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Frameworks1<'a> {
    #[serde(borrow)]
    frameworks: Vec<Raw<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Agents1<'a> {
    #[serde(borrow)]
    agents: Vec<Raw<'a>>,
    #[serde(borrow)]
    recovered_agents: Vec<Raw<'a>>,
}

/// A framework of the v1 operator API.
#[derive(Deserialize)]
pub(super) struct Framework1 {
    framework_info: FrameworkRecord,
}

/// An agent of the v1 operator API.
#[derive(Deserialize)]
pub(super) struct Agent1 {
    agent_info: AgentInfo,
    #[serde(default)]
    pid: String,
}

#[derive(Deserialize)]
struct AgentInfo {
    id: Id,
    #[serde(default)]
    hostname: String,
}

impl From<Framework1> for FrameworkRecord {
    fn from(framework: Framework1) -> Self {
        framework.framework_info
    }
}

impl From<Agent1> for AgentRecord {
    fn from(agent: Agent1) -> Self {
        Self {
            id: agent.agent_info.id,
            hostname: agent.agent_info.hostname,
            pid: agent.pid,
        }
    }
}

/// As much of an agent that has yet to come back as is needed.
#[derive(Deserialize)]
#[serde(untagged)]
enum Recovered {
    Plain { id: Id },
    Wrapped { agent_info: AgentInfo },
}

impl Picture {
    /// Reads `/state`.
    ///
    /// # Errors
    ///
    /// Returns in words why the text is no such document; what is wrong within it is refused alone.
    pub(super) fn of_state(text: &[u8]) -> Result<Self, String> {
        let document: StateDocument<'_> =
            serde_json::from_slice(text).map_err(|error| format!("no state in JSON: {error}"))?;
        let mut picture = Self {
            leader: Some(document.leader),
            ..Self::default()
        };
        picture.agents = picture.read("agents", &document.slaves);
        picture.recover(&document.recovered_slaves);
        for raw in &document.frameworks {
            // What a framework is like and what it runs are read apart: each may be wrong alone.
            let named: Vec<FrameworkRecord> = picture.read("frameworks", &[raw]);
            if let Ok(lists) = serde_json::from_str::<Tasks<'_>>(raw.get()) {
                let all = [lists.tasks, lists.unreachable_tasks].concat();
                let mut tasks: Vec<TaskRecord> = picture.read("tasks", &all);
                // Where a task stands counts for more than what it says, as in Mesos-DNS.
                for (task, framework) in tasks.iter_mut().zip(named.iter().cycle()) {
                    task.framework_id = framework.id.clone();
                }
                picture.tasks.extend(tasks);
            }
            picture.frameworks.extend(named);
        }
        Ok(picture)
    }

    /// Takes what a stream of events starts with.
    pub(super) fn of_get_state(state: &GetState<'_>) -> Self {
        let mut picture = Self::default();
        let agents: Vec<Agent1> = picture.read("agents", &state.get_agents.agents);
        picture.agents = agents.into_iter().map(Into::into).collect();
        picture.recover(&state.get_agents.recovered_agents);
        let frameworks: Vec<Framework1> =
            picture.read("frameworks", &state.get_frameworks.frameworks);
        picture.frameworks = frameworks.into_iter().map(Into::into).collect();
        let tasks = &state.get_tasks;
        picture.tasks = picture.read("tasks", &tasks.tasks);
        let unreachable: Vec<TaskRecord> = picture.read("tasks", &tasks.unreachable_tasks);
        picture.tasks.extend(unreachable);
        picture
    }

    fn recover(&mut self, agents: &[Raw<'_>]) {
        let agents: Vec<Recovered> = self.read("agents", agents);
        let ids = agents.into_iter().map(|agent| match agent {
            Recovered::Plain { id } => id.0,
            Recovered::Wrapped { agent_info } => agent_info.id.0,
        });
        self.recovered = ids.collect();
    }

    /// Reads what can be read, and refuses the rest.
    fn read<'a, T: Deserialize<'a>>(&mut self, list: &str, raw: &[Raw<'a>]) -> Vec<T> {
        let mut read = Vec::with_capacity(raw.len());
        for raw in raw {
            match serde_json::from_str(raw.get()) {
                Ok(one) => read.push(one),
                Err(error) => self.refused.push(refusal(list, raw.get(), &error)),
            }
        }
        read
    }
}

/// Refuses what can't be read, by its id as far as it has one.
pub(super) fn refusal(list: &str, text: &str, error: &serde_json::Error) -> Refusal {
    #[derive(Deserialize, Default)]
    struct Ids {
        #[serde(default, alias = "task_id")]
        id: Option<Id>,
    }
    let ids: Ids = serde_json::from_str(text).unwrap_or_default();
    let id = ids.id.map_or_else(|| "?".into(), |id| id.0);
    Refusal {
        key: Key::new(format!("{list}/{id}")),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_read_is_refused_alone() {
        let picture = Picture::of_state(
            br#"{"leader": "master@10.0.0.1:5050",
                "slaves": [{"id": "s1", "pid": "slave(1)@10.0.0.2:5051"}, {"id": 7}, 5],
                "recovered_slaves": [{"id": "s2", "hostname": "h"}],
                "frameworks": [
                    {"id": "f1", "name": "marathon", "tasks": [
                        {"id": "t1", "framework_id": "f", "slave_id": "s1", "state": "TASK_RUNNING"},
                        {"id": "t2", "framework_id": "f1", "state": "TASK_RUNNING"},
                        {"id": "t3", "framework_id": "f1", "slave_id": "s1", "state": "TASK_RUNNING",
                         "resources": {"ports": "many"}}]},
                    {"name": "nobody"}]}"#,
        )
        .unwrap();
        assert_eq!((picture.agents.len(), picture.tasks.len()), (1, 1));
        assert_eq!(&*picture.tasks[0].framework_id.0, "f1");
        assert_eq!(picture.frameworks.len(), 1);
        assert!(picture.recovered.contains("s2"));
        let refused: Vec<_> = picture.refused.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(
            refused,
            [
                "agents/?",
                "agents/?",
                "tasks/t2",
                "tasks/t3",
                "frameworks/?"
            ]
        );
        let reason = &picture.refused[3].reason;
        assert!(reason.contains("`many` are no ranges of ports"), "{reason}");
    }

    #[test]
    fn a_state_cut_in_half_is_no_state() {
        let reason = Picture::of_state(br#"{"leader": "master@1.2.3.4:5050", "slaves": [{"id""#);
        assert!(reason.unwrap_err().starts_with("no state in JSON: EOF"));
    }
}
