//! What queries are counted by.

use std::sync::{Mutex, PoisonError};

use crate::wire::rtype;

/// How many domains have numbers of their own, from the start of the process; further ones share.
pub(super) const ZONES_MAX: usize = 62;

/// How many places there are: those of the domains, and one each for the first and the last of
/// [`ZoneSlot`]'s own.
pub(super) const SLOTS: usize = ZONES_MAX + 2;

/// Says where a zone's queries are counted: a place that a domain keeps as long as the process
/// runs, whatever the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneSlot(u8);

impl ZoneSlot {
    /// For names outside of all zones.
    pub(crate) const NONE: Self = Self(0);
    /// For zones without a place of their own.
    pub(crate) const OTHER: Self = Self(SLOTS as u8 - 1);

    pub(super) fn index(self) -> usize {
        self.0.into()
    }
}

/// Gives each domain its place.
#[derive(Debug, Default)]
pub(super) struct ZoneSlots(Mutex<Vec<String>>);

impl ZoneSlots {
    /// Returns the place of a domain, which is a new one the first time.
    pub(super) fn of(&self, domain: String) -> ZoneSlot {
        let mut domains = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = domains.iter().position(|known| *known == domain);
        let index = known.unwrap_or(domains.len());
        if index == ZONES_MAX {
            return ZoneSlot::OTHER;
        }
        if known.is_none() {
            domains.push(domain);
        }
        ZoneSlot(1 + index as u8)
    }

    /// Lists the places in use with what each is called, which no domain is but its own.
    pub(super) fn labels(&self) -> Vec<(ZoneSlot, String)> {
        let domains = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let named = (1..).zip(domains.iter());
        let named = named.map(|(slot, domain)| (ZoneSlot(slot), domain.clone()));
        [(ZoneSlot::NONE, String::new())]
            .into_iter()
            .chain(named)
            .chain([(ZoneSlot::OTHER, "(other)".to_owned())])
            .collect()
    }
}

/// Sorts the types that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryType {
    /// No question could be read.
    None,
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Where a service is: ports and the names of hosts.
    Srv,
    /// Texts.
    Txt,
    /// The name at an address.
    Ptr,
    /// What a zone is.
    Soa,
    /// A zone's name servers.
    Ns,
    /// What a name is really called.
    Cname,
    /// How HTTPS is spoken.
    Https,
    /// How a service is spoken to.
    Svcb,
    /// All there is.
    Any,
    /// Any other type.
    Other,
}

impl QueryType {
    /// Every kind, in the order of their numbers.
    pub(super) const ALL: [Self; 13] = [
        Self::None,
        Self::A,
        Self::Aaaa,
        Self::Srv,
        Self::Txt,
        Self::Ptr,
        Self::Soa,
        Self::Ns,
        Self::Cname,
        Self::Https,
        Self::Svcb,
        Self::Any,
        Self::Other,
    ];

    /// Sorts a question's type.
    pub(crate) fn of(qtype: u16) -> Self {
        match qtype {
            rtype::A => Self::A,
            rtype::AAAA => Self::Aaaa,
            rtype::SRV => Self::Srv,
            rtype::TXT => Self::Txt,
            rtype::PTR => Self::Ptr,
            rtype::SOA => Self::Soa,
            rtype::NS => Self::Ns,
            rtype::CNAME => Self::Cname,
            rtype::HTTPS => Self::Https,
            rtype::SVCB => Self::Svcb,
            rtype::ANY => Self::Any,
            _ => Self::Other,
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::None => "",
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Srv => "SRV",
            Self::Txt => "TXT",
            Self::Ptr => "PTR",
            Self::Soa => "SOA",
            Self::Ns => "NS",
            Self::Cname => "CNAME",
            Self::Https => "HTTPS",
            Self::Svcb => "SVCB",
            Self::Any => "ANY",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_keeps_its_place_and_those_beyond_the_limit_share_one() {
        let slots = ZoneSlots::default();
        let first: Vec<_> = (0..ZONES_MAX).map(|n| slots.of(format!("d{n}"))).collect();
        assert_eq!(slots.of("late".to_owned()), ZoneSlot::OTHER);
        assert_eq!(slots.of("later".to_owned()), ZoneSlot::OTHER);
        for (n, slot) in first.into_iter().enumerate() {
            assert_eq!(slots.of(format!("d{n}")), slot);
        }
        let labels = slots.labels();
        let indices: Vec<_> = labels.iter().map(|(slot, _)| slot.index()).collect();
        assert_eq!(indices, (0..SLOTS).collect::<Vec<_>>());
        assert_eq!((&*labels[0].1, &*labels[1].1), ("", "d0"));
        assert_eq!(labels[SLOTS - 1].1, "(other)");
    }

    #[test]
    fn kinds_are_counted_at_their_place_in_the_list() {
        for (index, kind) in QueryType::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
        assert_eq!(QueryType::of(rtype::SVCB).label(), "SVCB");
        assert_eq!(QueryType::of(999).label(), "other");
    }
}
