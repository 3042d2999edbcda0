//! Why a name is answered as it is.

mod browsing;
mod limit;
mod reverse;
mod view;

use std::{net::IpAddr, sync::Arc};

use registry::{Instance, Service};
use serde::Serialize;
use view::Said;

use crate::{
    Compat, Rcode, Scheme, Zones,
    excerpt::Excerpt,
    name::Name,
    rrset::RrSet,
    schemes::View,
    table::{Claim, Node, Part},
    zone::{Words, Zone},
};

/// Says how a name is answered, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The name, in lower case and without a final dot.
    pub name: String,
    /// The domain of the zone that answers; the first one for a reverse name in no network of ours.
    pub zone: String,
    /// How the zone names services.
    pub scheme: Scheme,
    /// The version of the snapshot.
    pub version: u64,
    /// The zone's serial number, the low half of the version.
    pub serial: u32,
    /// The code of an answer about any type.
    pub rcode: Rcode,
    /// How long clients may keep the answer (or that there is none), in seconds; the shortest time
    /// where records differ.
    pub ttl: u32,
    /// What the code doesn't say, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The records, in no particular order.
    pub records: Vec<ExplainedRecord>,
    /// The instances that could be among the records and aren't, a thousand at most.
    pub left_out: Vec<LeftOut>,
    /// How many more there are of these than are listed.
    #[serde(skip_serializing_if = "limit::is_zero")]
    pub more_left_out: usize,
    /// The notes of which there may be one for each instance or service, also those that aren't told.
    #[serde(skip)]
    warnings: usize,
}

/// Says which instance a record is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedRecord {
    /// `A`, `AAAA`, `SRV`, `HTTPS`, `SVCB`, `TXT`, `CNAME`, `PTR`, `SOA` or `NS`.
    #[serde(rename = "type")]
    pub rtype: &'static str,
    /// The record's content.
    pub content: String,
    /// The instance, where there is one.
    #[serde(flatten)]
    pub instance: Option<ExplainedInstance>,
}

/// Says why an instance isn't among the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The reason, in words.
    pub reason: String,
    /// The instance.
    #[serde(flatten)]
    pub instance: ExplainedInstance,
}

/// Names an instance and the record of the store that it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedInstance {
    /// The name of its service.
    pub service: String,
    /// Its id.
    pub id: String,
    /// The source's name in the configuration.
    pub source: String,
    /// The record's place in the store.
    pub path: String,
}

impl Zones {
    /// Explains how a name, such as `web.svc.internal`, is answered; `None` where that is
    /// `REFUSED`.
    pub fn explain(&self, name: &str) -> Option<Explanation> {
        let name = Name::parse(name).ok()?;
        if let Some((zone, relative)) = self.zone_of(name.as_bytes()) {
            let mut explanation = self.start(&name, &zone.words);
            match zone.table.node(relative) {
                _ if relative.is_empty() => explanation.add_apex(&zone.words),
                Some(node) => {
                    self.explain_node(zone, &Name::from(relative), node, &mut explanation)
                }
                None => self.explain_absence(zone, relative, &mut explanation),
            }
            if zone.words.compat == Some(Compat::MesosDns) {
                explanation.deny_as_mesos_dns();
            }
            explanation.add_more_warnings();
            explanation.add_losses(self.lost(zone));
            return Some(explanation);
        }
        let found = self.reverse_of(name.as_bytes())?;
        let mut explanation = self.start(&name, found.words);
        self.explain_reverse(&name, &found, &mut explanation);
        explanation.add_more_warnings();
        explanation.add_losses(self.lost_anywhere());
        Some(explanation)
    }

    fn start(&self, name: &Name, words: &Words) -> Explanation {
        Explanation {
            name: name.to_string(),
            zone: words.domain.to_string(),
            scheme: words.scheme,
            version: self.version(),
            serial: self.serial(),
            rcode: Rcode::NoError,
            ttl: words.ttl,
            note: None,
            records: Vec::new(),
            left_out: Vec::new(),
            more_left_out: 0,
            warnings: 0,
        }
    }

    fn explain_absence(&self, zone: &Zone, name: &[u8], explanation: &mut Explanation) {
        if !self.knows_all(zone, None) {
            return explanation.set_ignorance(self.awaited(zone));
        }
        if let Some((above, node)) = zone.wildcard_for(name) {
            let above = Name::from(above);
            self.explain_node(zone, &above, node, explanation);
            let addresses = |one: &ExplainedRecord| matches!(one.rtype, "A" | "AAAA" | "CNAME");
            explanation.records.retain(addresses);
            return explanation.add_note(&format!(
                "there is no such name, and {above} answers for those below it (wildcard)"
            ));
        }
        explanation.rcode = Rcode::NxDomain;
        explanation.ttl = zone.words.negative_ttl;
        explanation.add_note("no service, port or instance is called so");
    }

    fn explain_node(&self, zone: &Zone, name: &Name, node: &Node, to: &mut Explanation) {
        let words = &zone.words;
        let mut ttls = Vec::new();
        for part in node.parts() {
            let speaks = |rtype| {
                node.speaker(rtype)
                    .is_some_and(|one| std::ptr::eq(one, part))
            };
            let Some(service) = part.service.as_ref() else {
                match part.claim {
                    Claim::Pointers => {
                        self.explain_browsing(zone, name, to);
                        ttls.push(words.ttl);
                    }
                    _ => to.add_name_server(part, speaks),
                }
                continue;
            };
            let Some(service) = self.snapshot().service(service.as_str()) else {
                continue;
            };
            let Some(excerpt) = words.excerpt(service) else {
                continue;
            };
            let whole = service;
            let service = &*excerpt.service;
            let count = to.records.len();
            words.names().each(service, &mut |candidate, rank, view| {
                if (&candidate, rank) == (name, part.rank) {
                    let said = Said {
                        zone,
                        service,
                        view,
                        part,
                        speaks: &speaks,
                    };
                    said.tell(to);
                    if !matches!(view, View::Instance(_) | View::Browsed(..)) {
                        to.leave_out_foreign(words, whole);
                    }
                }
            });
            to.add_last_resort(&excerpt);
            if to.records.len() > count {
                ttls.push(words.ttl_of(service));
            }
        }
        to.ttl = ttls.into_iter().min().unwrap_or(to.ttl);
        let limited = node.parts().iter().flat_map(|part| part.sets.iter());
        if limited.into_iter().any(|set| set.answered() < set.count()) {
            let max = words.max_answers;
            to.add_note(&format!(
                "an answer has {max} of these at a time (max_answers)"
            ));
        }
        self.explain_gaps(zone, node, to);
    }

    /// Says what is answered about the types of which there is no record.
    fn explain_gaps(&self, zone: &Zone, node: &Node, to: &mut Explanation) {
        match (to.records.is_empty(), self.knows_all(zone, Some(node))) {
            (true, false) => to.set_ignorance(self.awaited(zone)),
            (false, false) => {
                let awaited = list(self.awaited(zone));
                to.add_note(&format!("other types get SERVFAIL: waiting for {awaited}"));
            }
            (true, true) => {
                to.ttl = zone.words.negative_ttl;
                to.add_note(match node.parts() {
                    [] => "only names below it exist",
                    _ => "no instance is there to answer with",
                });
            }
            (false, true) => {}
        }
    }
}

impl Explanation {
    /// Denies a name where Mesos-DNS would.
    fn deny_as_mesos_dns(&mut self) {
        let leads = |one: &ExplainedRecord| matches!(one.rtype, "A" | "AAAA" | "SRV" | "CNAME");
        if self.rcode == Rcode::NoError && !self.records.iter().any(leads) {
            self.rcode = Rcode::NxDomain;
            self.add_note(
                "it has neither addresses nor ports, and so doesn't exist in the manner of Mesos-DNS \
                 (compat)",
            );
        }
    }

    /// Says that an answer would be a guess while sources have yet to speak.
    fn set_ignorance<'a>(&mut self, awaited: impl Iterator<Item = &'a Arc<str>>) {
        self.rcode = Rcode::ServFail;
        self.ttl = 0;
        self.add_note(&format!("not known yet: waiting for {}", list(awaited)));
    }

    /// Says that what is told may be old, where sources have lost their stores.
    fn add_losses<'a>(&mut self, lost: impl Iterator<Item = &'a Arc<str>>) {
        let mut lost = lost.peekable();
        if self.rcode != Rcode::ServFail && lost.peek().is_some() {
            self.add_note(&format!("may be old: lost the store of {}", list(lost)));
        }
    }

    fn add_note(&mut self, more: &str) {
        match &mut self.note {
            Some(note) => {
                note.push_str("; ");
                note.push_str(more);
            }
            None => self.note = Some(more.to_owned()),
        }
    }

    fn add(
        &mut self,
        service: &Service,
        instance: &Instance,
        rtype: &'static str,
        content: String,
    ) {
        self.records.push(ExplainedRecord {
            rtype,
            content,
            instance: Some(ExplainedInstance::new(service, instance)),
        });
    }

    /// Says that the records are those of a service of which no instance is available.
    fn add_last_resort(&mut self, excerpt: &Excerpt<'_>) {
        if excerpt.last_resort {
            let name = &excerpt.service.name;
            self.add_warning(&format!(
                "no instance of {name} is available: \
                 all that have an address and aren't draining are told (all_down)"
            ));
        }
    }

    /// Says which instances are of other sources than the zone's.
    fn leave_out_foreign(&mut self, words: &Words, service: &Service) {
        for instance in &service.instances {
            let source = &instance.origin.source;
            if !words.takes(source) {
                self.leave_out(service, instance, foreign(source));
            }
        }
    }

    /// Warns of a record whose target is the name of a service too, and so has that one's addresses.
    fn add_namesake(&mut self, zone: &Zone, service: &Service, instance: &Instance, target: &Name) {
        if let Some(other) = zone.namesake(service, instance) {
            self.add_warning(&format!(
                "{target} is service {other} too: a client that looks it up gets that one's addresses"
            ));
        }
    }

    fn add_own(&mut self, rtype: &'static str, content: String) {
        self.records.push(ExplainedRecord {
            rtype,
            content,
            instance: None,
        });
    }

    fn add_apex(&mut self, words: &Words) {
        let (server, mailbox) = (&words.name_server, &words.hostmaster);
        let soa = format!("{server}. {mailbox}. {}", self.serial);
        self.add_own("SOA", soa);
        self.add_own("NS", format!("{server}."));
    }

    fn add_name_server(&mut self, part: &Part, speaks: impl Fn(u16) -> bool) {
        for address in part
            .sets
            .iter()
            .filter(|set| speaks(set.rtype))
            .flat_map(RrSet::addresses)
        {
            self.add_own(address_type(&address), address.to_string());
        }
        self.add_note("the zone's name server, which is where we listen");
    }
}

impl ExplainedInstance {
    fn new(service: &Service, instance: &Instance) -> Self {
        Self {
            service: service.name.to_string(),
            id: instance.id.to_string(),
            source: instance.origin.source.to_string(),
            path: instance.origin.path.to_string(),
        }
    }
}

fn list<'a>(sources: impl Iterator<Item = &'a Arc<str>>) -> String {
    let sources: Vec<&str> = sources.map(AsRef::as_ref).collect();
    sources.join(", ")
}

fn address_type(address: &IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "A",
        IpAddr::V6(_) => "AAAA",
    }
}

/// Says that the zone has none of a source's instances.
fn foreign(source: &str) -> String {
    format!("the zone has no instances of source {source} (sources)")
}

#[cfg(test)]
mod tests;
