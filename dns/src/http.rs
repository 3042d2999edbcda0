//! Which ports speak HTTP, and which version of it: what HTTPS and SVCB records tell (RFC 9460).

use registry::{Instance, Port, PortName, Protocol};
use smallvec::SmallVec;

/// The names of ports that speak HTTP inside TLS, with the ids by which TLS calls the versions.
///
/// HTTPS records are for these alone: a client that finds one never speaks without TLS (RFC 9460,
/// section 9.5).
const SECURE: [Version; 3] = [
    Version::new("https", Protocol::Tcp, HTTP_1),
    Version::new("h2", Protocol::Tcp, "h2"),
    Version::new("h3", Protocol::Udp, "h3"),
];

/// The names of ports that speak HTTP without TLS; SVCB records have nothing else to tell them from
/// the others but their own name.
const BARE: [Version; 2] = [
    Version::new("http", Protocol::Tcp, HTTP_1),
    Version::new("h2c", Protocol::Tcp, "h2"),
];

/// The version that clients of HTTPS records take for granted (RFC 9460, section 9.1.1).
pub(crate) const HTTP_1: &str = "http/1.1";

/// What speaks HTTP behind one port of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The port's number.
    pub(crate) port: u16,
    /// The versions' ids (RFC 7301), each once.
    pub(crate) alpn: SmallVec<[&'static str; 3]>,
}

/// Says what a port's name stands for.
struct Version {
    name: &'static str,
    protocol: Protocol,
    alpn: &'static str,
}

impl Version {
    const fn new(name: &'static str, protocol: Protocol, alpn: &'static str) -> Self {
        Self {
            name,
            protocol,
            alpn,
        }
    }

    /// Tells whether ports of a name and protocol are meant.
    fn is(&self, name: &PortName, protocol: Protocol) -> bool {
        self.name == name.as_str() && self.protocol == protocol
    }

    /// Finds an instance's port of this name.
    fn port<'a>(&self, instance: &'a Instance) -> Option<&'a Port> {
        let mut ports = instance.ports.iter();
        ports.find(|port| {
            let name = port.name.as_ref();
            name.is_some_and(|name| self.is(name, port.protocol))
        })
    }
}

/// Lists what speaks HTTP inside TLS at an instance: one endpoint for each number of a port.
pub(crate) fn secure(instance: &Instance) -> SmallVec<[Endpoint; 1]> {
    let mut endpoints = SmallVec::<[Endpoint; 1]>::new();
    for version in &SECURE {
        let Some(Port { number, .. }) = version.port(instance) else {
            continue;
        };
        match endpoints.iter_mut().find(|one| one.port == *number) {
            Some(endpoint) => endpoint.alpn.push(version.alpn),
            None => endpoints.push(Endpoint::new(*number, version.alpn)),
        }
    }
    endpoints
}

/// Returns what speaks HTTP behind a port; `None` when its name says nothing of HTTP.
pub(crate) fn behind(port: &Port) -> Option<Endpoint> {
    let name = port.name.as_ref()?;
    let mut versions = SECURE.iter().chain(&BARE);
    let version = versions.find(|version| version.is(name, port.protocol))?;
    Some(Endpoint::new(port.number, version.alpn))
}

impl Endpoint {
    fn new(port: u16, alpn: &'static str) -> Self {
        let alpn = SmallVec::from_iter([alpn]);
        Self { port, alpn }
    }
}

#[cfg(test)]
mod tests {
    use registry::testing;

    use super::*;

    fn instance(ports: &[(&str, Protocol, u16)]) -> Instance {
        let mut instance = testing::instance("a", "10.0.0.1", 80);
        instance.ports = ports
            .iter()
            .map(|(name, protocol, number)| Port {
                name: Some(name.parse().unwrap()),
                number: *number,
                protocol: *protocol,
            })
            .collect();
        instance
    }

    fn told(endpoints: impl IntoIterator<Item = Endpoint>) -> Vec<(u16, Vec<&'static str>)> {
        let endpoints = endpoints.into_iter();
        endpoints.map(|one| (one.port, one.alpn.to_vec())).collect()
    }

    #[test]
    fn versions_behind_one_number_are_one_endpoint() {
        let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
        let one = instance(&[("h3", udp, 443), ("https", tcp, 443), ("h2", tcp, 8443)]);
        let expected = [(443, vec!["http/1.1", "h3"]), (8443, vec!["h2"])];
        assert_eq!(told(secure(&one)), expected);
        let bare = instance(&[("http", tcp, 80), ("h2c", tcp, 81), ("h3", tcp, 82)]);
        assert_eq!(told(secure(&bare)), []);
        let behind = bare.ports.iter().filter_map(behind);
        let expected = [(80, vec!["http/1.1"]), (81, vec!["h2"])];
        assert_eq!(told(behind), expected);
    }

    #[test]
    fn of_ports_with_one_name_the_first_counts() {
        let one = instance(&[("h2", Protocol::Tcp, 1), ("h2", Protocol::Tcp, 2)]);
        assert_eq!(told(secure(&one)), [(1, vec!["h2"])]);
    }
}
