//! What a master says of tasks, agents and frameworks, in both of its ways: `/state`, and the events
//! of the v1 operator API.
//!
//! The two differ in how they write ids (`"a"`, `{"value": "a"}`), labels (a list, or one within
//! `labels`) and resources (`{"ports": "[1-2]"}`, or a list); the types here read either.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, de::Error as _};

/// The most ports of a task that are listed; ranges may be as wide as an agent has ports.
pub(super) const PORTS_MAX: usize = 256;

/// An id, written as `"a"` or as `{"value": "a"}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(pub(super) Arc<str>);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Plain(Arc<str>),
            Wrapped { value: Arc<str> },
        }
        let (Form::Plain(value) | Form::Wrapped { value }) = Form::deserialize(deserializer)?;
        match value.is_empty() {
            true => Err(D::Error::custom("an id is empty")),
            false => Ok(Self(value)),
        }
    }
}

/// A task.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct TaskRecord {
    #[serde(alias = "task_id")]
    pub(super) id: Id,
    pub(super) framework_id: Id,
    #[serde(alias = "agent_id")]
    pub(super) slave_id: Id,
    #[serde(default)]
    pub(super) name: String,
    pub(super) state: TaskState,
    #[serde(default)]
    pub(super) discovery: Option<Discovery>,
    #[serde(default, deserialize_with = "ports")]
    pub(super) resources: Vec<(i64, i64)>,
    #[serde(default)]
    pub(super) statuses: Vec<StatusRecord>,
}

/// Says how a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum TaskState {
    #[serde(rename = "TASK_STAGING", alias = "TASK_STARTING")]
    Starting,
    #[serde(rename = "TASK_RUNNING")]
    Running,
    #[serde(rename = "TASK_KILLING")]
    Killing,
    /// Its agent can't be reached; it may come back.
    #[serde(rename = "TASK_UNREACHABLE")]
    Unreachable,
    /// Finished, failed, lost, gone, or a word that nobody knows: it gets nothing.
    #[serde(other, rename = "TASK_FINISHED")]
    Over,
}

/// What a task says of itself for others to find it.
#[derive(Debug, Clone, Deserialize, Default)]
pub(super) struct Discovery {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    ports: DiscoveryPorts,
}

#[derive(Debug, Clone, Deserialize, Default)]
struct DiscoveryPorts {
    #[serde(default)]
    ports: Vec<DiscoveryPort>,
}

/// A port that a task says.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct DiscoveryPort {
    pub(super) number: i64,
    #[serde(default)]
    pub(super) name: String,
    /// `tcp`, `udp` or both with a comma; empty for both.
    #[serde(default)]
    pub(super) protocol: String,
}

impl Discovery {
    pub(super) fn ports(&self) -> &[DiscoveryPort] {
        &self.ports.ports
    }
}

/// What was said of a task at one time.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct StatusRecord {
    pub(super) state: TaskState,
    #[serde(default)]
    pub(super) timestamp: f64,
    #[serde(default)]
    pub(super) healthy: Option<bool>,
    #[serde(default, deserialize_with = "labels")]
    pub(super) labels: Vec<Label>,
    #[serde(default)]
    container_status: ContainerStatus,
    /// Only in an event, which is about this task.
    #[serde(default)]
    pub(super) task_id: Option<Id>,
}

#[derive(Debug, Clone, Deserialize, Default)]
struct ContainerStatus {
    #[serde(default)]
    network_infos: Vec<NetworkInfo>,
}

#[derive(Debug, Clone, Deserialize, Default)]
struct NetworkInfo {
    #[serde(default)]
    ip_addresses: Vec<IpAddress>,
    /// As Mesos 0.25 had it.
    #[serde(default)]
    ip_address: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct IpAddress {
    #[serde(default)]
    ip_address: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Label {
    pub(super) key: String,
    #[serde(default)]
    pub(super) value: String,
}

impl StatusRecord {
    /// Lists the addresses of the container's networks, as they are written.
    pub(super) fn network_addresses(&self) -> impl Iterator<Item = &str> {
        self.container_status.network_infos.iter().flat_map(|info| {
            let new = info.ip_addresses.iter();
            let new = new.filter_map(|address| address.ip_address.as_deref());
            let old = info.ip_address.as_deref();
            new.chain(old.filter(|_| info.ip_addresses.is_empty()))
        })
    }

    /// Lists the values of the labels with a key.
    pub(super) fn label_values(&self, key: &'static str) -> impl Iterator<Item = &str> {
        let labels = self.labels.iter().filter(move |label| label.key == key);
        labels.map(|label| label.value.as_str())
    }
}

/// An agent.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct AgentRecord {
    pub(super) id: Id,
    #[serde(default)]
    pub(super) hostname: String,
    /// `slave(1)@10.0.0.1:5051`
    #[serde(default)]
    pub(super) pid: String,
}

/// A framework.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct FrameworkRecord {
    pub(super) id: Id,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) hostname: String,
    /// `scheduler-1@10.0.0.1:4000`; one that speaks HTTP has none.
    #[serde(default)]
    pub(super) pid: Option<String>,
}

/// Takes `name@host:port` apart; the host is an address (a v6 one in brackets) or a name.
pub(super) fn pid(text: &str) -> Option<(&str, u16)> {
    let (name, place) = text.trim().split_once('@')?;
    let (host, port) = place.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!name.is_empty() && !host.is_empty()).then_some((host, port))
}

fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Label>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Plain(Vec<Label>),
        Wrapped {
            #[serde(default)]
            labels: Vec<Label>,
        },
    }
    let (Form::Plain(labels) | Form::Wrapped { labels }) = Form::deserialize(deserializer)?;
    Ok(labels)
}

/// Reads the ranges of ports among resources.
fn ports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(i64, i64)>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        List(Vec<Resource>),
        Table {
            #[serde(default)]
            ports: Option<String>,
        },
    }
    #[derive(Deserialize)]
    struct Resource {
        name: String,
        #[serde(default)]
        ranges: Ranges,
    }
    #[derive(Deserialize, Default)]
    struct Ranges {
        #[serde(default)]
        range: Vec<Range>,
    }
    #[derive(Deserialize)]
    struct Range {
        begin: i64,
        end: i64,
    }
    match Form::deserialize(deserializer)? {
        Form::Table { ports } => {
            let text = ports.unwrap_or_default();
            ranges(&text)
                .ok_or_else(|| D::Error::custom(format!("`{text}` are no ranges of ports")))
        }
        Form::List(resources) => {
            let ports = resources.into_iter().filter(|one| one.name == "ports");
            let ranges = ports.flat_map(|resource| resource.ranges.range);
            Ok(ranges.map(|range| (range.begin, range.end)).collect())
        }
    }
}

/// Reads `[31000-31001, 31005-31005]`.
fn ranges(text: &str) -> Option<Vec<(i64, i64)>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Vec::new());
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let parts = inner
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let range = |part: &str| {
        let (begin, end) = part.split_once('-')?;
        Some((begin.trim().parse().ok()?, end.trim().parse().ok()?))
    };
    parts.map(range).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_ways_to_write_a_task_say_the_same() {
        let old = json!({
            "id": "t", "framework_id": "f", "slave_id": "s", "name": "web", "state": "TASK_RUNNING",
            "resources": {"cpus": 1, "ports": "[31111-31111, 31115-31117]"},
            "statuses": [{
                "state": "TASK_RUNNING", "timestamp": 1.5,
                "labels": [{"key": "a", "value": "b"}],
                "container_status": {"network_infos": [
                    {"ip_address": "10.0.0.1"},
                    {"ip_address": "10.0.0.9", "ip_addresses": [{"ip_address": "10.0.0.2"}]},
                ]},
            }],
        });
        let new = json!({
            "task_id": {"value": "t"}, "framework_id": {"value": "f"}, "agent_id": {"value": "s"},
            "name": "web", "state": "TASK_RUNNING",
            "resources": [
                {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0}},
                {"name": "ports", "type": "RANGES", "ranges": {"range": [
                    {"begin": 31111, "end": 31111}, {"begin": 31115, "end": 31117},
                ]}},
            ],
            "statuses": [{
                "state": "TASK_RUNNING", "timestamp": 1.5, "task_id": {"value": "t"},
                "labels": {"labels": [{"key": "a", "value": "b"}]},
                "container_status": {"network_infos": [
                    {"ip_address": "10.0.0.1"},
                    {"ip_addresses": [{"protocol": "IPv4", "ip_address": "10.0.0.2"}]},
                ]},
            }],
        });
        for text in [old, new] {
            let task: TaskRecord = serde_json::from_value(text).unwrap();
            assert_eq!(
                (&*task.id.0, &*task.framework_id.0, &*task.slave_id.0),
                ("t", "f", "s")
            );
            assert_eq!(task.resources, [(31111, 31111), (31115, 31117)]);
            let status = &task.statuses[0];
            let addresses: Vec<_> = status.network_addresses().collect();
            assert_eq!(addresses, ["10.0.0.1", "10.0.0.2"]);
            assert_eq!(status.label_values("a").collect::<Vec<_>>(), ["b"]);
        }
    }

    #[test]
    fn a_state_that_nobody_knows_is_over() {
        let state = |text: &str| serde_json::from_value::<TaskState>(json!(text)).unwrap();
        assert_eq!(state("TASK_RUNNING"), TaskState::Running);
        assert_eq!(state("TASK_STARTING"), TaskState::Starting);
        assert_eq!(state("TASK_GONE_BY_OPERATOR"), TaskState::Over);
        assert_eq!(state("TASK_NEVER_HEARD_OF"), TaskState::Over);
    }

    #[test]
    fn a_pid_is_taken_apart() {
        for (text, expected) in [
            ("slave(1)@127.0.0.1:5051", Some(("127.0.0.1", 5051))),
            ("  slave(1)@127.0.0.1:5051 ", Some(("127.0.0.1", 5051))),
            ("slave(1)@[2001:db8::1]:5051", Some(("[2001:db8::1]", 5051))),
            ("master@host.example:5050", Some(("host.example", 5050))),
            ("", None),
            ("@", None),
            ("1@", None),
            ("@2", None),
            ("3@4", None),
            ("a@b:0", None),
        ] {
            assert_eq!(pid(text), expected, "{text}");
        }
    }

    #[test]
    fn ranges_of_ports_are_read_or_refused() {
        assert_eq!(ranges(""), Some(vec![]));
        assert_eq!(ranges("[]"), Some(vec![]));
        assert_eq!(ranges("[1-2,3-3]"), Some(vec![(1, 2), (3, 3)]));
        for bad in ["1-2", "[1]", "[a-b]", "[1-2"] {
            assert_eq!(ranges(bad), None, "{bad}");
        }
    }
}
