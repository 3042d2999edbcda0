//! Answers a query.

mod chaos;
mod edns;
mod mesos_dns;
mod pass_on;
mod place;
mod reverse;
mod truncated;

use std::net::IpAddr;

use crate::{
    CookieKind, QueryType, Rcode, ZoneSlot, Zones,
    config::{Compat, UDP_PAYLOAD_MIN},
    rrset::RrSet,
    table::Node,
    wire::{
        Answer, CLASS_CH, CLASS_IN, ExtendedError, HEADER_BYTES, LowerCase, Query, Question,
        Section, pointer, rtype,
    },
    zone::{Words, Zone},
};
pub(crate) use pass_on::pass_on;
use place::{Place, kind_of};
pub(crate) use truncated::respond_truncated;

/// The longest message over TCP, whose length stands before it in two bytes.
const TCP_PAYLOAD_MAX: usize = u16::MAX as usize;

/// What a query for all types is answered with (RFC 8482, section 4.2).
const HINFO: &[u8] = b"\x07RFC8482\x00";

/// Names what a query came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Answers are as long as the client and the configuration allow.
    Udp,
    /// Answers have up to 65,535 bytes.
    Tcp,
}

/// Holds a query as it came, and all that an answer depends on beside the zones.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The message, without the two bytes of length that stand before it on a stream.
    pub message: &'a [u8],
    /// Who asks.
    pub client: IpAddr,
    /// What the query came by.
    pub transport: Transport,
    /// How long the connection is kept without a query, in units of 100 ms, for clients that ask
    /// (RFC 7828); `None` over UDP, where there is nothing to keep.
    pub keepalive: Option<u16>,
    /// The time in seconds since 1970.
    pub now: u32,
    /// Decides the order of records.
    pub seed: u64,
}

/// Says what became of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The answer is in the buffer.
    Answered {
        /// Its length.
        bytes: usize,
        /// How the query went.
        rcode: Rcode,
        /// Whether the client should ask again over TCP (TC): records were left out for want of
        /// room, or it has shown no cookie.
        truncated: bool,
        /// What cookie the query came with.
        cookie: CookieKind,
        /// The zone that the name is in, whatever the answer.
        zone: ZoneSlot,
        /// What was asked for.
        qtype: QueryType,
    },
    /// A resolver is to be asked, who answers.
    Forwarded {
        /// What cookie the query came with.
        cookie: CookieKind,
        /// What was asked for.
        qtype: QueryType,
    },
    /// Nobody is answered: there is no whole header, or it is an answer itself.
    Dropped,
}

/// Writes the answer to a query into `out`. Pure: time and chance are part of the request.
///
/// Any bytes are taken. Answers are never longer than `out`, which should have the room of the
/// transport's largest: `udp_payload_max` or 65,535 bytes.
pub fn respond(zones: &Zones, request: &Request<'_>, out: &mut [u8]) -> Outcome {
    let Some(query) = Query::parse(request.message) else {
        return Outcome::Dropped;
    };
    let policy = zones.policy();
    let limit = match request.transport {
        Transport::Tcp => TCP_PAYLOAD_MAX,
        Transport::Udp => {
            let payload_max = policy.udp_payload_max.max(UDP_PAYLOAD_MIN);
            let payload = query.edns.map_or(UDP_PAYLOAD_MIN, |edns| edns.payload);
            usize::from(payload.clamp(UDP_PAYLOAD_MIN, payload_max))
        }
    };
    let (cookie, opt) = edns::answer_edns(policy, request, &query);
    let mut room = LowerCase::new();
    let place = Place::find(zones, &query, &mut room);
    if matches!(place, Place::Elsewhere) && is_forwarded(zones, request, &query, cookie) {
        return Outcome::Forwarded {
            cookie,
            qtype: kind_of(&query),
        };
    }
    let Some(mut answer) = Answer::start(&query, opt, out, limit) else {
        return Outcome::Dropped;
    };
    let rcode = answer_query(zones, request, &query, (cookie, place), &mut answer);
    let truncated = answer.is_truncated();
    Outcome::Answered {
        bytes: answer.finish(&query, rcode),
        rcode,
        truncated,
        cookie,
        zone: place.slot(),
        qtype: kind_of(&query),
    }
}

/// Tells whether a resolver is asked about a name that is nobody's here.
fn is_forwarded(
    zones: &Zones,
    request: &Request<'_>,
    query: &Query<'_>,
    cookie: CookieKind,
) -> bool {
    let policy = zones.policy();
    let is_question = query.question.as_ref().is_some_and(|question| {
        let special = [
            rtype::AXFR,
            rtype::IXFR,
            rtype::MAILA,
            rtype::MAILB,
            rtype::TKEY,
            rtype::OPT,
            rtype::TSIG,
        ];
        question.class == CLASS_IN && !special.contains(&question.qtype)
    });
    // Who has to show a cookie shows it for other names, too.
    let is_let_in = request.transport == Transport::Tcp
        || !policy.demands_cookies()
        || cookie == CookieKind::Valid;
    is_question
        && is_let_in
        && query.fault.is_none()
        && query.wants_recursion()
        && policy.forwards(request.client)
}

fn answer_query(
    zones: &Zones,
    request: &Request<'_>,
    query: &Query<'_>,
    (cookie, place): (CookieKind, Place<'_>),
    answer: &mut Answer<'_>,
) -> Rcode {
    if let Some(fault) = query.fault {
        return fault;
    }
    let Some(question) = &query.question else {
        // Nothing but a cookie may be asked for (RFC 7873, section 5.4).
        return match cookie {
            CookieKind::Absent => Rcode::FormErr,
            CookieKind::ClientOnly | CookieKind::Valid => Rcode::NoError,
            CookieKind::Invalid => Rcode::BadCookie,
        };
    };
    if request.transport == Transport::Udp && zones.policy().demands_cookies() {
        match cookie {
            CookieKind::Valid => {}
            CookieKind::ClientOnly | CookieKind::Invalid => return Rcode::BadCookie,
            // Over TCP as well a client shows that it is where it says.
            CookieKind::Absent => {
                answer.set_truncated();
                return Rcode::NoError;
            }
        }
    }
    answer_question(zones, question, place, answer, request.seed)
}

fn answer_question(
    zones: &Zones,
    question: &Question<'_>,
    place: Place<'_>,
    answer: &mut Answer<'_>,
    seed: u64,
) -> Rcode {
    match question.class {
        CLASS_IN => {}
        CLASS_CH => return chaos::answer_chaos(zones.policy(), question, answer),
        _ => return refuse(answer, ExtendedError::NotAuthoritative),
    }
    match question.qtype {
        // Transfers aren't offered (RFC 5936, section 2.2.1).
        rtype::AXFR | rtype::IXFR => return refuse(answer, ExtendedError::Prohibited),
        rtype::MAILA | rtype::MAILB | rtype::TKEY => return Rcode::NotImp,
        // These are no types of records that a name could have.
        rtype::OPT | rtype::TSIG => return Rcode::FormErr,
        _ => {}
    }
    let rcode = match place {
        Place::Zone(zone, name) => answer_zone(zones, (zone, name), question.qtype, answer, seed),
        Place::Reverse(found) => reverse::answer(zones, &found, question.qtype, answer, seed),
        Place::Elsewhere => return refuse(answer, ExtendedError::NotAuthoritative),
    };
    if place.is_stale(zones) {
        mark_stale(answer, rcode);
    }
    rcode
}

/// Answers about a name that is in a zone, relative to its domain.
fn answer_zone(
    zones: &Zones,
    (zone, relative): (&Zone, &[u8]),
    qtype: u16,
    answer: &mut Answer<'_>,
    seed: u64,
) -> Rcode {
    answer.set_authoritative(true);
    let asked = Asked {
        words: &zone.words,
        domain: HEADER_BYTES + relative.len(),
        domain_is_zone: true,
        qtype,
        serial: zones.serial(),
    };
    if zone.words.compat == Some(Compat::MesosDns) {
        return mesos_dns::answer(zones, (zone, relative), &asked, answer, seed);
    }
    if relative.is_empty() {
        return asked.answer_apex(Some(zone), answer);
    }
    let node = zone.table.node(relative);
    if node.is_some_and(|node| asked.answer_node(node, answer, seed)) {
        return Rcode::NoError;
    }
    if !zones.knows_all(zone, node) {
        return wait(answer);
    }
    let absent = node.is_none().then_some(relative);
    if let Some((_, node)) = absent.and_then(|name| zone.wildcard_for(name)) {
        return asked.answer_wildcard(node, answer, seed);
    }
    let rcode = match node {
        Some(_) => Rcode::NoError,
        None => Rcode::NxDomain,
    };
    asked.deny(answer, rcode)
}

/// Says that an answer would be a guess while sources have yet to speak.
fn wait(answer: &mut Answer<'_>) -> Rcode {
    answer.set_authoritative(false);
    answer.set_extended_error(ExtendedError::NotReady);
    Rcode::ServFail
}

/// Says that an answer may be old, and changes nothing else of it.
fn mark_stale(answer: &mut Answer<'_>, rcode: Rcode) {
    match rcode {
        Rcode::NoError => answer.set_extended_error(ExtendedError::StaleAnswer),
        Rcode::NxDomain => answer.set_extended_error(ExtendedError::StaleNxDomain),
        // Nothing is told that could be old, and why not has been said.
        _ => {}
    }
}

fn refuse(answer: &mut Answer<'_>, why: ExtendedError) -> Rcode {
    answer.set_extended_error(why);
    Rcode::Refused
}

/// A question about a name of ours.
struct Asked<'a> {
    words: &'a Words,
    /// Where in the message the domain stands that owns the SOA record.
    domain: usize,
    /// Whether that is the zone's domain; at a reverse name it is that name itself.
    domain_is_zone: bool,
    qtype: u16,
    serial: u32,
}

impl Asked<'_> {
    /// Answers about the top of a zone, where there are SOA and NS.
    fn answer_apex(&self, zone: Option<&Zone>, answer: &mut Answer<'_>) -> Rcode {
        match self.qtype {
            rtype::SOA => self.write_soa(answer, Section::Answer),
            rtype::NS => self.write_ns(zone, answer),
            rtype::ANY => self.write_hinfo(answer),
            _ => return self.deny(answer, Rcode::NoError),
        }
        Rcode::NoError
    }

    /// Answers with what stands at a name; returns whether there is anything of the type.
    fn answer_node(&self, node: &Node, answer: &mut Answer<'_>, seed: u64) -> bool {
        if let Some(set) = node.answer(self.qtype) {
            set.write(answer, seed);
            return true;
        }
        let any = self.qtype == rtype::ANY && node.has_records();
        if any {
            self.write_hinfo(answer);
        }
        any
    }

    /// Answers at a name that doesn't exist with the addresses, or the alias, of the service above it.
    fn answer_wildcard(&self, node: &Node, answer: &mut Answer<'_>, seed: u64) -> Rcode {
        let leads = |set: &&RrSet| matches!(set.rtype, rtype::A | rtype::AAAA | rtype::CNAME);
        match node.answer(self.qtype).filter(leads) {
            Some(set) => set.write(answer, seed),
            None if self.qtype == rtype::ANY && node.leads_somewhere() => self.write_hinfo(answer),
            None => return self.deny(answer, Rcode::NoError),
        }
        Rcode::NoError
    }

    /// Says that there is no such record or name, and for how long that may be believed (RFC 2308).
    fn deny(&self, answer: &mut Answer<'_>, rcode: Rcode) -> Rcode {
        self.write_soa(answer, Section::Authority);
        rcode
    }

    fn write_soa(&self, answer: &mut Answer<'_>, section: Section) {
        let domain = self.domain_is_zone.then_some(self.domain);
        let words = self.words;
        if !words.write_soa(answer, section, self.domain, domain, self.serial) {
            answer.set_truncated();
        }
    }

    fn write_ns(&self, zone: Option<&Zone>, answer: &mut Answer<'_>) {
        let domain = self.domain_is_zone.then_some(self.domain);
        let Some(target) = self
            .words
            .write_ns(answer, Section::Answer, self.domain, domain)
        else {
            answer.set_truncated();
            return;
        };
        let node = zone.and_then(|zone| {
            let name = zone.words.name_server_here()?;
            zone.table.node(name.as_bytes())
        });
        let sets = [rtype::A, rtype::AAAA].into_iter();
        for set in sets.filter_map(|rtype| node?.set(rtype)) {
            set.write_additional(answer, target);
        }
    }

    fn write_hinfo(&self, answer: &mut Answer<'_>) {
        let owner = pointer(HEADER_BYTES);
        let kind = (rtype::HINFO, self.words.ttl);
        if !answer.put_record(Section::Answer, &owner, kind, &[HINFO]) {
            answer.set_truncated();
        }
    }
}

#[cfg(test)]
mod alias_tests;
#[cfg(test)]
mod browse_tests;
#[cfg(test)]
mod edns_tests;
#[cfg(test)]
mod hickory_tests;
#[cfg(test)]
mod http_tests;
#[cfg(test)]
mod mesos_dns_tests;
#[cfg(test)]
mod probe_tests;
#[cfg(test)]
mod stale_tests;
#[cfg(test)]
mod tests;
