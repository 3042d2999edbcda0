//! What is counted of the requests of one listener, route, service or instance.

use super::{Count, Histogram, count::Took};

/// Counts for one worker, which alone writes.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By the first digit of the status, 1 to 5.
    pub(crate) responses: [Count; 6],
    /// Requests that were sent again, to this one or from it.
    pub(crate) retries: Count,
    /// Connections that were made: to instances, or by clients.
    pub(crate) connections: Count,
    /// Connections that could not be made.
    pub(crate) connect_failures: Count,
    /// Requests that were refused because of a limit.
    pub(crate) shed: Count,
    pub(crate) duration: Histogram,
}

impl Tally {
    /// Counts a request that is over.
    pub(crate) fn record(&self, status: u16, took: Took) {
        if let Some(count) = self.responses.get(usize::from(status / 100)) {
            count.add(1);
        }
        self.duration.observe(took);
    }

    /// Returns how many requests are over.
    pub(crate) fn requests(&self) -> u64 {
        self.responses.iter().map(Count::read).sum()
    }
}
