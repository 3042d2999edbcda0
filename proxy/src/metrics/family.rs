//! Tallies by what they are of, such as by service.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter},
};

use super::{Count, Tally, count::Sum};

/// The classes of status that responses are counted by.
pub(super) const CLASSES: [(usize, &str); 5] =
    [(1, "1xx"), (2, "2xx"), (3, "3xx"), (4, "4xx"), (5, "5xx")];

/// Holds the tallies of all workers by what they are of: the values of the labels.
///
/// Who is counted for is in the metrics as long as one worker holds on to the tally.
#[derive(Debug)]
pub(crate) struct Family<const LABELS: usize> {
    /// What the tallies are of, as it stands in the metrics' names.
    noun: &'static str,
    labels: [&'static str; LABELS],
    /// What is counted of each, beside requests.
    counters: &'static [Counter],
    tallies: Mutex<Tallies<LABELS>>,
    /// The most that have a tally of their own.
    max: usize,
}

/// The tallies of the workers by the values of the labels.
type Tallies<const LABELS: usize> = BTreeMap<[Arc<str>; LABELS], Vec<Weak<Tally>>>;

/// What somebody counts for, and the tallies of the workers.
type Entry<const LABELS: usize> = ([Arc<str>; LABELS], Vec<Arc<Tally>>);

/// Describes a counter: the end of its name, what it is, and where a tally has it.
#[derive(Debug)]
pub(super) struct Counter(&'static str, &'static str, fn(&Tally) -> &Count);

pub(super) const RETRIES: Counter = Counter("retries", "Requests that were sent again", |tally| {
    &tally.retries
});

pub(super) const CONNECTIONS: Counter =
    Counter("connections", "Connections that were made", |tally| {
        &tally.connections
    });

pub(super) const CONNECT_FAILURES: Counter = Counter(
    "connect_failures",
    "Connections that could not be made",
    |tally| &tally.connect_failures,
);

pub(super) const SHED: Counter = Counter(
    "shed_requests",
    "Requests refused because of a limit",
    |tally| &tally.shed,
);

impl<const LABELS: usize> Family<LABELS> {
    /// Creates a family that is empty.
    pub(super) fn new(
        noun: &'static str,
        labels: [&'static str; LABELS],
        counters: &'static [Counter],
        max: usize,
    ) -> Self {
        Self {
            noun,
            labels,
            counters,
            tallies: Mutex::default(),
            max,
        }
    }

    /// Makes a tally for one worker; beyond the limit it is one that is in no metric.
    pub(crate) fn tally(&self, of: [Arc<str>; LABELS]) -> Arc<Tally> {
        let tally = Arc::default();
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        if tallies.len() >= self.max && !tallies.contains_key(&of) {
            tallies.retain(|_, tallies| tallies.iter().any(|tally| tally.strong_count() > 0));
        }
        if tallies.len() < self.max || tallies.contains_key(&of) {
            tallies.entry(of).or_default().push(Arc::downgrade(&tally));
        }
        tally
    }

    /// Appends all metrics of all that somebody still counts for.
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.live();
        self.encode_responses(&all, encoder)?;
        self.encode_counters(&all, encoder)?;
        self.encode_durations(&all, encoder)
    }

    /// Lists what somebody counts for, and forgets the rest.
    fn live(&self) -> Vec<Entry<LABELS>> {
        let mut live = Vec::new();
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.retain(|of, tallies| {
            tallies.retain(|tally| tally.strong_count() > 0);
            let of_workers: Vec<_> = tallies.iter().filter_map(Weak::upgrade).collect();
            if of_workers.is_empty() {
                return false;
            }
            live.push((of.clone(), of_workers));
            true
        });
        live
    }

    fn labels<'l>(&self, of: &'l [Arc<str>; LABELS]) -> Vec<(&'static str, &'l str)> {
        let pairs = self.labels.iter().zip(of);
        pairs.map(|(label, value)| (*label, &**value)).collect()
    }

    fn encode_responses(
        &self,
        all: &[Entry<LABELS>],
        encoder: &mut DescriptorEncoder<'_>,
    ) -> fmt::Result {
        let noun = self.noun;
        let name = format!("signpost_proxy_{noun}_requests");
        let help = format!("Requests answered, by {noun} and class of status");
        let mut family = encoder.encode_descriptor(&name, &help, None, MetricType::Counter)?;
        for (of, tallies) in all {
            for (class, status) in CLASSES {
                let counts = tallies.iter().map(|tally| tally.responses[class].read());
                let counter = ConstCounter::<u64>::new(counts.sum());
                let mut labels = self.labels(of);
                labels.push(("status", status));
                counter.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn encode_counters(
        &self,
        all: &[Entry<LABELS>],
        encoder: &mut DescriptorEncoder<'_>,
    ) -> fmt::Result {
        for Counter(end, help, count) in self.counters {
            let name = format!("signpost_proxy_{}_{end}", self.noun);
            let help = format!("{help}, by {}", self.noun);
            let mut family = encoder.encode_descriptor(&name, &help, None, MetricType::Counter)?;
            for (of, tallies) in all {
                let sum = tallies.iter().map(|tally| count(tally).read()).sum();
                let counter = ConstCounter::<u64>::new(sum);
                counter.encode(family.encode_family(&self.labels(of))?)?;
            }
        }
        Ok(())
    }

    fn encode_durations(
        &self,
        all: &[Entry<LABELS>],
        encoder: &mut DescriptorEncoder<'_>,
    ) -> fmt::Result {
        let noun = self.noun;
        let name = format!("signpost_proxy_{noun}_request_duration_seconds");
        let help = format!("Time from a request's head to the end of its response, by {noun}");
        let mut family = encoder.encode_descriptor(&name, &help, None, MetricType::Histogram)?;
        for (of, tallies) in all {
            let mut sum = Sum::default();
            tallies.iter().for_each(|tally| sum.add(&tally.duration));
            let (seconds, count, buckets) = (sum.seconds(), sum.count(), sum.buckets());
            let labels = self.labels(of);
            let mut metric = family.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)?;
        }
        Ok(())
    }
}
