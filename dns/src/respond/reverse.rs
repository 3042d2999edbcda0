//! Answers about addresses.

use super::{Asked, wait};
use crate::{
    Rcode, Zones,
    reverse::Found,
    wire::{Answer, HEADER_BYTES, rtype},
};

/// Answers about a reverse name that is ours.
pub(super) fn answer(
    zones: &Zones,
    found: &Found<'_>,
    qtype: u16,
    answer: &mut Answer<'_>,
    seed: u64,
) -> Rcode {
    answer.set_authoritative(true);
    let asked = Asked {
        words: found.words,
        domain: HEADER_BYTES + found.before_zone.unwrap_or_default(),
        domain_is_zone: found.before_zone.is_some(),
        qtype,
        serial: zones.serial(),
    };
    match (found.pointers, qtype) {
        (Some(pointers), rtype::PTR) => pointers.write(answer, seed),
        _ if found.is_apex && qtype != rtype::PTR => return asked.answer_apex(None, answer),
        (Some(_), rtype::ANY) => asked.write_hinfo(answer),
        _ if found.may_come && zones.awaited_anywhere().next().is_some() => return wait(answer),
        _ if found.exists => return asked.deny(answer, Rcode::NoError),
        _ => return asked.deny(answer, Rcode::NxDomain),
    }
    Rcode::NoError
}
