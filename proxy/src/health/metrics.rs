//! What health has come to, in numbers.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use registry::ServiceName;

use super::state::{Counts, ServiceState, Why};

/// Holds the numbers of all services that are watched; written by the control plane alone.
#[derive(Debug, Default)]
pub(super) struct Numbers(Mutex<BTreeMap<ServiceName, (Counts, bool)>>);

impl Numbers {
    /// Takes the numbers of a service; one of which there never were any is left out, as of many
    /// services nothing is ever to be said.
    pub(super) fn set(&self, service: &ServiceName, state: &ServiceState) {
        let numbers = (state.counts(), state.fail_open());
        let mut all = self.lock();
        match all.get_mut(service) {
            Some(old) => *old = numbers,
            None if numbers.0 == Counts::default() => {}
            None => drop(all.insert(service.clone(), numbers)),
        }
    }

    /// Forgets a service that is watched no longer.
    pub(super) fn remove(&self, service: &ServiceName) {
        self.lock().remove(service);
    }

    /// Tells whether a service's health is not believed.
    pub(super) fn fail_open(&self, service: &str) -> bool {
        self.lock()
            .get(service)
            .is_some_and(|(_, fail_open)| *fail_open)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ServiceName, (Counts, bool)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes one family with as many numbers for each service as `values` gives.
    fn family<const N: usize>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help, kind): (&str, &str, MetricType),
        label: Option<&str>,
        values: impl Fn(&Counts, bool) -> [(&'static str, u64); N],
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for (service, (counts, fail_open)) in &*self.lock() {
            for (value, number) in values(counts, *fail_open) {
                let mut labels = vec![("service", service.as_str())];
                labels.extend(label.map(|label| (label, value)));
                let one = family.encode_family(&labels)?;
                match kind {
                    MetricType::Counter => ConstCounter::new(number).encode(one)?,
                    _ => ConstGauge::new(number).encode(one)?,
                }
            }
        }
        Ok(())
    }
}

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let checks = (
            "signpost_proxy_checks",
            "Health checks, by service and result",
            MetricType::Counter,
        );
        self.family(&mut encoder, checks, Some("result"), |counts, _| {
            [
                ("success", counts.checks_passed),
                ("failure", counts.checks_failed),
                ("left_out", counts.checks_left_out),
            ]
        })?;
        let ejections = (
            "signpost_proxy_ejections",
            "Times an instance was ejected, by service and reason",
            MetricType::Counter,
        );
        self.family(&mut encoder, ejections, Some("reason"), |counts, _| {
            Why::ALL.map(|why| (why.label(), counts.ejections[why as usize]))
        })?;
        let suppressed = (
            "signpost_proxy_suppressed_ejections",
            "Times an instance was not ejected because too many are",
            MetricType::Counter,
        );
        self.family(&mut encoder, suppressed, None, |counts, _| {
            [("", counts.suppressed)]
        })?;
        let unhealthy = (
            "signpost_proxy_unhealthy_instances",
            "Instances that are unhealthy, by service and reason",
            MetricType::Gauge,
        );
        self.family(&mut encoder, unhealthy, Some("reason"), |counts, _| {
            [
                ("check_failed", counts.failing),
                ("ejected", counts.ejected),
            ]
        })?;
        let fail_open = (
            "signpost_proxy_fail_open",
            "Whether health is not believed (1), as too few instances would be left",
            MetricType::Gauge,
        );
        self.family(&mut encoder, fail_open, None, |_, fail_open| {
            [("", fail_open.into())]
        })
    }
}
