//! Counts what happens to queries.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::{CookieKind, Outcome, Rcode, Transport, rate_limit::Verdict};

/// Holds one worker's numbers.
///
/// Only that worker's thread writes, so that counting is a plain addition; whoever reads may be a
/// moment behind. It has cache lines of its own, for no other worker's writes to slow it down.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    /// Queries by transport: UDP, TCP.
    queries: [Number; 2],
    /// Answers by code, in the order of [`Rcode::ALL`].
    answers: [Number; Rcode::ALL.len()],
    /// Queries that could be answered by cookie, in the order of [`CookieKind::ALL`].
    cookies: [Number; CookieKind::ALL.len()],
    truncated: Number,
    /// Answers over the limit: slipped, dropped.
    rate_limited: [Number; 2],
    dropped: Number,
    unsent: Number,
    tcp_connections: Number,
}

/// A number that one thread writes and others read.
#[derive(Debug, Default)]
struct Number(AtomicU64);

impl Number {
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, more: u64) {
        self.0
            .store(self.get().wrapping_add(more), Ordering::Relaxed);
    }

    fn subtract(&self, less: u64) {
        self.0
            .store(self.get().wrapping_sub(less), Ordering::Relaxed);
    }
}

impl Counters {
    /// Counts a query, of which there is this outcome before any limit.
    pub(crate) fn count_query(&self, transport: Transport, outcome: Outcome) {
        self.queries[transport as usize].add(1);
        match outcome {
            Outcome::Dropped => self.dropped.add(1),
            Outcome::Answered { cookie, .. } => self.cookies[cookie as usize].add(1),
        }
    }

    /// Counts an answer, if there is one.
    pub(crate) fn count_answer(&self, outcome: Outcome) {
        if let Outcome::Answered {
            rcode, truncated, ..
        } = outcome
        {
            self.answers[rcode as usize].add(1);
            if truncated {
                self.truncated.add(1);
            }
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
}

/// Sums the workers' numbers up when they are asked for.
#[derive(Debug)]
pub struct Metrics {
    workers: Vec<Arc<Counters>>,
}

impl Metrics {
    /// Creates the counters of so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| Arc::default()).collect(),
        }
    }

    /// Returns the counters of each worker.
    pub fn workers(&self) -> &[Arc<Counters>] {
        &self.workers
    }

    fn sum(&self, number: impl Fn(&Counters) -> &Number) -> u64 {
        self.workers.iter().map(|worker| number(worker).get()).sum()
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counter = MetricType::Counter;
        let name = "signpost_dns_queries";
        let help = "Queries received";
        let mut family = encoder.encode_descriptor(name, help, None, counter)?;
        for (transport, label) in [(Transport::Udp, "udp"), (Transport::Tcp, "tcp")] {
            let sum = self.sum(|worker| &worker.queries[transport as usize]);
            let labels = [("transport", label)];
            ConstCounter::new(sum).encode(family.encode_family(&labels)?)?;
        }
        let name = "signpost_dns_answers";
        let help = "Answers by response code";
        let mut family = encoder.encode_descriptor(name, help, None, counter)?;
        for rcode in Rcode::ALL {
            let sum = self.sum(|worker| &worker.answers[rcode as usize]);
            let labels = [("rcode", rcode.label())];
            ConstCounter::new(sum).encode(family.encode_family(&labels)?)?;
        }
        let name = "signpost_dns_cookies";
        let help = "Queries by the cookie that came with them";
        let mut family = encoder.encode_descriptor(name, help, None, counter)?;
        for kind in CookieKind::ALL {
            let sum = self.sum(|worker| &worker.cookies[kind as usize]);
            let labels = [("kind", kind.label())];
            ConstCounter::new(sum).encode(family.encode_family(&labels)?)?;
        }
        let name = "signpost_dns_rate_limited_answers";
        let help = "Answers over UDP that were over the limit, by what was done with them";
        let mut family = encoder.encode_descriptor(name, help, None, counter)?;
        for (index, label) in ["slip", "drop"].into_iter().enumerate() {
            let sum = self.sum(|worker| &worker.rate_limited[index]);
            let labels = [("verdict", label)];
            ConstCounter::new(sum).encode(family.encode_family(&labels)?)?;
        }
        for (name, help, sum) in [
            (
                "signpost_dns_truncated_answers",
                "Answers that send the client to TCP (TC)",
                self.sum(|worker| &worker.truncated),
            ),
            (
                "signpost_dns_dropped_queries",
                "Messages that got no answer: too short for a header, or answers themselves",
                self.sum(|worker| &worker.dropped),
            ),
            (
                "signpost_dns_unsent_answers",
                "Answers that the system didn't take",
                self.sum(|worker| &worker.unsent),
            ),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, counter)?;
            ConstCounter::new(sum).encode(metric)?;
        }
        let name = "signpost_dns_tcp_connections";
        let metric =
            encoder.encode_descriptor(name, "Open connections", None, MetricType::Gauge)?;
        let open = self.sum(|worker| &worker.tcp_connections);
        ConstGauge::new(i64::try_from(open).unwrap_or(i64::MAX)).encode(metric)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn what_the_workers_count_is_summed_up() {
        let metrics = Metrics::new(2);
        let answered = |rcode, truncated| Outcome::Answered {
            bytes: 1,
            rcode,
            truncated,
            cookie: match truncated {
                true => CookieKind::ClientOnly,
                false => CookieKind::Absent,
            },
        };
        let [one, two] = metrics.workers() else {
            panic!("there are two workers");
        };
        for (worker, transport, outcome) in [
            (one, Transport::Udp, answered(Rcode::NoError, true)),
            (one, Transport::Tcp, answered(Rcode::BadVers, false)),
            (two, Transport::Udp, answered(Rcode::NoError, false)),
            (two, Transport::Udp, Outcome::Dropped),
        ] {
            worker.count_query(transport, outcome);
            worker.count_answer(outcome);
        }
        for verdict in [Verdict::Send, Verdict::Slip, Verdict::Drop, Verdict::Drop] {
            one.count_verdict(verdict);
        }
        two.connection_opened();
        two.connection_opened();
        two.connection_closed();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(metrics));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "signpost_dns_queries_total{transport=\"udp\"} 3",
            "signpost_dns_queries_total{transport=\"tcp\"} 1",
            "signpost_dns_answers_total{rcode=\"NOERROR\"} 2",
            "signpost_dns_answers_total{rcode=\"BADVERS\"} 1",
            "signpost_dns_answers_total{rcode=\"REFUSED\"} 0",
            "signpost_dns_cookies_total{kind=\"absent\"} 2",
            "signpost_dns_cookies_total{kind=\"client_only\"} 1",
            "signpost_dns_truncated_answers_total 1",
            "signpost_dns_rate_limited_answers_total{verdict=\"slip\"} 1",
            "signpost_dns_rate_limited_answers_total{verdict=\"drop\"} 2",
            "signpost_dns_dropped_queries_total 1",
            "signpost_dns_unsent_answers_total 0",
            "signpost_dns_tcp_connections 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn codes_are_counted_at_their_place_in_the_list() {
        for (index, rcode) in Rcode::ALL.into_iter().enumerate() {
            assert_eq!(rcode as usize, index);
        }
    }
}
