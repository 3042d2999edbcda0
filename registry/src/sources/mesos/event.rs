//! The events of the v1 operator API (`include/mesos/v1/master/master.proto`).

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    picture::{Agent1, Framework1, GetState, Picture, refusal},
    record::{AgentRecord, FrameworkRecord, Id, StatusRecord, TaskRecord, TaskState},
};
use crate::Refusal;

/// How often a master says that it is there, unless it says how often.
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(15);

/// The longest time between two heartbeats that a master is believed.
const HEARTBEAT_MAX: Duration = Duration::from_secs(600);

/// One event.
#[derive(Debug)]
pub(super) enum Event {
    /// The first of a stream: all there is, and how often a heartbeat comes.
    Subscribed(Box<Picture>, Duration),
    TaskAdded(Box<TaskRecord>),
    TaskUpdated {
        framework: Arc<str>,
        status: Box<StatusRecord>,
        /// The newest state, which may be ahead of the status.
        state: TaskState,
    },
    AgentAdded(AgentRecord),
    AgentRemoved(Arc<str>),
    /// It is new or has changed.
    Framework(FrameworkRecord),
    FrameworkRemoved(Arc<str>),
    /// It says nothing that is needed here: a heartbeat, or what nobody knows.
    Other,
    /// It can't be read.
    Refused(Refusal),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(borrow, default)]
    subscribed: Option<&'a RawValue>,
    #[serde(borrow, default)]
    task_added: Option<&'a RawValue>,
    #[serde(borrow, default)]
    task_updated: Option<&'a RawValue>,
    #[serde(borrow, default)]
    agent_added: Option<&'a RawValue>,
    #[serde(borrow, default)]
    agent_removed: Option<&'a RawValue>,
    #[serde(borrow, default)]
    framework_added: Option<&'a RawValue>,
    #[serde(borrow, default)]
    framework_updated: Option<&'a RawValue>,
    #[serde(borrow, default)]
    framework_removed: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Subscribed<'a> {
    #[serde(borrow, default)]
    get_state: GetState<'a>,
    #[serde(default)]
    heartbeat_interval_seconds: Option<f64>,
}

#[derive(Deserialize)]
struct TaskAdded<'a> {
    #[serde(borrow)]
    task: &'a RawValue,
}

#[derive(Deserialize)]
struct TaskUpdated {
    framework_id: Id,
    status: StatusRecord,
    state: TaskState,
}

#[derive(Deserialize)]
struct AgentAdded {
    agent: Agent1,
}

#[derive(Deserialize)]
struct AgentRemoved {
    agent_id: Id,
}

#[derive(Deserialize)]
struct FrameworkChanged {
    framework: Framework1,
}

#[derive(Deserialize)]
struct FrameworkRemoved {
    framework_info: FrameworkRecord,
}

impl Event {
    /// Reads one record of the stream.
    ///
    /// # Errors
    ///
    /// Returns in words why the bytes are no event at all, or no state to start with: then the
    /// stream can't be trusted. An event that is wrong in itself is [`Event::Refused`].
    pub(super) fn read(text: &[u8]) -> Result<Self, String> {
        let envelope: Envelope<'_> =
            serde_json::from_slice(text).map_err(|error| format!("no event in JSON: {error}"))?;
        let Some(body) = envelope.body() else {
            return match envelope.kind.as_str() {
                "SUBSCRIBED" => Err("the stream starts without a state".to_owned()),
                _ => Ok(Self::Other),
            };
        };
        if envelope.kind == "SUBSCRIBED" {
            let subscribed: Subscribed<'_> =
                serde_json::from_str(body).map_err(|error| format!("no state in JSON: {error}"))?;
            let seconds = subscribed.heartbeat_interval_seconds;
            let heartbeat = seconds.map_or(HEARTBEAT_DEFAULT, |seconds| {
                let heartbeat = Duration::try_from_secs_f64(seconds.max(0.0));
                heartbeat.unwrap_or(HEARTBEAT_MAX).min(HEARTBEAT_MAX)
            });
            let picture = Picture::of_get_state(&subscribed.get_state);
            return Ok(Self::Subscribed(Box::new(picture), heartbeat));
        }
        let list = match envelope.kind.as_str() {
            "TASK_ADDED" | "TASK_UPDATED" => "tasks",
            "AGENT_ADDED" | "AGENT_REMOVED" => "agents",
            _ => "frameworks",
        };
        let read = Self::of_body(&envelope.kind, body);
        Ok(read.unwrap_or_else(|(text, error)| Self::Refused(refusal(list, text, &error))))
    }

    /// Reads what an event is about; on an error returns the part that has an id.
    fn of_body<'a>(kind: &str, body: &'a str) -> Result<Self, (&'a str, serde_json::Error)> {
        let failed = |error| (body, error);
        Ok(match kind {
            "TASK_ADDED" => {
                let added: TaskAdded<'a> = serde_json::from_str(body).map_err(failed)?;
                let text = added.task.get();
                let task = serde_json::from_str(text).map_err(|error| (text, error))?;
                Self::TaskAdded(Box::new(task))
            }
            "TASK_UPDATED" => {
                let updated: TaskUpdated = serde_json::from_str(body).map_err(failed)?;
                Self::TaskUpdated {
                    framework: updated.framework_id.0,
                    status: Box::new(updated.status),
                    state: updated.state,
                }
            }
            "AGENT_ADDED" => {
                let added: AgentAdded = serde_json::from_str(body).map_err(failed)?;
                Self::AgentAdded(added.agent.into())
            }
            "AGENT_REMOVED" => {
                let removed: AgentRemoved = serde_json::from_str(body).map_err(failed)?;
                Self::AgentRemoved(removed.agent_id.0)
            }
            "FRAMEWORK_ADDED" | "FRAMEWORK_UPDATED" => {
                let changed: FrameworkChanged = serde_json::from_str(body).map_err(failed)?;
                Self::Framework(changed.framework.into())
            }
            "FRAMEWORK_REMOVED" => {
                let removed: FrameworkRemoved = serde_json::from_str(body).map_err(failed)?;
                Self::FrameworkRemoved(removed.framework_info.id.0)
            }
            _ => Self::Other,
        })
    }
}

impl<'a> Envelope<'a> {
    /// Returns the member that the event's kind says to be there.
    fn body(&self) -> Option<&'a str> {
        let body = match self.kind.as_str() {
            "SUBSCRIBED" => self.subscribed,
            "TASK_ADDED" => self.task_added,
            "TASK_UPDATED" => self.task_updated,
            "AGENT_ADDED" => self.agent_added,
            "AGENT_REMOVED" => self.agent_removed,
            "FRAMEWORK_ADDED" => self.framework_added,
            "FRAMEWORK_UPDATED" => self.framework_updated,
            "FRAMEWORK_REMOVED" => self.framework_removed,
            _ => None,
        };
        body.map(RawValue::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Event {
        Event::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_stream_starts_with_a_state() {
        let event = read(
            r#"{"type": "SUBSCRIBED", "subscribed": {"heartbeat_interval_seconds": 2.5, "get_state": {
                "get_tasks": {"tasks": [{"task_id": {"value": "t"}, "framework_id": {"value": "f"},
                    "agent_id": {"value": "s"}, "name": "web", "state": "TASK_RUNNING"}]},
                "get_frameworks": {"frameworks": [{"framework_info": {"id": {"value": "f"},
                    "name": "marathon", "hostname": "h"}}]},
                "get_agents": {"agents": [{"agent_info": {"id": {"value": "s"}, "hostname": "h"},
                    "pid": "slave(1)@10.0.0.1:5051"}],
                    "recovered_agents": [{"id": {"value": "s2"}, "hostname": "h2"}]}}}}"#,
        );
        let Event::Subscribed(picture, heartbeat) = event else {
            panic!("{event:?}");
        };
        assert_eq!(heartbeat, Duration::from_millis(2_500));
        assert_eq!(picture.tasks[0].name, "web");
        assert_eq!(picture.frameworks[0].name, "marathon");
        assert_eq!(picture.agents[0].pid, "slave(1)@10.0.0.1:5051");
        assert!(picture.recovered.contains("s2") && picture.refused.is_empty());
    }

    #[test]
    fn a_master_that_promises_no_or_an_endless_heartbeat_is_not_believed() {
        for (seconds, expected) in [
            ("1e300", HEARTBEAT_MAX),
            ("-1", Duration::ZERO),
            ("null", HEARTBEAT_DEFAULT),
        ] {
            let text = format!(
                r#"{{"type": "SUBSCRIBED", "subscribed": {{"heartbeat_interval_seconds": {seconds},
                    "get_state": {{}}}}}}"#
            );
            let event = read(&text);
            let Event::Subscribed(_, heartbeat) = event else {
                panic!("{event:?}");
            };
            assert_eq!(heartbeat, expected, "{seconds}");
        }
    }

    #[test]
    fn an_update_carries_the_newest_state() {
        let event = read(
            r#"{"type": "TASK_UPDATED", "task_updated": {"framework_id": {"value": "f"},
                "status": {"task_id": {"value": "t"}, "agent_id": {"value": "s"},
                    "state": "TASK_STARTING", "timestamp": 3.0, "healthy": true},
                "state": "TASK_RUNNING"}}"#,
        );
        let Event::TaskUpdated { status, state, .. } = event else {
            panic!("{event:?}");
        };
        assert_eq!(
            (status.state, state),
            (TaskState::Starting, TaskState::Running)
        );
        assert_eq!(status.healthy, Some(true));
    }

    #[test]
    fn what_is_wrong_in_itself_is_refused_and_the_stream_goes_on() {
        let event = read(
            r#"{"type": "TASK_ADDED", "task_added": {"task": {"task_id": {"value": "t"}, "name": 5}}}"#,
        );
        let Event::Refused(refusal) = event else {
            panic!("{event:?}");
        };
        assert_eq!(refusal.key.as_str(), "tasks/t");
        for other in [
            r#"{"type": "HEARTBEAT"}"#,
            r#"{"type": "NEWER_THAN_WE", "newer": {}}"#,
            r#"{"type": "TASK_ADDED"}"#,
        ] {
            assert!(matches!(read(other), Event::Other), "{other}");
        }
        assert!(Event::read(b"{\"type\"").is_err());
        assert!(Event::read(b"{\"type\": \"SUBSCRIBED\"}").is_err());
    }
}
