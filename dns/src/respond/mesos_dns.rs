//! Answers in the manner of Mesos-DNS, for clients that have learned to expect it.
//!
//! What exists is answered as everywhere. What differs: SOA and NS records are in the authority section and
//! owned by the name that was asked for, whatever name that is; a name without addresses and ports doesn't
//! exist, though there be others below it; and a denial of SRV records is empty.

use super::{Asked, wait};
use crate::{
    Rcode, Zones,
    wire::{Answer, HEADER_BYTES, Section, rtype},
    zone::Zone,
};

/// Where in the message the name stands that was asked for.
const OWNER: usize = HEADER_BYTES;

/// Answers about a name that is in a zone, relative to its domain.
pub(super) fn answer(
    zones: &Zones,
    (zone, relative): (&Zone, &[u8]),
    asked: &Asked<'_>,
    answer: &mut Answer<'_>,
    seed: u64,
) -> Rcode {
    let domain = Some(asked.domain);
    match asked.qtype {
        rtype::SOA => return deny(asked, answer, Rcode::NoError),
        rtype::NS => {
            let written = zone
                .words
                .write_ns(answer, Section::Authority, OWNER, domain);
            if written.is_none() {
                answer.set_truncated();
            }
            return Rcode::NoError;
        }
        _ => {}
    }
    let named = (!relative.is_empty()).then_some(relative);
    let node = named.and_then(|name| zone.table.node(name));
    if node.is_some_and(|node| asked.answer_node(node, answer, seed)) {
        return Rcode::NoError;
    }
    if !zones.knows_all(zone, node) {
        return wait(answer);
    }
    let absent = named.filter(|_| node.is_none());
    if let Some((_, node)) = absent.and_then(|name| zone.wildcard_for(name)) {
        return asked.answer_wildcard(node, answer, seed);
    }
    match (asked.qtype, node) {
        (rtype::SRV, _) => Rcode::NoError,
        (_, Some(node)) if node.leads_somewhere() => deny(asked, answer, Rcode::NoError),
        _ => deny(asked, answer, Rcode::NxDomain),
    }
}

fn deny(asked: &Asked<'_>, answer: &mut Answer<'_>, rcode: Rcode) -> Rcode {
    let (words, domain) = (asked.words, Some(asked.domain));
    if !words.write_soa(answer, Section::Authority, OWNER, domain, asked.serial) {
        answer.set_truncated();
    }
    rcode
}
