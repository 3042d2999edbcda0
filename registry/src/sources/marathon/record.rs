//! What Marathon says of apps and tasks, as far as it is needed.
//!
//! Versions differ in what they leave out: whatever can be absent may be, and `null` is as good as
//! absent.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};

/// An app.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AppRecord {
    pub(super) id: Arc<str>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Some values are no texts: they name secrets.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) env: BTreeMap<Arc<str>, Value>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) instances: usize,
    #[serde(default)]
    pub(super) container: Option<ContainerRecord>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) networks: Vec<NetworkRecord>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) ports: Vec<i64>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) port_definitions: Vec<PortRecord>,
    #[serde(default)]
    pub(super) ip_address: Option<IpAddressRecord>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) health_checks: Vec<CheckRecord>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) readiness_checks: Vec<ReadinessRecord>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) readiness_check_results: Vec<ReadinessResult>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) deployments: Vec<DeploymentRecord>,
    /// Each is read by itself.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) tasks: Vec<Box<RawValue>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerRecord {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) docker: DockerRecord,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) port_mappings: Vec<PortRecord>,
}

/// Where Marathon before 1.5 says how a container's network is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DockerRecord {
    #[serde(default)]
    pub(super) network: Option<Arc<str>>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) port_mappings: Vec<PortRecord>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct NetworkRecord {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) mode: String,
}

/// A port definition, a port mapping, or a port of the discovery of an app with its own address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PortRecord {
    /// The service port of a definition.
    #[serde(default)]
    pub(super) port: Option<i64>,
    /// The service port of a mapping.
    #[serde(default)]
    pub(super) service_port: Option<i64>,
    /// The port within the container, of a mapping.
    #[serde(default)]
    pub(super) container_port: Option<i64>,
    /// The port within the container, of a discovery.
    #[serde(default)]
    pub(super) number: Option<i64>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) protocol: String,
    #[serde(default)]
    pub(super) name: Option<Arc<str>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct IpAddressRecord {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) discovery: DiscoveryRecord,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct DiscoveryRecord {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) ports: Vec<PortRecord>,
}

/// A health check; the defaults are Marathon's.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CheckRecord {
    pub(super) protocol: Arc<str>,
    pub(super) path: Option<Arc<str>>,
    pub(super) port_index: Option<usize>,
    pub(super) port: Option<u16>,
    pub(super) grace_period_seconds: u64,
    pub(super) interval_seconds: u64,
    pub(super) timeout_seconds: u64,
    pub(super) max_consecutive_failures: u32,
}

impl Default for CheckRecord {
    fn default() -> Self {
        Self {
            protocol: "HTTP".into(),
            path: None,
            port_index: None,
            port: None,
            grace_period_seconds: 300,
            interval_seconds: 60,
            timeout_seconds: 20,
            max_consecutive_failures: 3,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReadinessRecord {
    #[serde(default)]
    pub(super) path: Option<Arc<str>>,
    #[serde(default)]
    pub(super) timeout_seconds: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReadinessResult {
    pub(super) task_id: Arc<str>,
    #[serde(default)]
    pub(super) ready: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct DeploymentRecord {
    pub(super) id: Arc<str>,
}

/// A task.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskRecord {
    pub(super) id: Arc<str>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) host: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) ip_addresses: Vec<AddressRecord>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) ports: Vec<i64>,
    #[serde(default)]
    pub(super) slave_id: Option<Arc<str>>,
    #[serde(default)]
    pub(super) state: Option<Arc<str>>,
    #[serde(default)]
    pub(super) started_at: Option<String>,
    #[serde(default)]
    pub(super) version: Option<Arc<str>>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) health_check_results: Vec<HealthResult>,
    #[serde(default)]
    pub(super) region: Option<Arc<str>>,
    #[serde(default)]
    pub(super) zone: Option<Arc<str>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AddressRecord {
    #[serde(default)]
    pub(super) ip_address: Option<String>,
}

/// What the last checks of a task have shown.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct HealthResult {
    #[serde(deserialize_with = "or_default")]
    pub(super) alive: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) consecutive_failures: u64,
    pub(super) first_success: Option<Box<str>>,
    pub(super) last_success: Option<Box<str>>,
    pub(super) last_failure: Option<Box<str>>,
}

impl HealthResult {
    /// Tells whether nothing has been seen yet, as after another Marathon has come to lead.
    pub(super) fn is_empty(&self) -> bool {
        !self.alive
            && self.consecutive_failures == 0
            && self.last_success.is_none()
            && self.last_failure.is_none()
    }
}

/// Reads a value, or the default where there is `null`.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
