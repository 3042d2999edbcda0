//! The table `[compat.marathon_lb]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ::config::Problem;
use serde::Deserialize;

/// Configures routes by the labels of marathon-lb.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The groups whose apps get routes; `*` stands for all.
    pub groups: Vec<String>,
    /// Whether a port has to be enabled by its label.
    #[serde(default)]
    pub strict: bool,
    /// Where service ports are listened on, unless a label says it.
    #[serde(default = "bind_addr")]
    pub bind_addr: IpAddr,
    /// Whether each service port is listened on.
    #[serde(default = "yes")]
    pub service_ports: bool,
    /// How many ports are listened on for apps at the most.
    #[serde(default = "listeners_max")]
    pub listeners_max: usize,
    /// Where requests are routed by their header `X-Marathon-App-Id`; nowhere when left out.
    pub app_id_listen: Option<SocketAddr>,
    /// Whether instances are asked as Marathon does.
    #[serde(default = "yes")]
    pub health_checks: bool,
}

impl Config {
    /// Finds what is wrong beyond what the types can say.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.groups.is_empty() {
            problems.push(Problem::new("groups", "is empty; no app would have routes"));
        }
        for (at, group) in self.groups.iter().enumerate() {
            if group.trim().is_empty() || group.contains(',') {
                let reason = format!("`{group}` is not a group");
                problems.push(Problem::new(format!("groups[{at}]"), reason));
            }
        }
        problems
    }
}

fn bind_addr() -> IpAddr {
    Ipv4Addr::UNSPECIFIED.into()
}

fn listeners_max() -> usize {
    512
}

fn yes() -> bool {
    true
}
