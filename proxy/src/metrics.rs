//! What the proxy has done, in numbers.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::error::Error;

/// The upper bounds of the duration histogram, in seconds.
const BOUNDS: [f64; 14] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Sums up the counters of all workers when it is read.
#[derive(Debug, Default)]
pub struct Metrics {
    workers: Mutex<Vec<Arc<Counters>>>,
}

/// Counts for one worker, which alone writes: an addition is a load and a store.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    /// By the first digit of the status, 1 to 5.
    pub(crate) responses: [Count; 6],
    /// By [`Error::index`].
    pub(crate) errors: [Count; Error::CODES.len()],
    pub(crate) retries: Count,
    pub(crate) connections: Count,
    pub(crate) connections_open: Count,
    pub(crate) proxy_header_errors: Count,
    pub(crate) requests_in_flight: Count,
    pub(crate) upstream_connects: Count,
    pub(crate) upstream_connect_failures: Count,
    pub(crate) upstream_idle: Count,
    pub(crate) log_lines_dropped: Count,
    pub(crate) duration: Histogram,
}

/// Describes a number: its name, what it is, and where each worker has it.
type Description = (&'static str, &'static str, fn(&Counters) -> &Count);

/// A number that one thread writes and all may read.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

/// Sorts durations by length.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// One more than bounds, for what is above all of them.
    buckets: [Count; BOUNDS.len() + 1],
    nanos: Count,
}

impl Count {
    pub(crate) fn add(&self, number: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_add(number), Relaxed);
    }

    pub(crate) fn subtract(&self, number: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_sub(number), Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Histogram {
    pub(crate) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        self.buckets[BOUNDS.partition_point(|bound| *bound < seconds)].add(1);
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.add(nanos);
    }
}

impl Metrics {
    /// Makes the counters of one more worker.
    pub(crate) fn worker(&self) -> Arc<Counters> {
        let counters = Arc::default();
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.push(Arc::clone(&counters));
        counters
    }

    fn sum(&self, count: impl Fn(&Counters) -> &Count) -> u64 {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.iter().map(|counters| count(counters).read()).sum()
    }

    fn encode_counters(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counters: [Description; 6] = [
            (
                "signpost_proxy_connections",
                "Connections accepted from clients",
                |counters| &counters.connections,
            ),
            (
                "signpost_proxy_proxy_header_errors",
                "Connections closed as their PROXY header was missing or malformed",
                |counters| &counters.proxy_header_errors,
            ),
            (
                "signpost_proxy_retries",
                "Requests asked again of another instance",
                |counters| &counters.retries,
            ),
            (
                "signpost_proxy_upstream_connects",
                "Connections made to instances",
                |counters| &counters.upstream_connects,
            ),
            (
                "signpost_proxy_upstream_connect_failures",
                "Connections to instances that could not be made",
                |counters| &counters.upstream_connect_failures,
            ),
            (
                "signpost_proxy_access_log_dropped_lines",
                "Lines of the access log that nobody could write in time",
                |counters| &counters.log_lines_dropped,
            ),
        ];
        for (name, help, count) in counters {
            let counter = ConstCounter::new(self.sum(count));
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        let gauges: [Description; 3] = [
            (
                "signpost_proxy_open_connections",
                "Connections of clients that are open",
                |counters| &counters.connections_open,
            ),
            (
                "signpost_proxy_in_flight_requests",
                "Requests that have not been answered yet",
                |counters| &counters.requests_in_flight,
            ),
            (
                "signpost_proxy_upstream_idle_connections",
                "Connections to instances that are kept for later",
                |counters| &counters.upstream_idle,
            ),
        ];
        for (name, help, count) in gauges {
            let gauge = ConstGauge::new(i64::try_from(self.sum(count)).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }

    fn encode_families(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "signpost_proxy_requests",
            "Requests answered, by class of status",
            None,
            MetricType::Counter,
        )?;
        for (class, name) in [(1, "1xx"), (2, "2xx"), (3, "3xx"), (4, "4xx"), (5, "5xx")] {
            let count = self.sum(|counters| &counters.responses[class]);
            let labels = [("status", name)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        let mut family = encoder.encode_descriptor(
            "signpost_proxy_errors",
            "Requests that the proxy answered by itself, by reason",
            None,
            MetricType::Counter,
        )?;
        for (index, code) in Error::CODES.into_iter().enumerate() {
            let count = self.sum(|counters| &counters.errors[index]);
            let labels = [("reason", code)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn encode_duration(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]).enumerate();
        let buckets: Vec<(f64, u64)> = bounds
            .map(|(at, bound)| (bound, self.sum(|counters| &counters.duration.buckets[at])))
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let nanos = self.sum(|counters| &counters.duration.nanos);
        let mut metric = encoder.encode_descriptor(
            "signpost_proxy_request_duration_seconds",
            "Time from a request's head to the end of its response",
            None,
            MetricType::Histogram,
        )?;
        let seconds = Duration::from_nanos(nanos).as_secs_f64();
        metric.encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_counters(&mut encoder)?;
        self.encode_families(&mut encoder)?;
        self.encode_duration(&mut encoder)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn all_workers_are_summed_up() {
        let metrics = Arc::new(Metrics::default());
        for worker in [metrics.worker(), metrics.worker()] {
            worker.responses[2].add(2);
            worker.errors[Error::UnknownHost.index()].add(1);
            worker.duration.observe(Duration::from_millis(3));
        }
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Arc::clone(&metrics)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "signpost_proxy_requests_total{status=\"2xx\"} 4",
            "signpost_proxy_errors_total{reason=\"unknown_host\"} 2",
            "signpost_proxy_request_duration_seconds_bucket{le=\"0.0025\"} 0",
            "signpost_proxy_request_duration_seconds_bucket{le=\"0.005\"} 2",
            "signpost_proxy_request_duration_seconds_bucket{le=\"+Inf\"} 2",
            "signpost_proxy_request_duration_seconds_count 2",
            "signpost_proxy_open_connections 0",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
    }
}
