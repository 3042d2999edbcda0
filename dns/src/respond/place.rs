//! Where a query's name belongs.

use crate::{
    QueryType, ZoneSlot, Zones,
    reverse::Found,
    wire::{CLASS_IN, LowerCase, Query},
    zone::Zone,
};

/// Says whose name is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// A zone's: the name is relative to its domain.
    Zone(&'a Zone, &'a [u8]),
    /// An address's that is ours.
    Reverse(Found<'a>),
    /// Somebody else's, or nobody's.
    Elsewhere,
}

impl<'a> Place<'a> {
    /// Finds where the name of a query belongs; `room` is for the name.
    pub(super) fn find(zones: &'a Zones, query: &Query<'_>, room: &'a mut LowerCase) -> Self {
        let question = query.question.as_ref();
        let Some(question) = question.filter(|question| question.class == CLASS_IN) else {
            return Self::Elsewhere;
        };
        let name = question.name(room);
        if let Some((zone, relative)) = zones.zone_of(name) {
            return Self::Zone(zone, relative);
        }
        let reverse = zones.reverse_of(name);
        reverse.map_or(Self::Elsewhere, Self::Reverse)
    }

    /// Tells whether what is answered about such a name may be old.
    pub(super) fn is_stale(&self, zones: &Zones) -> bool {
        match self {
            Self::Zone(zone, _) => zone.stale,
            Self::Reverse(_) => zones.is_stale_anywhere(),
            Self::Elsewhere => false,
        }
    }

    /// Returns where queries for such a name are counted.
    pub(super) fn slot(&self) -> ZoneSlot {
        match self {
            Self::Zone(zone, _) => zone.words.slot,
            Self::Reverse(found) => found.words.slot,
            Self::Elsewhere => ZoneSlot::NONE,
        }
    }
}

/// Sorts what a query asks for.
pub(super) fn kind_of(query: &Query<'_>) -> QueryType {
    let question = query.question.as_ref();
    question.map_or(QueryType::None, |question| QueryType::of(question.qtype))
}
