//! Records as programs want them, for APIs beside DNS: addresses and ports.

use std::{collections::HashMap, net::IpAddr};

use registry::Service;

use crate::{Zones, name::Name, rrset::RrSet, table::Node, wire::rtype, zone::Zone};

/// What an address or a port record says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Record {
    /// An A or AAAA record.
    Address(IpAddr),
    /// An SRV record.
    Port {
        /// The port.
        number: u16,
        /// The name of the host, in lower case and with the final dot.
        target: String,
    },
}

/// The records at one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The name, in lower case and with the final dot.
    pub name: String,
    /// Its records, in the order in which they sort.
    pub records: Vec<Record>,
}

impl Zones {
    /// Returns the addresses and ports at a name, written with or without the final dot and in any case;
    /// nothing where the name doesn't exist or belongs to nobody here.
    pub fn lookup(&self, name: &str) -> Vec<Record> {
        let Ok(name) = Name::parse(name) else {
            return Vec::new();
        };
        let found = self.zone_of(name.as_bytes());
        let node = found.and_then(|(zone, relative)| zone.table.node(relative));
        node.map(of_node).unwrap_or_default()
    }

    /// Lists the names with addresses or ports in the zone of a domain, sorted; `None` when there is no
    /// such zone.
    pub fn named(&self, domain: &str) -> Option<Vec<Named>> {
        let zone = self.zone(domain)?;
        let names = zone.table.nodes().filter_map(|(relative, node)| {
            let name = absolute(relative, zone)?;
            let records = of_node(node);
            (!records.is_empty()).then_some(Named { name, records })
        });
        let mut names: Vec<_> = names.collect();
        names.sort_by(|a, b| a.name.cmp(&b.name));
        Some(names)
    }

    /// Lists the names and records that a service would have in the zone of a domain if it were alone
    /// there; nothing when there is no such zone.
    pub fn named_of(&self, domain: &str, service: &Service) -> Vec<Named> {
        let Some(zone) = self.zone(domain) else {
            return Vec::new();
        };
        let Some(excerpt) = zone.words.excerpt(service) else {
            return Vec::new();
        };
        let service = &*excerpt.service;
        let mut named: HashMap<String, Vec<Record>> = HashMap::new();
        let mut order = Vec::new();
        zone.words.names().each(service, &mut |name, rank, view| {
            let part = view.part(rank, service, &zone.words);
            let records: Vec<_> = part.sets.iter().flat_map(of_set).collect();
            if let Some(name) = absolute(&name, zone)
                && !records.is_empty()
            {
                let all = named.entry(name.clone()).or_default();
                if all.is_empty() {
                    order.push(name);
                }
                all.extend(records);
            }
        });
        let named = order.into_iter().map(|name| {
            let mut records = named.remove(&name).unwrap_or_default();
            records.sort();
            Named { name, records }
        });
        named.collect()
    }

    /// Returns who is responsible for the zone of a domain, and its name server, as in the SOA record.
    pub fn authority(&self, domain: &str) -> Option<Authority> {
        let zone = self.zone(domain)?;
        let written = |name: &Name| format!("{name}.");
        Some(Authority {
            name_server: written(&zone.words.name_server),
            hostmaster: written(&zone.words.hostmaster),
            ttl: zone.words.ttl,
            times: zone.words.soa_numbers(self.serial()),
        })
    }

    fn zone(&self, domain: &str) -> Option<&Zone> {
        let domain = Name::parse(domain).ok()?;
        self.zones().iter().find(|zone| zone.words.domain == domain)
    }
}

/// What the SOA record of a zone says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Authority {
    /// The name server, with the final dot.
    pub name_server: String,
    /// The mailbox as a name, with the final dot.
    pub hostmaster: String,
    /// How long answers may be kept, in seconds.
    pub ttl: u32,
    /// Serial, refresh, retry, expire and minimum.
    pub times: [u32; 5],
}

/// Returns a name below a zone's domain, unless it is too long to be one.
fn absolute(relative: &Name, zone: &Zone) -> Option<String> {
    let name = relative.below(&zone.words.domain).ok()?;
    Some(format!("{name}."))
}

fn of_node(node: &Node) -> Vec<Record> {
    let mut records: Vec<_> = node.sets().flat_map(of_set).collect();
    records.sort();
    records
}

fn of_set(set: &RrSet) -> impl Iterator<Item = Record> {
    let rtype = set.rtype;
    set.records().filter_map(move |(_, content)| match rtype {
        rtype::A => Some(Record::Address(<[u8; 4]>::try_from(content).ok()?.into())),
        rtype::AAAA => Some(Record::Address(<[u8; 16]>::try_from(content).ok()?.into())),
        rtype::SRV => {
            let (numbers, target) = content.split_first_chunk::<6>()?;
            let [.., high, low] = *numbers;
            // The root's empty label is the final dot.
            let target = target.strip_suffix(&[0])?;
            Some(Record::Port {
                number: u16::from_be_bytes([high, low]),
                target: format!("{}.", Name::from(target)),
            })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use registry::testing;

    use super::*;
    use crate::testing::zones_by;

    const ZONE: &str = "[[zones]]\ndomain = 'svc.internal'\n";

    fn named(all: &[Named]) -> Vec<&str> {
        all.iter().map(|one| one.name.as_str()).collect()
    }

    #[test]
    fn a_name_says_its_addresses_and_ports() {
        let zones = zones_by(ZONE, [testing::service("web", &[("b", 1), ("a", 1)])]);
        let addresses = zones.lookup("WEB.svc.internal");
        assert_eq!(addresses, zones.lookup("web.svc.internal."));
        assert!(
            matches!(addresses[..], [Record::Address(_), ..]),
            "{addresses:?}"
        );
        let ports = zones.lookup("_web._tcp.svc.internal");
        assert_eq!(ports.len(), 2);
        assert!(
            matches!(&ports[0], Record::Port { target, .. } if target == "b.web.svc.internal."),
            "{ports:?}"
        );
        for nobody in ["x.svc.internal", "example.com", "", "a..b"] {
            assert_eq!(zones.lookup(nobody), [], "{nobody}");
        }
    }

    #[test]
    fn a_zone_is_listed_whole_and_a_service_by_itself() {
        let services = ["a", "b"].map(|name| testing::service(name, &[("i", 1)]));
        let zones = zones_by(ZONE, services.clone());
        let all = zones.named("svc.internal").unwrap();
        let own = zones.named_of("svc.internal", &services[1]);
        assert_eq!(
            named(&own),
            [
                "b.svc.internal.",
                "_b._tcp.svc.internal.",
                "i.b.svc.internal."
            ]
        );
        assert!(own.iter().all(|one| all.contains(one)), "{own:?} {all:?}");
        assert!(named(&all).is_sorted());
        assert_eq!(zones.named("example.com"), None);
        assert_eq!(zones.named_of("example.com", &services[0]), []);
        let authority = zones.authority("svc.internal").unwrap();
        assert_eq!(authority.hostmaster, "hostmaster.svc.internal.");
    }
}
