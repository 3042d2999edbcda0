//! Answers the messages of a stream.

use std::{net::IpAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;

use super::{late::Late, scratch::Answers};
use crate::{
    Counters, Outcome, Request, Transport, Zones, clock,
    forward::Reply,
    respond::{pass_on, respond},
};

/// The length that stands before a message.
pub(super) const LENGTH_BYTES: usize = 2;

/// Answers from the zones, for all connections of one listener of one worker.
pub(super) struct Answerer {
    zones: Arc<ArcSwap<Zones>>,
    counters: Arc<Counters>,
    /// How long a connection is kept without a query, as clients are told.
    keepalive: u16,
}

impl Answerer {
    /// Creates one that tells `counters` of what it does, and clients how long an idle connection
    /// is kept.
    pub(super) fn new(
        zones: Arc<ArcSwap<Zones>>,
        counters: Arc<Counters>,
        idle_timeout: Duration,
    ) -> Self {
        Self {
            zones,
            counters,
            keepalive: keepalive(idle_timeout),
        }
    }

    /// Counts a connection that was opened.
    pub(super) fn connection_opened(&self) {
        self.counters.connection_opened();
    }

    /// Counts a connection that is closed.
    pub(super) fn connection_closed(&self) {
        self.counters.connection_closed();
    }

    /// Counts a connection that is closed for another to have its place.
    pub(super) fn connection_evicted(&self) {
        self.counters.connection_evicted();
    }

    /// Counts how long the answers of a turn took.
    pub(super) fn answers_made(&self, duration: Duration, answers: usize) {
        self.counters
            .count_duration(Transport::Tcp, duration, answers);
    }

    /// Answers the whole messages in `input`, as long as the answers have room and no more than
    /// `queries_left`, which it counts down; returns how many bytes those messages had.
    ///
    /// All of them see one version of the zones. A message that isn't answered, such as one without
    /// a whole header, is counted like the others.
    pub(super) fn answer(
        &self,
        input: &[u8],
        client: IpAddr,
        queries_left: &mut u64,
        answers: &mut Answers,
        late: &mut Late,
    ) -> usize {
        let zones = self.zones.load();
        let now = clock::now();
        let mut rest = input;
        while *queries_left > 0
            && answers.have_room()
            && !late.is_full()
            && let Some(message) = take_message(&mut rest)
        {
            *queries_left -= 1;
            answers.append(|seed, out| {
                let request = Request {
                    message,
                    client,
                    transport: Transport::Tcp,
                    keepalive: Some(self.keepalive),
                    now,
                    seed,
                };
                let outcome = respond(&zones, &request, out);
                self.counters.count_query(Transport::Tcp, outcome);
                self.counters.count_answer(outcome);
                match outcome {
                    Outcome::Answered { bytes, .. } => Some(bytes),
                    Outcome::Dropped => None,
                    Outcome::Forwarded { .. } => {
                        pass_on(&zones, &request, Reply::Tcp(late.expect()));
                        None
                    }
                }
            });
        }
        input.len() - rest.len()
    }
}

/// Returns a timeout in units of 100 ms, at most what 16 bits hold.
fn keepalive(timeout: Duration) -> u16 {
    u16::try_from(timeout.as_millis() / 100).unwrap_or(u16::MAX)
}

/// Takes the first message off a stream's bytes; `None` while its end isn't there.
fn take_message<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (message, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(message)
}

/// Tells whether a stream's bytes start with a whole message.
pub(super) fn has_message(mut bytes: &[u8]) -> bool {
    take_message(&mut bytes).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_told_in_tenths_of_a_second() {
        for (millis, units) in [(10_000, 100), (250, 2), (3 * 3_600_000, u16::MAX)] {
            assert_eq!(keepalive(Duration::from_millis(millis)), units);
        }
    }

    #[test]
    fn a_message_is_taken_when_its_last_byte_is_there() {
        let stream = [0, 0, 0, 3, 1, 2, 3, 0, 1];
        let mut rest = &stream[..];
        assert_eq!(take_message(&mut rest), Some(&[][..]));
        assert_eq!(take_message(&mut rest), Some(&[1, 2, 3][..]));
        assert_eq!(take_message(&mut rest), None);
        assert_eq!(rest, [0, 1]);
        for cut in 2..7 {
            assert!(!has_message(&stream[2..cut]));
        }
        assert!(has_message(&stream[2..7]));
    }
}
