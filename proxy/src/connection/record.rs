//! What is counted and logged of a request when it is over.

use tokio::time::Instant;

use super::Connection;
use crate::{
    access_log::Outcome, error::Error, forward::Stream, ledger::RouteAccount, metrics::Took,
};

/// Says what is known for the log and the counters when a request is over.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) status: Option<u16>,
    pub(super) bytes: u64,
    pub(super) error: Option<Error>,
    /// When it was over; unsaid where nobody has looked.
    pub(super) at: Option<Instant>,
}

/// Holds a request that is over.
#[derive(Debug)]
pub(super) struct Over<'a> {
    pub(super) started: Instant,
    pub(super) ended: &'a Ended,
    /// Present when an instance was to be asked.
    pub(super) forwarded: Option<&'a Stream>,
    pub(super) route: Option<&'a RouteAccount>,
    /// The version of the route table.
    pub(super) version: u64,
    /// What the access log says of the request.
    pub(super) line: &'a [u8],
}

impl Connection {
    /// Counts a request that is over, and logs it.
    pub(super) fn record(&self, over: Over<'_>) {
        let ended = over.ended;
        let counters = &self.worker.counters;
        let end = ended.at.unwrap_or_else(Instant::now);
        let duration = end.saturating_duration_since(over.started);
        self.timer
            .set_from(end, self.worker.bounds().timeouts.idle.get());
        // Without a status the client has left before it was answered.
        let status = ended.status.unwrap_or(499);
        if let Some(count) = counters.responses.get(usize::from(status / 100)) {
            count.add(1);
        }
        if let Some(error) = ended.error {
            counters.errors[error.index()].add(1);
        }
        let took = Took::new(duration);
        counters.duration.observe(took);
        self.ticket.tally().record(status, took);
        if let Some(route) = over.route {
            route.tally.record(status, took);
            let attempts = over.forwarded.map_or(0, |stream| stream.attempts);
            route.tally.retries.add(attempts.saturating_sub(1) as u64);
        }
        let stream = over.forwarded;
        if let Some(stream) = stream {
            stream.account.tally.record(status, took);
        }
        let asked = stream.and_then(|stream| stream.asked.as_ref());
        if let Some(asked) = asked {
            asked.slot.tally.record(status, took);
        }
        if !self.worker.logs() {
            return;
        }
        let outcome = Outcome {
            status,
            bytes: ended.bytes,
            duration,
            attempts: stream.map_or(0, |stream| stream.attempts),
            version: over.version,
            route: over.route.map(|route| &*route.label),
            service: stream.map(|stream| stream.pool.service.as_str()),
            instance: asked.map(|asked| (asked.endpoint.id.as_str(), asked.address)),
            error: ended.error,
        };
        self.worker.log(self.arrival.client, over.line, &outcome);
    }
}
