//! A small cluster: what Mesos-DNS's own tests expect of one like it is known.

use serde_json::{Value, json};

const CHRONOS: &str = "20140703-014514-3041283216-5050-5348-0001";
const MARATHON: &str = "20140703-014514-3041283216-5050-5348-0000";
const FIRST: &str = "20140803-125133-3041283216-5050-2410-0";
const SECOND: &str = "20140827-000744-3041283216-5050-2116-1";

/// A task that runs; `more` is what else its record says.
fn task(framework: &str, agent: &str, (id, name): (&str, &str), more: Value) -> Value {
    let mut task = json!({"id": id, "name": name, "framework_id": framework, "slave_id": agent,
        "state": "TASK_RUNNING"});
    let fields = task.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    task
}

/// A status with a label, as containerizers note addresses.
fn status(timestamp: f64, key: &str, value: &str) -> Value {
    json!({"state": "TASK_RUNNING", "timestamp": timestamp,
        "labels": [{"key": "foo", "value": "bar"}, {"key": key, "value": value}]})
}

const DOCKER: &str = "Docker.NetworkSettings.IPAddress";

fn discovery(name: &str) -> Value {
    json!({"visibility": "CLUSTER", "name": name, "ports": {"ports": [
        {"number": 80, "protocol": "tcp", "name": "http"},
        {"number": 443, "protocol": "tcp", "name": "https"}]}})
}

fn of_marathon() -> Vec<Value> {
    let first = |id: &str, name: &str, more: Value| task(MARATHON, FIRST, (id, name), more);
    let liquor = task(
        MARATHON,
        SECOND,
        (
            "liquor-store.b71166c1-562f-11e4-a088-c20493233aa5",
            "non-human-readable-liquor-store",
        ),
        json!({"resources": {"ports": "[31737-31738]"}, "discovery": discovery("liquor-store"),
            "statuses": [status(1413572383.0, DOCKER, "10.3.0.2")]}),
    );
    let liquor_id = "liquor-store.b8db9f73-562f-11e4-a088-c20493233aa5";
    vec![
        first(
            "poseidon.bc4e3796-2d7a-11e4-b8df-d43d7edb01cd",
            "poseidon",
            json!({"state": "TASK_KILLED", "resources": {"ports": "[31112-31112]"}}),
        ),
        first(
            liquor_id,
            "liquor-store",
            json!({"resources": {"ports": "[31354-31354, 31355-31355]"},
                "discovery": discovery("liquor-store"),
                "statuses": [status(1413572371.0, DOCKER, "10.3.0.4"),
                    status(1413572390.0, DOCKER, "10.3.0.1"),
                    {"state": "TASK_STARTING", "timestamp": 1413572380.0}]}),
        ),
        liquor,
        first(
            "car-store.43758382-562f-11e4-a088-c20493233aa5",
            "car-store",
            json!({"resources": {"ports": "[31364-31364, 31365-31365]"},
                "statuses": [{"state": "TASK_RUNNING", "timestamp": 1413572123.0}]}),
        ),
        first(
            "chronos.49b91a9a-3dda-11e4-a088-c20493233aa5",
            "chronos",
            json!({"resources": {"ports": "[31332-31332]"}}),
        ),
        first(
            "nginx.1bc32344-3dda-11e4-a088-c20493233aa5",
            "nginx",
            json!({"resources": {"ports": "[]"},
                "statuses": [status(1410896855.0,
                    "MesosContainerizer.NetworkSettings.IPAddress", "10.3.0.3")]}),
        ),
    ]
}

/// The cluster's state; its framework's tasks are those that `/state` would list.
pub(super) fn state() -> Value {
    let agent = |id: &str, host: &str| {
        json!({"id": id, "hostname": host,
        "pid": format!("slave(1)@{host}:5051")})
    };
    let addresses = json!([{"ip_address": "12.0.1.3"}, {"ip_address": "12.0.1.2"},
        {"ip_address": "fd01:b::1:8000:2"}]);
    let toys = task(
        "ipv6-0001",
        "agent-S3",
        ("toy-store.1", "toy-store"),
        json!({"statuses": [{"state": "TASK_RUNNING", "timestamp": 1.0,
            "container_status": {"network_infos": [{"ip_addresses": addresses}]}}]}),
    );
    let some_box = task(
        CHRONOS,
        FIRST,
        ("some-box.b8db9f73-562f-11e4-a088-c20493233aa5", "some-box"),
        json!({"resources": {"ports": "[31354-31354]"}}),
    );
    json!({
        "slaves": [
            agent("20140916-194712-631065744-5050-4798-2", "1.2.3.10"),
            agent(FIRST, "1.2.3.11"),
            agent(SECOND, "1.2.3.12"),
            agent("agent-S3", "[2001:db8::1]"),
        ],
        "frameworks": [
            {"id": CHRONOS, "name": "chronos with a space AND MIXED CASE-2.0.1",
                "hostname": "localhost", "pid": "scheduler(2)@1.2.3.12:25501", "tasks": [some_box]},
            {"id": "no-pid", "name": "no pid", "hostname": "localhost", "tasks": []},
            {"id": "ipv6-0001", "name": "ipv6-framework", "hostname": "localhost",
                "pid": "scheduler(3)@[2001:db8::1]:25501", "tasks": [toys]},
            {"id": MARATHON, "name": "marathon", "hostname": "localhost",
                "pid": "scheduler(1)@1.2.3.11:25501", "tasks": of_marathon()},
        ],
    })
}

/// A task of Marathon that starts later.
pub(super) fn late() -> (&'static str, Value) {
    let more = json!({"resources": {"ports": "[31900-31900]"}});
    (MARATHON, task(MARATHON, FIRST, ("late.1", "late"), more))
}
