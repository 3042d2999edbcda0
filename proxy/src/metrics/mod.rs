//! What the proxy has done, in numbers.

mod count;
mod family;
mod tally;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

pub(crate) use self::{
    count::{Count, Took},
    family::Family,
    tally::Tally,
};
use self::{
    count::{Histogram, Sum},
    family::{CLASSES, CONNECT_FAILURES, CONNECTIONS, RETRIES, SHED},
};
use crate::error::Error;

/// The most services, and the most routes, that are counted by themselves.
const NAMED_MAX: usize = 20_000;

/// The most instances that are counted by themselves; what is read at once must stay readable.
const INSTANCES_MAX: usize = 10_000;

/// Sums up the counters of all workers when it is read.
#[derive(Debug)]
pub struct Metrics {
    workers: Mutex<Vec<Arc<Counters>>>,
    pub(crate) listeners: Family<1>,
    pub(crate) routes: Family<1>,
    pub(crate) services: Family<1>,
    pub(crate) instances: Family<2>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            workers: Mutex::default(),
            listeners: Family::new("listener", ["listener"], &[CONNECTIONS], NAMED_MAX),
            routes: Family::new("route", ["route"], &[RETRIES], NAMED_MAX),
            services: Family::new("service", ["service"], &[RETRIES, SHED], NAMED_MAX),
            instances: Family::new(
                "instance",
                ["service", "instance"],
                &[RETRIES, CONNECTIONS, CONNECT_FAILURES],
                INSTANCES_MAX,
            ),
        }
    }
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
    /// Retries that were due and not made, because there were too many.
    pub(crate) retries_refused: Count,
    pub(crate) connections: Count,
    pub(crate) connections_open: Count,
    pub(crate) proxy_header_errors: Count,
    pub(crate) requests_in_flight: Count,
    pub(crate) upstream_connects: Count,
    pub(crate) upstream_connect_failures: Count,
    pub(crate) upstream_idle: Count,
    pub(crate) log_lines_dropped: Count,
    /// By [`Mirroring`].
    pub(crate) mirrored: [Count; Mirroring::NAMES.len()],
    pub(crate) duration: Histogram,
}

/// Says what has become of the copy of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mirroring {
    /// It was answered.
    Sent,
    /// Nobody was there, or nobody answered.
    Failed,
    /// There was none, as the request was too large to be kept, or broke off, or was for a tunnel.
    NotWhole,
    /// There was none, as too many were on their way.
    Busy,
}

/// Describes a number: its name, what it is, and where each worker has it.
type Description = (&'static str, &'static str, fn(&Counters) -> &Count);

impl Mirroring {
    const NAMES: [&'static str; 4] = ["sent", "failed", "not_whole", "busy"];
}

impl Metrics {
    /// Makes the counters of one more worker.
    pub(crate) fn worker(&self) -> Arc<Counters> {
        let counters = Arc::default();
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.push(Arc::clone(&counters));
        counters
    }

    /// Returns how many requests have not been answered yet.
    pub fn in_flight(&self) -> u64 {
        self.sum(|counters| &counters.requests_in_flight)
    }

    fn sum(&self, count: impl Fn(&Counters) -> &Count) -> u64 {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.iter().map(|counters| count(counters).read()).sum()
    }

    fn encode_counters(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counters: [Description; 7] = [
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
                "signpost_proxy_retries_refused",
                "Requests not asked again because the budget was spent",
                |counters| &counters.retries_refused,
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
        for (class, status) in CLASSES {
            let count = self.sum(|counters| &counters.responses[class]);
            let labels = [("status", status)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        let mut family = encoder.encode_descriptor(
            "signpost_proxy_errors",
            "Requests that failed, by reason",
            None,
            MetricType::Counter,
        )?;
        for (index, code) in Error::CODES.into_iter().enumerate() {
            let count = self.sum(|counters| &counters.errors[index]);
            let labels = [("reason", code)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        let mut family = encoder.encode_descriptor(
            "signpost_proxy_mirrored_requests",
            "Requests that were to be mirrored, by what became of the copy",
            None,
            MetricType::Counter,
        )?;
        for (index, name) in Mirroring::NAMES.into_iter().enumerate() {
            let count = self.sum(|counters| &counters.mirrored[index]);
            let labels = [("result", name)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn encode_duration(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut sum = Sum::default();
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers
            .iter()
            .for_each(|counters| sum.add(&counters.duration));
        drop(workers);
        let mut metric = encoder.encode_descriptor(
            "signpost_proxy_request_duration_seconds",
            "Time from a request's head to the end of its response",
            None,
            MetricType::Histogram,
        )?;
        let (seconds, count, buckets) = (sum.seconds(), sum.count(), sum.buckets());
        metric.encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_counters(&mut encoder)?;
        self.encode_families(&mut encoder)?;
        self.encode_duration(&mut encoder)?;
        self.listeners.encode(&mut encoder)?;
        self.routes.encode(&mut encoder)?;
        self.services.encode(&mut encoder)?;
        self.instances.encode(&mut encoder)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn all_workers_are_summed_up() {
        let metrics = Arc::new(Metrics::default());
        for worker in [metrics.worker(), metrics.worker()] {
            worker.responses[2].add(2);
            worker.errors[Error::UnknownHost.index()].add(1);
            worker.duration.observe(Took::new(Duration::from_millis(3)));
        }
        let [held, other, gone] = ["a", "a", "b"].map(|id| {
            let tally = metrics.instances.tally(["web".into(), id.into()]);
            tally.record(204, Took::new(Duration::from_millis(1)));
            tally
        });
        drop(gone);
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
            "signpost_proxy_instance_requests_total{service=\"web\",instance=\"a\",status=\"2xx\"} 2",
            "signpost_proxy_instance_request_duration_seconds_count{service=\"web\",instance=\"a\"} 2",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
        assert!(!text.contains("instance=\"b\""), "{text}");
        drop((held, other));
    }
}
