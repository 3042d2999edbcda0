//! How a task is: by its state, its health, and whether it is ready.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::record::{AppRecord, CheckRecord, TaskRecord};
use crate::State;

/// How much longer than its own timeout a readiness check may take.
const READINESS_SLACK: Duration = Duration::from_secs(5);

/// How long a task has to become ready whose check has no timeout of its own.
const READINESS_PATIENCE: Duration = Duration::from_secs(10);

/// How soon a task that isn't ready is looked at again, for want of an event.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Says how a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) state: State,
    /// As Marathon calls it.
    pub(super) text: Arc<str>,
    /// What its health checks say; `None` when they have said nothing yet.
    pub(super) is_alive: Option<bool>,
    pub(super) is_ready: bool,
    /// Whether its agent can't be reached.
    pub(super) is_lost: bool,
    /// When time alone may have changed it.
    pub(super) until: Option<SystemTime>,
}

/// Judges a task; `None` for one that has ended.
///
/// `was_alive` is what its health checks said when they last said something.
pub(super) fn judge(
    app: &AppRecord,
    task: &TaskRecord,
    was_alive: Option<bool>,
    now: SystemTime,
) -> Option<Verdict> {
    let text: Arc<str> = match (&task.state, &task.started_at) {
        (Some(state), _) => Arc::clone(state),
        // So do the versions before 1.0.
        (None, Some(_)) => "TASK_RUNNING".into(),
        (None, None) => "TASK_STAGING".into(),
    };
    let started = task.started_at.as_deref();
    let started = started.and_then(|text| humantime::parse_rfc3339_weak(text).ok());
    let (is_ready, ready_at) = readiness(app, task, started, now);
    let (is_alive, alive_at) = health(app, task, was_alive, started, now);
    let is_lost = matches!(&*text, "TASK_UNREACHABLE" | "TASK_LOST");
    let mut until = None;
    let state = match &*text {
        "TASK_STAGING" | "TASK_STARTING" => State::Starting,
        "TASK_KILLING" => State::Draining,
        "TASK_RUNNING" => match (is_ready, is_alive) {
            (true, Some(true)) => State::Up,
            (_, Some(false)) if has_been_well(task) || has_no_results(task) => State::Down,
            (true, Some(false)) => State::Starting,
            _ => {
                until = [ready_at, alive_at].into_iter().flatten().min();
                State::Starting
            }
        },
        _ if is_lost => State::Down,
        _ => return None,
    };
    Some(Verdict {
        state,
        text,
        is_alive,
        is_ready,
        is_lost,
        until,
    })
}

fn has_been_well(task: &TaskRecord) -> bool {
    let mut results = task.health_check_results.iter();
    results.any(|result| result.first_success.is_some() || result.last_success.is_some())
}

/// Tells whether what is said of a task is what was said of it before.
fn has_no_results(task: &TaskRecord) -> bool {
    let mut results = task.health_check_results.iter();
    results.all(super::record::HealthResult::is_empty)
}

/// Tells whether a task is well; and when else it is to be asked again.
///
/// A Marathon that has just come to lead has no results. Then what they were counts, and of a task that
/// has run for longer than a failing one may, that it runs.
fn health(
    app: &AppRecord,
    task: &TaskRecord,
    was_alive: Option<bool>,
    started: Option<SystemTime>,
    now: SystemTime,
) -> (Option<bool>, Option<SystemTime>) {
    let results = task.health_check_results.iter();
    let results: Vec<_> = results.filter(|one| !one.is_empty()).collect();
    if results.iter().any(|one| !one.alive) {
        return (Some(false), None);
    }
    if results.len() >= app.health_checks.len() {
        return (Some(true), None);
    }
    if was_alive.is_some() {
        return (was_alive, None);
    }
    let longest = app.health_checks.iter().map(longest_failure).max();
    let believed = started.and_then(|at| at.checked_add(longest.unwrap_or_default()));
    match believed {
        Some(at) if at <= now => (Some(true), None),
        at => (None, at),
    }
}

/// Returns for how long after its start a task may fail a check and not be killed.
fn longest_failure(check: &CheckRecord) -> Duration {
    let failures = u64::from(check.max_consecutive_failures) + 1;
    let failing = check.interval_seconds.saturating_mul(failures);
    let seconds = check.grace_period_seconds.saturating_add(failing);
    Duration::from_secs(seconds.saturating_add(check.timeout_seconds))
}

/// Tells whether a task is ready for requests; and when else it is to be asked again.
fn readiness(
    app: &AppRecord,
    task: &TaskRecord,
    started: Option<SystemTime>,
    now: SystemTime,
) -> (bool, Option<SystemTime>) {
    let soon = now.checked_add(LOOK_AGAIN);
    let Some(check) = app.readiness_checks.first() else {
        return (true, None);
    };
    if app.deployments.is_empty() {
        return (true, None);
    }
    let mut results = app.readiness_check_results.iter();
    if let Some(result) = results.find(|one| one.task_id == task.id) {
        return (result.ready, soon.filter(|_| !result.ready));
    }
    let patience = check.timeout_seconds.map(Duration::from_secs);
    let patience = patience.map_or(READINESS_PATIENCE, |timeout| timeout + READINESS_SLACK);
    // Where it can't be told when it started, no time makes it ready.
    let is_late = started.is_some_and(|at| now.duration_since(at).is_ok_and(|age| age > patience));
    (is_late, soon.filter(|_| !is_late))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2016-01-02T03:04:05Z";

    fn judged(app: Value, task: Value, was_alive: Option<bool>) -> Option<Verdict> {
        let mut app = app;
        app["id"] = json!("/web");
        let mut full = json!({"id": "t", "state": "TASK_RUNNING"});
        let fields = full.as_object_mut().unwrap();
        fields.extend(task.as_object().unwrap().clone());
        let now = humantime::parse_rfc3339_weak(NOW).unwrap();
        let app = serde_json::from_value(app).unwrap();
        judge(&app, &serde_json::from_value(full).unwrap(), was_alive, now)
    }

    fn state(app: Value, task: Value, was_alive: Option<bool>) -> State {
        judged(app, task, was_alive).unwrap().state
    }

    #[test]
    fn the_state_counts_first() {
        for (text, expected) in [
            ("TASK_STAGING", Some(State::Starting)),
            ("TASK_STARTING", Some(State::Starting)),
            ("TASK_RUNNING", Some(State::Up)),
            ("TASK_KILLING", Some(State::Draining)),
            ("TASK_UNREACHABLE", Some(State::Down)),
            ("TASK_LOST", Some(State::Down)),
            ("TASK_FAILED", None),
            ("TASK_KILLED", None),
            ("TASK_GONE_BY_OPERATOR", None),
            ("TASK_UNKNOWN", None),
        ] {
            let verdict = judged(json!({}), json!({"state": text}), None);
            assert_eq!(verdict.map(|one| one.state), expected, "{text}");
        }
        let old = judged(json!({}), json!({"state": null}), None).unwrap();
        assert_eq!((old.state, &*old.text), (State::Starting, "TASK_STAGING"));
        let old = json!({"state": null, "startedAt": "2016-01-02T03:04:05.678Z"});
        assert_eq!(state(json!({}), old, None), State::Up);
    }

    /// The table of Bamboo's own test, and of Traefik's.
    #[test]
    fn a_task_that_is_deployed_becomes_ready_by_its_check_or_by_time() {
        let app = |timeout: Value, results: Value| {
            json!({"deployments": [{"id": "d"}], "readinessChecks": [timeout],
                "readinessCheckResults": results})
        };
        let timeout = json!({"timeoutSeconds": 30});
        let ready = |is| json!([{"taskId": "t", "ready": is}]);
        for (app, started, expected) in [
            (json!({"readinessChecks": [{}]}), "", true),
            (json!({"deployments": [{"id": "d"}]}), "", true),
            (app(json!({}), ready(true)), "", true),
            (app(json!({}), ready(false)), "2016-01-01T00:00:00Z", false),
            (app(json!({}), json!([])), "rubbish", false),
            (app(json!({}), json!([])), "2016-01-02T03:03:56Z", false),
            (app(json!({}), json!([])), "2016-01-02T03:03:54Z", true),
            (
                app(timeout.clone(), json!([])),
                "2016-01-02T03:03:31Z",
                false,
            ),
            (app(timeout, json!([])), "2016-01-02T03:03:29Z", true),
        ] {
            let shown = format!("{app} {started}");
            let verdict = judged(app, json!({"startedAt": started}), None).unwrap();
            assert_eq!(verdict.is_ready, expected, "{shown}");
            assert_eq!(verdict.state == State::Up, expected, "{shown}");
            assert_eq!(verdict.until.is_some(), !expected, "{shown}");
        }
    }

    #[test]
    fn results_that_are_missing_change_nothing() {
        let app = || json!({"healthChecks": [{"gracePeriodSeconds": 60, "intervalSeconds": 10}]});
        let young = "2016-01-02T03:03:00Z";
        let task = |results: Value, started: &str| json!({"healthCheckResults": results, "startedAt": started});
        let well = json!([{"alive": true, "lastSuccess": "x"}]);
        let nothing = json!([{"alive": false, "consecutiveFailures": 0, "firstSuccess": null}]);
        assert_eq!(state(app(), task(well, young), None), State::Up);
        for missing in [json!(null), json!([]), nothing] {
            let task = task(missing, young);
            assert_eq!(state(app(), task.clone(), Some(true)), State::Up);
            assert_eq!(state(app(), task.clone(), Some(false)), State::Down);
            let verdict = judged(app(), task, None).unwrap();
            assert_eq!((verdict.state, verdict.is_alive), (State::Starting, None));
            assert!(verdict.until.is_some());
        }
        let old = task(json!([]), "2016-01-02T03:01:00Z");
        assert_eq!(state(app(), old, None), State::Up);
        let failing = json!([{"alive": false, "consecutiveFailures": 2, "lastFailure": "x"}]);
        assert_eq!(
            state(app(), task(failing, young), Some(true)),
            State::Starting
        );
        let failed = json!([{"alive": false, "firstSuccess": "x", "lastFailure": "y"}]);
        assert_eq!(state(app(), task(failed, young), Some(true)), State::Down);
    }

    #[test]
    fn all_checks_have_to_be_well() {
        let app = json!({"healthChecks": [{}, {"protocol": "TCP"}]});
        let both = |second: Value| {
            json!({"healthCheckResults":
            [{"alive": true, "lastSuccess": "x", "firstSuccess": "x"}, second]})
        };
        let good = both(json!({"alive": true, "lastSuccess": "x"}));
        assert_eq!(state(app.clone(), good, None), State::Up);
        let bad = both(json!({"alive": false, "lastFailure": "x"}));
        assert_eq!(state(app, bad, None), State::Down);
    }
}
