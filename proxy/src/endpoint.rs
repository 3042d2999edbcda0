//! One instance as the proxy sees it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use registry::InstanceId;

use crate::{health::Outcomes, latency::Latency};

/// Holds one instance's address and live counters; shared by all workers and by all route tables
/// that have the same instance at the same address.
#[derive(Debug)]
pub struct Endpoint {
    /// The instance's id.
    pub id: InstanceId,
    /// Where it is asked first.
    pub address: SocketAddr,
    /// Where it is asked, at the same port, when nobody is there.
    others: Vec<IpAddr>,
    /// Whether what it has is to end at once.
    is_closed: AtomicBool,
    counters: Counters,
}

/// Holds what changes with every request, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counters {
    in_flight: AtomicU64,
    tunnels: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
    outcomes: Outcomes,
    latency: Latency,
}

impl Endpoint {
    /// Creates an endpoint that nobody has asked yet.
    pub fn new(id: InstanceId, address: SocketAddr) -> Self {
        Self {
            id,
            address,
            others: Vec::new(),
            is_closed: AtomicBool::new(false),
            counters: Counters::default(),
        }
    }

    /// Adds addresses at which to ask, one after the other, when the first can't be connected to.
    pub(crate) fn with_others(mut self, others: &[IpAddr]) -> Self {
        self.others = others.to_vec();
        self
    }

    /// Lists all its addresses, in the order in which they are tried.
    pub(crate) fn addresses(&self) -> impl ExactSizeIterator<Item = SocketAddr> {
        (0..1 + self.others.len()).map(|at| match at {
            0 => self.address,
            at => SocketAddr::new(self.others[at - 1], self.address.port()),
        })
    }

    /// Tells whether it is asked at just these addresses.
    pub(crate) fn is_at(&self, first: SocketAddr, others: &[IpAddr]) -> bool {
        self.address == first && self.others == others
    }

    /// Returns how many requests it is busy with, tunnels among them.
    pub fn in_flight(&self) -> u64 {
        self.counters.in_flight.load(Relaxed)
    }

    /// Returns how many tunnels lead to it.
    pub fn tunnels(&self) -> u64 {
        self.counters.tunnels.load(Relaxed)
    }

    /// Tells whether the requests and tunnels that it still has are to end.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Relaxed)
    }

    /// Has its requests and tunnels end when they are looked at next.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Relaxed);
    }

    /// Returns how many times it was asked.
    pub fn requests(&self) -> u64 {
        self.counters.requests.load(Relaxed)
    }

    /// Returns how many times it failed to respond.
    pub fn failures(&self) -> u64 {
        self.counters.failures.load(Relaxed)
    }

    /// Returns what it did to requests.
    pub(crate) fn outcomes(&self) -> &Outcomes {
        &self.counters.outcomes
    }

    /// Returns how fast it is, as its answers show.
    pub(crate) fn speed(&self) -> &Latency {
        &self.counters.latency
    }

    /// Returns how long it takes to answer, in microseconds; `None` while nothing is known.
    pub(crate) fn latency(&self, now: u32) -> Option<u64> {
        self.counters.latency.micros(now)
    }

    /// Counts a request until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.counters.in_flight.fetch_add(1, Relaxed);
        self.counters.requests.fetch_add(1, Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Counts a failure to respond; `now` is in milliseconds, as in [`Latency`].
    pub(crate) fn fail(&self, now: u32) {
        self.counters.failures.fetch_add(1, Relaxed);
        self.counters.latency.fail(now);
    }
}

/// Stands for one request that an endpoint is busy with.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Endpoint>);

impl InFlight {
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.0
    }

    /// Counts a tunnel until the guard is dropped.
    pub(crate) fn tunnel(&self) -> Tunnel<'_> {
        self.0.counters.tunnels.fetch_add(1, Relaxed);
        Tunnel(&self.0)
    }
}

/// Stands for one tunnel to an endpoint.
#[derive(Debug)]
pub(crate) struct Tunnel<'e>(&'e Endpoint);

impl Drop for Tunnel<'_> {
    fn drop(&mut self) {
        self.0.counters.tunnels.fetch_sub(1, Relaxed);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.counters.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_in_flight_until_its_guard_is_dropped() {
        let address = "127.0.0.1:80".parse().unwrap();
        let endpoint = Arc::new(Endpoint::new(InstanceId::from_text("a"), address));
        let (one, two) = (endpoint.begin(), endpoint.begin());
        drop(one);
        let tunnel = two.tunnel();
        assert_eq!((endpoint.in_flight(), endpoint.requests()), (1, 2));
        assert_eq!(endpoint.tunnels(), 1);
        drop(tunnel);
        assert_eq!(endpoint.tunnels(), 0);
        drop(two);
        assert_eq!(endpoint.in_flight(), 0);
    }
}
