//! One thread's numbers.

use std::time::Duration;

use super::{
    labels::{QueryType, SLOTS, ZoneSlot},
    numbers::{Histogram, Number},
};
use crate::{CookieKind, Outcome, Rcode, Transport, rate_limit::Verdict};

/// Holds the numbers of who answers on one thread.
///
/// Only that thread writes, so that counting is a plain addition; whoever reads may be a moment
/// behind. It has cache lines of its own, for no other thread's writes to slow it down.
#[derive(Debug)]
#[repr(align(128))]
pub struct Counters {
    /// By [`ZoneSlot`].
    pub(super) zones: Box<[ZoneCounters]>,
    /// Queries that could be answered by cookie, in the order of [`CookieKind::ALL`].
    pub(super) cookies: [Number; CookieKind::ALL.len()],
    pub(super) truncated: Number,
    /// Answers over the limit: slipped, dropped.
    pub(super) rate_limited: [Number; 2],
    pub(super) dropped: Number,
    pub(super) forwarded: Number,
    pub(super) unsent: Number,
    pub(super) tcp_connections: Number,
    /// Connections that were idle longest when there was no room for another.
    pub(super) tcp_evicted: Number,
    /// How long answers take, by transport: UDP, TCP.
    pub(super) durations: [Histogram; 2],
}

/// Holds what is counted for a zone.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct ZoneCounters {
    /// Queries by transport, UDP and TCP, and in the order of [`QueryType::ALL`].
    pub(super) queries: [[Number; QueryType::ALL.len()]; 2],
    /// Answers by code, in the order of [`Rcode::ALL`].
    pub(super) answers: [Number; Rcode::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            zones: (0..SLOTS).map(|_| ZoneCounters::default()).collect(),
            cookies: Default::default(),
            truncated: Number::default(),
            rate_limited: Default::default(),
            dropped: Number::default(),
            forwarded: Number::default(),
            unsent: Number::default(),
            tcp_connections: Number::default(),
            tcp_evicted: Number::default(),
            durations: Default::default(),
        }
    }
}

impl Counters {
    /// Counts a query, of which there is this outcome before any limit.
    pub(crate) fn count_query(&self, transport: Transport, outcome: Outcome) {
        let (zone, qtype) = match outcome {
            Outcome::Dropped => {
                self.dropped.add(1);
                (ZoneSlot::NONE, QueryType::None)
            }
            Outcome::Forwarded { cookie, qtype } => {
                self.cookies[cookie as usize].add(1);
                (ZoneSlot::NONE, qtype)
            }
            Outcome::Answered {
                cookie,
                zone,
                qtype,
                ..
            } => {
                self.cookies[cookie as usize].add(1);
                (zone, qtype)
            }
        };
        self.zones[zone.index()].queries[transport as usize][qtype as usize].add(1);
    }

    /// Counts an answer, if there is one, or that somebody else is asked for it.
    pub(crate) fn count_answer(&self, outcome: Outcome) {
        match outcome {
            Outcome::Answered {
                rcode,
                truncated,
                zone,
                ..
            } => {
                self.zones[zone.index()].answers[rcode as usize].add(1);
                if truncated {
                    self.truncated.add(1);
                }
            }
            Outcome::Forwarded { .. } => self.forwarded.add(1),
            Outcome::Dropped => {}
        }
    }

    /// Counts what the limit of answers has done.
    pub(crate) fn count_verdict(&self, verdict: Verdict) {
        match verdict {
            Verdict::Send => {}
            Verdict::Slip => self.rate_limited[0].add(1),
            Verdict::Drop => self.rate_limited[1].add(1),
        }
    }

    /// Counts how long it took to make `answers` answers, from the receipt of the queries to the
    /// call that sends all of them.
    pub(crate) fn count_duration(&self, transport: Transport, duration: Duration, answers: usize) {
        self.durations[transport as usize].observe(duration, answers as u64);
    }

    /// Counts an answer that the system didn't take.
    pub(crate) fn count_unsent(&self) {
        self.unsent.add(1);
    }

    pub(crate) fn connection_opened(&self) {
        self.tcp_connections.add(1);
    }

    pub(crate) fn connection_closed(&self) {
        self.tcp_connections.subtract(1);
    }

    pub(crate) fn connection_evicted(&self) {
        self.tcp_evicted.add(1);
    }
}
