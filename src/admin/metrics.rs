//! `/metrics`: everything that is counted, in the OpenMetrics text format.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{Response, StatusCode};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use registry::SourceStatus;

use super::{
    Admin,
    body::{self, Body, Problem},
};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What counts on its own: the data plane and the reloads.
#[derive(Debug, Clone)]
pub(crate) struct Collectors {
    registry: Arc<Registry>,
    pub(crate) reloads: Arc<Reloads>,
}

impl Collectors {
    pub(crate) fn new(collectors: Vec<Box<dyn Collector>>) -> Self {
        let mut registry = Registry::default();
        let reloads = Arc::new(Reloads::default());
        for collector in collectors {
            registry.register_collector(collector);
        }
        registry.register_collector(Box::new(Arc::clone(&reloads)));
        Self {
            registry: Arc::new(registry),
            reloads,
        }
    }
}

/// Counts how often the configuration was read again.
#[derive(Debug)]
pub(crate) struct Reloads {
    succeeded: AtomicU64,
    failed: AtomicU64,
    /// 1 while the configuration in use is what the file says.
    last_succeeded: AtomicU64,
}

impl Default for Reloads {
    fn default() -> Self {
        Self {
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            last_succeeded: AtomicU64::new(1),
        }
    }
}

impl Reloads {
    pub(crate) fn count(&self, succeeded: bool) {
        let counter = match succeeded {
            true => &self.succeeded,
            false => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.last_succeeded
            .store(succeeded.into(), Ordering::Relaxed);
    }
}

impl Collector for Reloads {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut reloads = encoder.encode_descriptor(
            "signpost_config_reloads",
            "Times the configuration was read again.",
            None,
            MetricType::Counter,
        )?;
        for (result, counter) in [("success", &self.succeeded), ("failure", &self.failed)] {
            let labels = [("result", result)];
            let count = ConstCounter::new(counter.load(Ordering::Relaxed));
            count.encode(reloads.encode_family(&labels)?)?;
        }
        let last = encoder.encode_descriptor(
            "signpost_config_last_reload_success",
            "Whether the last reload was one (1), or the old configuration stayed (0).",
            None,
            MetricType::Gauge,
        )?;
        let value = i64::from(self.last_succeeded.load(Ordering::Relaxed) == 1);
        ConstGauge::new(value).encode(last)
    }
}

/// Writes everything.
pub(super) async fn show(admin: &Admin) -> Result<Response<Body>, Problem> {
    let mut now = Registry::default();
    let snapshot = admin.controls.snapshot();
    now.register_collector(Box::new(Now {
        version: snapshot.version(),
        services: snapshot.services().len(),
        sources: admin.controls.statuses().await?,
    }));
    let mut out = String::new();
    text::encode_registry(&mut out, &now)
        .and_then(|()| text::encode(&mut out, &admin.collectors.registry))
        .expect("writing to a string doesn't fail");
    Ok(body::with_type(StatusCode::OK, OPEN_METRICS, out))
}

/// What the registry is at the moment of the scrape.
#[derive(Debug)]
struct Now {
    version: u64,
    services: usize,
    sources: Vec<SourceStatus>,
}

/// One number of each source.
struct PerSource {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    value: fn(&SourceStatus) -> u64,
}

const PER_SOURCE: [PerSource; 9] = [
    PerSource {
        name: "signpost_registry_source_synced",
        help: "Whether everything has been read once.",
        kind: MetricType::Gauge,
        value: |status| status.synced.into(),
    },
    PerSource {
        name: "signpost_registry_source_stale",
        help: "Whether the store is away and its last truth is served.",
        kind: MetricType::Gauge,
        value: |status| status.stale_since.is_some().into(),
    },
    PerSource {
        name: "signpost_registry_source_entries",
        help: "Records that could be read.",
        kind: MetricType::Gauge,
        value: |status| status.entries as u64,
    },
    PerSource {
        name: "signpost_registry_source_instances",
        help: "Instances that the records speak of.",
        kind: MetricType::Gauge,
        value: |status| status.instances as u64,
    },
    PerSource {
        name: "signpost_registry_source_refused",
        help: "Records that can't be read.",
        kind: MetricType::Gauge,
        value: |status| status.refused as u64,
    },
    PerSource {
        name: "signpost_registry_source_updates",
        help: "Updates that the source has sent.",
        kind: MetricType::Counter,
        value: |status| status.updates,
    },
    PerSource {
        name: "signpost_registry_source_failures",
        help: "Times the source has failed and was run again.",
        kind: MetricType::Counter,
        value: |status| status.failures,
    },
    PerSource {
        name: "signpost_registry_source_audits",
        help: "Times everything was read again to find what was missed.",
        kind: MetricType::Counter,
        value: |status| status.audits,
    },
    PerSource {
        name: "signpost_registry_source_drift",
        help: "Missed changes that audits have found; anything but 0 is a defect.",
        kind: MetricType::Counter,
        value: |status| status.drift,
    },
];

impl Collector for Now {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let build = encoder.encode_descriptor(
            "signpost_build",
            "The version of the program.",
            None,
            MetricType::Info,
        )?;
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        prometheus_client::metrics::info::Info::new(labels).encode(build)?;
        let version = encoder.encode_descriptor(
            "signpost_registry_version",
            "The version of the newest snapshot.",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(self.version).encode(version)?;
        let services = encoder.encode_descriptor(
            "signpost_registry_services",
            "Services in the newest snapshot.",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(self.services as u64).encode(services)?;
        for metric in PER_SOURCE {
            let mut family =
                encoder.encode_descriptor(metric.name, metric.help, None, metric.kind)?;
            for source in &self.sources {
                let labels = [("source", source.name.as_str()), ("kind", source.kind)];
                let one = family.encode_family(&labels)?;
                let value = (metric.value)(source);
                match metric.kind {
                    MetricType::Counter => ConstCounter::new(value).encode(one)?,
                    _ => ConstGauge::new(value).encode(one)?,
                }
            }
        }
        Ok(())
    }
}
