//! One of `[[proxy.listeners]]`.

use std::net::SocketAddr;

use config::Problem;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Configures one address that clients connect to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Address and port.
    pub listen: SocketAddr,
    /// What clients speak there.
    #[serde(default)]
    pub protocol: Protocol,
    /// The networks of load balancers that begin each connection with a PROXY header, which says
    /// whose it is; for others no such header is looked for.
    #[serde(default)]
    pub proxy_protocol: Vec<IpNet>,
}

/// Names what clients of a listener speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1 and 1.0 without TLS.
    #[default]
    Http,
}

impl Listener {
    /// Creates a listener for HTTP to which clients connect themselves.
    pub fn http(listen: SocketAddr) -> Self {
        Self {
            listen,
            protocol: Protocol::default(),
            proxy_protocol: Vec::new(),
        }
    }

    pub(super) fn problem(&self, before: &[Self]) -> Option<Problem> {
        // Port 0 is another one each time.
        let same = |other: &Self| other.listen == self.listen && self.listen.port() != 0;
        let reason = || format!("`{}` is listened on twice", self.listen);
        let is_taken = before.iter().any(same);
        is_taken.then(|| Problem::new("listen", reason()))
    }
}
