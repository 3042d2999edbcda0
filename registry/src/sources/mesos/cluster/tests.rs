use serde_json::json;

use super::*;
use crate::{Entry, ServiceName, State, sources::mesos::config::IpSource};

fn making() -> Making {
    Making {
        source: "test".into(),
        ip_sources: vec![IpSource::Netinfo, IpSource::Mesos, IpSource::Host],
        weight: 1,
    }
}

fn task(id: &str, name: &str, state: &str) -> serde_json::Value {
    json!({
        "id": id, "framework_id": "f1", "slave_id": "20-S1", "name": name, "state": state,
        "resources": {"ports": "[31000-31001]"},
        "statuses": [{"state": "TASK_RUNNING", "timestamp": 1.0, "container_status":
            {"network_infos": [{"ip_addresses": [{"ip_address": "10.9.0.1"}]}]}}],
    })
}

fn state(tasks: &[serde_json::Value], recovered: &[&str]) -> Picture {
    let known = recovered.is_empty();
    let agents = [json!({"id": "20-S1", "pid": "slave(1)@10.0.0.1:5051"})];
    let document = json!({
        "leader": "master@10.0.0.9:5050",
        "slaves": if known { &agents[..] } else { &[] },
        "recovered_slaves":
            recovered.iter().map(|id| json!({"id": id, "hostname": "h"})).collect::<Vec<_>>(),
        "frameworks": [{"id": "f1", "name": "marathon", "pid": "s@10.0.0.8:4000", "tasks": tasks}],
    });
    Picture::of_state(document.to_string().as_bytes()).unwrap()
}

fn event(text: serde_json::Value) -> Event {
    Event::read(text.to_string().as_bytes()).unwrap()
}

/// What a reset says: `service/id at addresses, its ports, its state`.
fn told(cluster: &Cluster) -> Vec<String> {
    let (Update::Reset { entries, .. }, _) = cluster.reset(&making()) else {
        panic!("no reset");
    };
    let mut lines: Vec<_> = entries.iter().map(line).collect();
    lines.sort();
    lines
}

fn line(entry: &Entry) -> String {
    let instance = &entry.instances[0];
    let ports: Vec<_> = instance.ports.iter().map(|port| port.number).collect();
    format!(
        "{}/{} {:?} {ports:?} {}",
        entry.service, instance.id, instance.addresses, instance.state
    )
}

#[test]
fn a_task_is_at_its_own_address_and_at_its_agents() {
    let mut cluster = Cluster::default();
    cluster.set_masters(Candidates {
        leader: Some(("10.0.0.9".to_owned(), 5050)),
        all: vec![("10.0.0.7".to_owned(), 5050)],
    });
    cluster.replace(state(&[task("test", "We_b", "TASK_RUNNING")], &[]));
    assert_eq!(
        told(&cluster),
        [
            "leader/leader [10.0.0.9] [5050, 5050] up",
            "marathon/f1 [10.0.0.8] [4000] up",
            "master/master0 [10.0.0.7] [5050, 5050] up",
            "master/master1 [10.0.0.9] [5050, 5050] up",
            "slave/20-s1 [10.0.0.1] [5051] up",
            "we-b.marathon.slave/we-b-iffe9-s1 [10.0.0.1] [31000, 31000, 31001, 31001] up",
            "we-b.marathon/we-b-iffe9-s1 [10.9.0.1] [31000, 31000, 31001, 31001] up",
        ]
    );
}

#[test]
fn a_discovery_name_with_dots_is_a_service_too() {
    let mut cluster = Cluster::default();
    let mut app = task("test", "app.group", "TASK_RUNNING");
    app["discovery"] = json!({"name": "app.group", "ports": {"ports": [
        {"number": 80, "name": "http", "protocol": "tcp"},
        {"number": 0, "protocol": "tcp"},
        {"number": 53, "protocol": "sctp"},
    ]}});
    cluster.replace(state(&[app], &[]));
    let tasks: Vec<_> = told(&cluster)
        .into_iter()
        .filter(|one| one.contains("iffe9"))
        .collect();
    assert_eq!(
        tasks,
        [
            "app-group.marathon.slave/app-group-iffe9-s1 [10.0.0.1] [31000, 31000, 31001, 31001] up",
            "app-group.marathon/app-group-iffe9-s1 [10.9.0.1] [80] up",
            "app.group.marathon.slave/group-iffe9-s1 [10.0.0.1] [31000, 31000, 31001, 31001] up",
            "app.group.marathon/group-iffe9-s1 [10.9.0.1] [80] up",
        ]
    );
    let key = Thing::Task(("f1".into(), "test".into()));
    let said = cluster.say(&key, &making());
    let Some(Update::Refuse(refusal)) = said.last() else {
        panic!("{said:?}");
    };
    assert_eq!(
        refusal.reason,
        "port 0 is not between 1 and 65535; port 53: `sctp` is neither tcp nor udp"
    );
}

#[test]
fn what_is_not_known_yet_refuses_a_task_alone() {
    let mut cluster = Cluster::default();
    let mut lost = task("t2", "b", "TASK_RUNNING");
    lost["slave_id"] = json!("20-S2");
    cluster.replace(state(&[task("test", "a", "TASK_RUNNING"), lost], &[]));
    let key = Thing::Task(("f1".into(), "t2".into()));
    let said = cluster.say(&key, &making());
    let [Update::Refuse(refusal)] = &said[..] else {
        panic!("{said:?}");
    };
    assert_eq!(refusal.reason, "its agent `20-S2` is not known");
    let things = cluster.apply(event(json!({"type": "AGENT_ADDED", "agent_added": {"agent": {
        "agent_info": {"id": {"value": "20-S2"}, "hostname": "h"}, "pid": "slave(1)@10.0.0.2:5051"}}})));
    assert!(things.contains(&key), "{things:?}");
    assert!(
        told(&cluster)
            .iter()
            .any(|line| line.starts_with("b.marathon/"))
    );
}

#[test]
fn a_task_goes_its_way_by_events() {
    let mut cluster = Cluster::default();
    cluster.replace(state(&[task("test", "a", "TASK_STAGING")], &[]));
    let key = Thing::Task(("f1".into(), "test".into()));
    let update = |state: &str, healthy: Option<bool>| {
        event(
            json!({"type": "TASK_UPDATED", "task_updated": {"framework_id": {"value": "f1"},
            "state": state, "status": {"task_id": {"value": "test"}, "agent_id": {"value": "20-S1"},
                "state": state, "timestamp": 2.0, "healthy": healthy}}}),
        )
    };
    let state = |cluster: &Cluster| match cluster.say(&key, &making()).first() {
        Some(Update::Put(entry)) => Some(entry.instances[0].state),
        _ => None,
    };
    assert_eq!(state(&cluster), Some(State::Starting));
    for (text, healthy, expected) in [
        ("TASK_RUNNING", None, Some(State::Up)),
        ("TASK_UNREACHABLE", None, Some(State::Down)),
        ("TASK_RUNNING", Some(false), Some(State::Down)),
        ("TASK_KILLING", None, Some(State::Draining)),
        ("TASK_KILLED", None, None),
        ("TASK_RUNNING", None, None),
    ] {
        assert_eq!(
            cluster.apply(update(text, healthy)),
            std::slice::from_ref(&key)
        );
        assert_eq!(state(&cluster), expected, "{text}");
    }
}

#[test]
fn a_new_leader_that_knows_little_empties_nothing() {
    let mut cluster = Cluster::default();
    cluster.replace(state(&[task("test", "a", "TASK_RUNNING")], &[]));
    let before = told(&cluster);
    cluster.replace(state(&[], &["20-S1"]));
    assert_eq!(told(&cluster), before);
    // The agent is given up.
    let things = cluster.apply(event(
        json!({"type": "AGENT_REMOVED", "agent_removed": {"agent_id": {"value": "20-S1"}}}),
    ));
    assert_eq!(things.len(), 2);
    assert_eq!(told(&cluster), ["marathon/f1 [10.0.0.8] [4000] up"]);
}

#[test]
fn a_framework_takes_its_tasks_along() {
    let mut cluster = Cluster::default();
    cluster.replace(state(&[task("test", "a", "TASK_RUNNING")], &[]));
    let renamed = cluster.apply(event(
        json!({"type": "FRAMEWORK_UPDATED", "framework_updated":
        {"framework": {"framework_info": {"id": {"value": "f1"}, "name": "Other"}}}}),
    ));
    assert_eq!(renamed.len(), 2);
    let name: ServiceName = "a.other".parse().unwrap();
    let said = cluster.say(&renamed[1], &making());
    assert!(
        matches!(&said[0], Update::Put(entry) if entry.service == name),
        "{said:?}"
    );
    let gone = cluster.apply(event(
        json!({"type": "FRAMEWORK_REMOVED", "framework_removed":
        {"framework_info": {"id": {"value": "f1"}, "name": "Other"}}}),
    ));
    assert_eq!(gone.len(), 2);
    assert_eq!(told(&cluster), ["slave/20-s1 [10.0.0.1] [5051] up"]);
}
