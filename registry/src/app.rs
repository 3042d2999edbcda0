//! What is said of a service besides its instances: the application behind it, and who is sent to it.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use crate::{Protocol, ServiceName};

/// Holds what is said of a service besides its instances, for those who make routes of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct About {
    /// The application behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<Arc<App>>,
    /// Which requests it is to get; there may be several, of apps whose ids come to the same name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Arc<AppRule>>,
}

impl About {
    /// Says nothing.
    pub const NOTHING: Self = Self {
        app: None,
        rules: Vec::new(),
    };

    /// Adds what another record says; of the application the first one counts.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.rules.extend(other.rules.iter().cloned());
        Self {
            app: self.app.or_else(|| other.app.clone()),
            rules: self.rules,
        }
    }
}

/// Says which requests an application is to get, as somebody has written it down in a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppRule {
    /// The application, such as `/group/web`.
    pub id: Arc<str>,
    /// Which requests, in the words of HAProxy's ACLs.
    pub acl: Arc<str>,
    /// All that is written with it, the ACL among it; nothing in the oldest form.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<Arc<str>, Arc<str>>,
    /// The record.
    pub path: Arc<str>,
    /// The source.
    pub source: Arc<str>,
}

/// Describes an application whose tasks are the instances of services.
///
/// It is there for what is made of such descriptions, routes among it; the registry only keeps it with
/// the service of the first port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct App {
    /// What the orchestrator calls it, such as `/group/web`.
    pub id: Arc<str>,
    /// The source that tells of it.
    pub source: Arc<str>,
    /// What its owners say of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// The environment that its tasks get, as far as it has no secrets.
    #[serde(skip)]
    pub env: BTreeMap<Arc<str>, Arc<str>>,
    /// Its ports, the first one that of the service itself.
    pub ports: Vec<AppPort>,
    /// How the orchestrator asks whether a task is well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<AppCheck>,
    /// Where the orchestrator asks whether a new task is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_path: Option<Arc<str>>,
    /// Whether a task has an address of its own.
    pub has_own_address: bool,
    /// The two colours of which it is made, the older one first, when it is deployed by two apps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub colours: Vec<Arc<str>>,
    /// The service that is made of this app and of one of another colour; no routes are made to one alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub together: Option<ServiceName>,
}

/// Describes one port of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppPort {
    /// The service whose instances have this port as their first.
    pub service: ServiceName,
    /// The port that clients know it by; 0 when there is none.
    pub service_port: u16,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// The port within a task's container, where that is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u16>,
    /// What runs on it.
    pub protocol: Protocol,
}

/// Describes one health check of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppCheck {
    /// As the orchestrator writes it, such as `HTTP` or `MESOS_TCP`.
    pub protocol: Arc<str>,
    /// What is asked for; empty without HTTP.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub path: Arc<str>,
    /// Which of the app's ports is asked; `None` when it is one of no service.
    pub port_index: Option<usize>,
    /// How long after its start a task may fail, in seconds.
    pub grace_seconds: u64,
    /// How often it is asked, in seconds.
    pub interval_seconds: u64,
    /// How long an answer may take, in seconds.
    pub timeout_seconds: u64,
    /// How many failures in a row a task survives.
    pub failures_max: u32,
}
