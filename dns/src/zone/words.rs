//! What a zone's configuration says, and the records of it.

use std::{net::IpAddr, sync::Arc};

use registry::Service;

use crate::{
    Scheme, ZoneSlot,
    config::{AllDown, Compat, Config, Mailbox, ZoneConfig},
    name::{self, Name, NameBuf},
    rrset,
    schemes::Names,
    table::{Claim, Part, Rank, Table},
    ttl::Ttls,
    wire::{Answer, FIXED_BYTES, Section, pointer, rtype},
};

/// How often a secondary server should look for changes, try again, and give up (RFC 1035, section
/// 3.3.13), in seconds; nothing here is transferred, so they only have to be sensible (RFC 1912).
const SOA_TIMES: [u32; 3] = [3600, 600, 604_800];

/// The same as Mesos-DNS says them.
const SOA_TIMES_OF_MESOS_DNS: [u32; 3] = [60, 600, 86_400];

/// Holds what a zone's configuration says; reverse zones have it from the first zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) domain: Name,
    pub(crate) scheme: Scheme,
    pub(crate) rfc952: bool,
    pub(crate) compat: Option<Compat>,
    /// In seconds, as the next one; for services of which [`Ttls`] says nothing.
    pub(crate) ttl: u32,
    pub(crate) negative_ttl: u32,
    pub(crate) all_down: AllDown,
    /// 0 for no limit.
    pub(crate) max_answers: u32,
    /// Whether a host name in an instance's record is told by a CNAME record.
    pub(crate) cname: bool,
    /// Whether `*.S` stands below each service `S`.
    pub(crate) wildcard: bool,
    pub(crate) name_server: Name,
    pub(crate) hostmaster: Name,
    pub(crate) ttls: Arc<Ttls>,
    /// Those whose instances the zone has; `None` for all.
    pub(crate) sources: Option<Vec<String>>,
    /// The domains of the zones below this one, relative to its own.
    pub(crate) cuts: Vec<Name>,
    /// The domains of all zones.
    pub(crate) all_domains: Vec<Name>,
    /// Where queries for its names are counted.
    pub(crate) slot: ZoneSlot,
}

impl Words {
    /// Reads a zone's configuration.
    pub(super) fn new(zone: &ZoneConfig, config: &Config, ttls: &Arc<Ttls>) -> Self {
        let domain = zone.domain.name().clone();
        let name_server = match &zone.name_server {
            Some(name_server) => name_server.name().clone(),
            None => name_server(&domain).unwrap_or_else(|| domain.clone()),
        };
        let hostmaster = match &zone.hostmaster {
            Some(mailbox) => mailbox.name().clone(),
            None => Mailbox::hostmaster(&domain).unwrap_or_else(|| domain.clone()),
        };
        Self {
            cuts: cuts(&domain, config),
            all_domains: domains(config).cloned().collect(),
            domain,
            scheme: zone.scheme,
            rfc952: zone.rfc952,
            compat: zone.compat,
            ttl: zone.ttl.as_ttl(),
            negative_ttl: zone.negative_ttl.as_ttl(),
            all_down: zone.all_down,
            max_answers: zone.max_answers,
            cname: zone.cname,
            wildcard: zone.wildcard,
            name_server,
            hostmaster,
            ttls: Arc::clone(ttls),
            sources: zone.sources.clone(),
            slot: ZoneSlot::OTHER,
        }
    }

    /// Makes the table of a zone without services, whose name server is where we listen.
    pub(super) fn table(&self, listen: impl Iterator<Item = IpAddr>) -> Table {
        let mut table = Table::default();
        let part = |sets: Vec<_>| Part {
            rank: Rank::Zone,
            service: None,
            claim: Claim::Addresses,
            sets: sets.into_iter().collect(),
        };
        if let Some(name) = self.name_server_here() {
            let specific = listen.filter(|address| !address.is_unspecified());
            let sets = rrset::addresses(specific.map(|address| (address, 1)), self.ttl);
            table.put(&name, part(sets));
        }
        // Another zone answers there; the names above are ones below which others exist.
        for cut in &self.cuts {
            if table.node(cut.as_bytes()).is_none() {
                table.put(cut, part(Vec::new()));
            }
        }
        table
    }

    /// Returns what makes names of services.
    pub(crate) fn names(&self) -> &'static dyn Names {
        self.scheme.names(self.rfc952)
    }

    /// Returns how long clients may keep the records of a service, in seconds.
    pub(crate) fn ttl_of(&self, service: &Service) -> u32 {
        self.ttls.of(&service.name).unwrap_or(self.ttl)
    }

    /// Returns the longest that clients may keep the records of any service, in seconds.
    pub(crate) fn ttl_max(&self) -> u32 {
        self.ttls.max().unwrap_or_default().max(self.ttl)
    }

    /// Writes the SOA record, owned by the name at `owner` in the message; returns whether it had
    /// room.
    ///
    /// `domain` is where the zone's domain stands in the message, if it does.
    pub(crate) fn write_soa(
        &self,
        answer: &mut Answer<'_>,
        section: Section,
        owner: usize,
        domain: Option<usize>,
        serial: u32,
    ) -> bool {
        // In the authority section the TTL is the negative one.
        let ttl = match section {
            Section::Answer => self.soa_ttl(),
            Section::Authority | Section::Additional => self.negative_ttl,
        };
        let mut numbers = [0; 20];
        let values = self.soa_numbers(serial);
        for (to, value) in numbers.chunks_exact_mut(4).zip(values) {
            to.copy_from_slice(&value.to_be_bytes());
        }
        let server = Compressed::new(&self.name_server, &self.domain, domain);
        let mailbox = Compressed::new(&self.hostmaster, &self.domain, domain);
        let parts = [
            server.labels,
            server.end(),
            mailbox.labels,
            mailbox.end(),
            &numbers,
        ];
        answer.put_record(section, &pointer(owner), (rtype::SOA, ttl), &parts)
    }

    /// Returns how long clients may keep the SOA record, in seconds.
    ///
    /// A denial lives no longer than the SOA record that it comes with, nor than the minimum in it
    /// (RFC 2308, section 3): so that record lives as long as denials should.
    pub(crate) fn soa_ttl(&self) -> u32 {
        self.ttl.max(self.negative_ttl)
    }

    /// Returns the numbers in the SOA record: serial, refresh, retry, expire and minimum.
    pub(crate) fn soa_numbers(&self, serial: u32) -> [u32; 5] {
        let [refresh, retry, expire] = match self.compat {
            None => SOA_TIMES,
            Some(Compat::MesosDns) => SOA_TIMES_OF_MESOS_DNS,
        };
        [serial, refresh, retry, expire, self.negative_ttl]
    }

    /// Writes the NS record, owned by the name at `owner`; returns where the name server's name
    /// stands.
    pub(crate) fn write_ns(
        &self,
        answer: &mut Answer<'_>,
        section: Section,
        owner: usize,
        domain: Option<usize>,
    ) -> Option<usize> {
        let server = Compressed::new(&self.name_server, &self.domain, domain);
        let target = answer.position() + pointer(owner).len() + FIXED_BYTES;
        let kind = (rtype::NS, self.ttl);
        let parts = [server.labels, server.end()];
        let fits = answer.put_record(section, &pointer(owner), kind, &parts);
        fits.then_some(target)
    }

    /// Returns the name server's name relative to the domain, when it is below it.
    pub(crate) fn name_server_here(&self) -> Option<Name> {
        let name = self.name_server.relative_to(&self.domain)?;
        Some(name).filter(|name| !name.as_bytes().is_empty())
    }
}

/// A name in a record's content: as much of it as must be written, and how it ends.
struct Compressed<'a> {
    labels: &'a [u8],
    end: [u8; 2],
    end_len: usize,
}

impl<'a> Compressed<'a> {
    /// Points to the domain for the rest of the name, when it stands somewhere in the message.
    fn new(name: &'a Name, domain: &Name, at: Option<usize>) -> Self {
        let labels = name::relative(name.as_bytes(), domain.as_bytes());
        match at.zip(labels) {
            Some((at, labels)) => Self {
                labels,
                end: pointer(at),
                end_len: 2,
            },
            None => Self {
                labels: name.as_bytes(),
                end: [0; 2],
                end_len: 1,
            },
        }
    }

    fn end(&self) -> &[u8] {
        &self.end[..self.end_len]
    }
}

/// Lists the domains of other zones below `domain`, relative to it.
fn cuts(domain: &Name, config: &Config) -> Vec<Name> {
    let below = domains(config).filter_map(|other| other.relative_to(domain));
    below.filter(|cut| !cut.as_bytes().is_empty()).collect()
}

fn domains(config: &Config) -> impl Iterator<Item = &Name> {
    config.zones.iter().map(|zone| zone.domain.name())
}

/// Returns the name `ns` in a domain.
fn name_server(domain: &Name) -> Option<Name> {
    let mut name = NameBuf::default();
    name.push("ns")
        .and_then(|()| name.extend(domain.as_bytes()))
        .ok()?;
    Some(name.finish())
}
