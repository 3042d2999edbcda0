//! Where queries for other names go.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
};

use config::{Duration, Problem};
use ipnet::IpNet;
use serde::Deserialize;

use super::Domain;

/// The port of name servers.
const PORT: u16 = 53;

/// Holds `[dns.forward]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ForwardConfig {
    /// The resolvers that are asked for names that are nobody's here, in this order; none switches
    /// forwarding off, but for `zones`.
    pub resolvers: Vec<Upstream>,
    /// Other resolvers for names in some domains.
    pub zones: HashMap<Domain, Vec<Upstream>>,
    /// The networks whose queries are forwarded; those of others are refused.
    pub clients: Vec<IpNet>,
    /// How long a resolver may take before the next one is asked.
    pub timeout: Duration,
    /// How many queries are forwarded at a time; those beyond fail.
    pub queries_max: usize,
}

/// Names a resolver: an address, with or without a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Upstream(pub(crate) SocketAddr);

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Upstream {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT));
        let found = text.parse().or(address);
        match found {
            Ok(address) if address.port() != 0 => Ok(Self(address)),
            _ => Err(format!(
                "`{text}` is not an address such as `192.0.2.1` or `192.0.2.1:53`"
            )),
        }
    }
}

impl Default for ForwardConfig {
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"];
        Self {
            resolvers: Vec::new(),
            zones: HashMap::new(),
            clients: loopback
                .map(|network| network.parse().expect("it is a network"))
                .to_vec(),
            timeout: Duration::from_secs(5),
            queries_max: 1_000,
        }
    }
}

impl ForwardConfig {
    /// Tells whether anything is forwarded.
    pub(crate) fn is_on(&self) -> bool {
        !self.resolvers.is_empty() || !self.zones.is_empty()
    }

    /// Lists what is wrong with the values; the keys are relative to the table.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut report = |key: String, reason: String| problems.push(Problem::new(key, reason));
        let lists = self.zones.iter();
        let lists = lists.map(|(domain, list)| (format!("zones.\"{domain}\""), list));
        for (domain, list) in &self.zones {
            if list.is_empty() {
                report(
                    format!("zones.\"{domain}\""),
                    "names no resolver".to_owned(),
                );
            }
        }
        for (key, list) in lists.chain([("resolvers".to_owned(), &self.resolvers)]) {
            for (at, one) in list.iter().enumerate() {
                if list[..at].contains(one) {
                    report(
                        format!("{key}[{at}]"),
                        format!("`{}` is there twice", one.0),
                    );
                }
            }
        }
        if self.is_on() && self.clients.is_empty() {
            report(
                "clients".to_owned(),
                "is empty; nobody's queries would be forwarded".to_owned(),
            );
        }
        if self.timeout.get().is_zero() {
            report("timeout".to_owned(), "`0s` leaves no time".to_owned());
        }
        if self.queries_max == 0 {
            report(
                "queries_max".to_owned(),
                "`0` leaves nothing to forward".to_owned(),
            );
        }
        problems
    }
}
