//! What an event of Marathon says is to be read again.

use std::{collections::BTreeSet, sync::Arc};

use serde::Deserialize;

/// The kinds of events that say that something may have changed; others aren't asked for.
pub(super) const KINDS: [&str; 17] = [
    "api_post_event",
    "app_terminated_event",
    "add_health_check_event",
    "remove_health_check_event",
    "health_status_changed_event",
    "status_update_event",
    "instance_changed_event",
    "instance_health_changed_event",
    "unknown_instance_terminated_event",
    "group_change_success",
    "deployment_info",
    "deployment_success",
    "deployment_failed",
    "deployment_step_success",
    "deployment_step_failure",
    "scheduler_registered_event",
    "scheduler_reregistered_event",
];

/// Says what an event is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum About {
    /// These apps.
    Apps(BTreeSet<Arc<str>>),
    /// The apps of a deployment, and these.
    Deployment(Arc<str>, BTreeSet<Arc<str>>),
    /// Nobody knows which.
    All,
    /// Nothing that matters here.
    Nothing,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    event_type: String,
    #[serde(default, alias = "runSpecId")]
    app_id: Option<Arc<str>>,
    #[serde(default)]
    app_definition: Option<Definition>,
    #[serde(default)]
    id: Option<Arc<str>>,
    #[serde(default)]
    plan: Option<Plan>,
    #[serde(default)]
    current_step: Option<Step>,
}

/// What a deployment is to do, of which `plan-format=light` leaves little.
#[derive(Deserialize)]
struct Plan {
    #[serde(default)]
    id: Option<Arc<str>>,
}

#[derive(Deserialize)]
struct Definition {
    id: Arc<str>,
}

#[derive(Deserialize)]
struct Step {
    #[serde(default)]
    actions: Vec<Action>,
}

#[derive(Deserialize)]
struct Action {
    #[serde(default)]
    app: Option<Arc<str>>,
}

impl About {
    /// Reads an event's data; what can't be read may be about anything.
    pub(super) fn of(data: &[u8]) -> Self {
        if data.is_empty() {
            // It shows that the stream is there.
            return Self::Nothing;
        }
        let Ok(event) = serde_json::from_slice::<Event>(data) else {
            return Self::All;
        };
        if !KINDS.contains(&event.event_type.as_str()) {
            return Self::Nothing;
        }
        let step = event.current_step.into_iter();
        let actions = step.flat_map(|step| step.actions);
        let mut apps: BTreeSet<_> = actions.filter_map(|action| action.app).collect();
        if event.event_type.starts_with("deployment_") {
            // Some name the deployment, some the plan, and some neither.
            return match event.id.or_else(|| event.plan?.id) {
                Some(id) => Self::Deployment(id, apps),
                None if apps.is_empty() => Self::All,
                None => Self::Apps(apps),
            };
        }
        apps.extend(event.app_id);
        apps.extend(event.app_definition.map(|definition| definition.id));
        match apps.is_empty() {
            true => Self::All,
            false => Self::Apps(apps),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_what_it_is_about() {
        let apps = |all: &[&str]| all.iter().map(|one| (*one).into()).collect();
        for (data, expected) in [
            (
                r#"{"eventType": "status_update_event", "appId": "/web", "taskStatus": "TASK_RUNNING"}"#,
                About::Apps(apps(&["/web"])),
            ),
            (
                r#"{"eventType": "instance_changed_event", "runSpecId": "/web", "condition": "Running"}"#,
                About::Apps(apps(&["/web"])),
            ),
            (
                r#"{"eventType": "api_post_event", "appDefinition": {"id": "/new"}}"#,
                About::Apps(apps(&["/new"])),
            ),
            (
                r#"{"eventType": "deployment_info", "currentStep": {"actions": [
                    {"action": "ScaleApplication", "app": "/web"}, {"pod": "/pod"}]}, "plan": {"id": "d"}}"#,
                About::Deployment("d".into(), apps(&["/web"])),
            ),
            (
                r#"{"eventType": "deployment_success", "id": "d"}"#,
                About::Deployment("d".into(), apps(&[])),
            ),
            (
                r#"{"eventType": "deployment_step_success", "currentStep":
                    {"actions": [{"app": "/web"}]}}"#,
                About::Apps(apps(&["/web"])),
            ),
            (
                r#"{"eventType": "group_change_success", "groupId": "/g"}"#,
                About::All,
            ),
            (r#"{"eventType": "event_stream_attached"}"#, About::Nothing),
            ("", About::Nothing),
            ("rubbish", About::All),
        ] {
            assert_eq!(About::of(data.as_bytes()), expected, "{data}");
        }
    }
}
