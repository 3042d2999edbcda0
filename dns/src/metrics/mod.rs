//! Counts what happens to queries.

mod counters;
mod labels;
mod numbers;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{Ordering, fence},
    },
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::{CookieKind, Rcode, Transport, name::Name};
pub use counters::Counters;
use labels::ZoneSlots;
pub use labels::{QueryType, ZoneSlot};
use numbers::{BOUNDS, Number};

const TRANSPORTS: [(Transport, &str); 2] = [(Transport::Udp, "udp"), (Transport::Tcp, "tcp")];

/// Sums the threads' numbers up when they are asked for.
#[derive(Debug, Default)]
pub struct Metrics {
    counters: Mutex<Vec<Arc<Counters>>>,
    slots: ZoneSlots,
}

/// Describes a number: its name, what it is, and where each thread has it.
type Description = (&'static str, &'static str, fn(&Counters) -> &Number);

/// The counters without labels.
const COUNTERS: [Description; 5] = [
    (
        "signpost_dns_truncated_answers",
        "Answers that send the client to TCP (TC)",
        |one| &one.truncated,
    ),
    (
        "signpost_dns_dropped_queries",
        "Messages that got no answer: too short for a header, or answers themselves",
        |one| &one.dropped,
    ),
    (
        "signpost_dns_forwarded_queries",
        "Queries for other names that resolvers are asked",
        |one| &one.forwarded,
    ),
    (
        "signpost_dns_unsent_answers",
        "Answers that the system didn't take",
        |one| &one.unsent,
    ),
    (
        "signpost_dns_tcp_evicted_connections",
        "Idle connections that were closed for others to have their place",
        |one| &one.tcp_evicted,
    ),
];

impl Metrics {
    /// Returns counters for who answers on one thread.
    ///
    /// They are its own until it drops them: then the next goes on with them, so that no number is
    /// lost with a listener.
    pub fn counters(&self) -> Arc<Counters> {
        let mut all = self.all();
        if let Some(free) = all.iter().find(|one| Arc::strong_count(one) == 1) {
            // What the one before has written is seen.
            fence(Ordering::Acquire);
            return Arc::clone(free);
        }
        let new = Arc::default();
        all.push(Arc::clone(&new));
        new
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Counters>>> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns where the queries of a domain's zone are counted.
    pub(crate) fn slot(&self, domain: &Name) -> ZoneSlot {
        self.slots.of(domain.to_string())
    }

    fn sum(&self, number: impl Fn(&Counters) -> &Number) -> u64 {
        self.all().iter().map(|one| number(one).get()).sum()
    }

    /// Writes queries by zone, type and transport; what was never asked is left out.
    fn encode_queries(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let name = "signpost_dns_queries";
        let help = "Queries received";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (slot, zone) in self.slots.labels() {
            for qtype in QueryType::ALL {
                for (transport, label) in TRANSPORTS {
                    let sum = self.sum(|one| {
                        &one.zones[slot.index()].queries[transport as usize][qtype as usize]
                    });
                    if sum > 0 {
                        let zone = ("zone", zone.as_str());
                        let labels = [zone, ("type", qtype.label()), ("transport", label)];
                        ConstCounter::new(sum).encode(family.encode_family(&labels)?)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes answers by zone and code: all codes for each zone that has been there.
    fn encode_answers(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let name = "signpost_dns_answers";
        let help = "Answers by response code";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (slot, zone) in self.slots.labels() {
            for rcode in Rcode::ALL {
                let sum = self.sum(|one| &one.zones[slot.index()].answers[rcode as usize]);
                if sum > 0 || slot != ZoneSlot::OTHER {
                    let labels = [("zone", zone.as_str()), ("rcode", rcode.label())];
                    ConstCounter::new(sum).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }

    fn encode_others(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counter = MetricType::Counter;
        let name = "signpost_dns_cookies";
        let help = "Queries by the cookie that came with them";
        let mut family = encoder.encode_descriptor(name, help, None, counter)?;
        for kind in CookieKind::ALL {
            let sum = self.sum(|one| &one.cookies[kind as usize]);
            let labels = [("kind", kind.label())];
            ConstCounter::new(sum).encode(family.encode_family(&labels)?)?;
        }
        let name = "signpost_dns_rate_limited_answers";
        let help = "Answers over UDP that were over the limit, by what was done with them";
        let mut family = encoder.encode_descriptor(name, help, None, counter)?;
        for (index, label) in ["slip", "drop"].into_iter().enumerate() {
            let sum = self.sum(|one| &one.rate_limited[index]);
            let labels = [("verdict", label)];
            ConstCounter::new(sum).encode(family.encode_family(&labels)?)?;
        }
        for (name, help, number) in COUNTERS {
            let metric = encoder.encode_descriptor(name, help, None, counter)?;
            ConstCounter::new(self.sum(number)).encode(metric)?;
        }
        let name = "signpost_dns_tcp_connections";
        let metric =
            encoder.encode_descriptor(name, "Open connections", None, MetricType::Gauge)?;
        let open = self.sum(|one| &one.tcp_connections);
        ConstGauge::new(i64::try_from(open).unwrap_or(i64::MAX)).encode(metric)
    }

    fn encode_durations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let name = "signpost_dns_answer_duration_seconds";
        let help = "Time from the receipt of queries to the call that sends their answers";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (transport, label) in TRANSPORTS {
            let bounds = BOUNDS.into_iter().chain([f64::INFINITY]).enumerate();
            let buckets: Vec<(f64, u64)> = bounds
                .map(|(at, bound)| {
                    (
                        bound,
                        self.sum(|one| &one.durations[transport as usize].buckets[at]),
                    )
                })
                .collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let nanos = self.sum(|one| &one.durations[transport as usize].nanos);
            let seconds = Duration::from_nanos(nanos).as_secs_f64();
            let labels = [("transport", label)];
            let mut one = family.encode_family(&labels)?;
            one.encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)?;
        }
        Ok(())
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_queries(&mut encoder)?;
        self.encode_answers(&mut encoder)?;
        self.encode_others(&mut encoder)?;
        self.encode_durations(&mut encoder)
    }
}

#[cfg(test)]
mod tests;
