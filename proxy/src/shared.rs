//! What the workers share with those who change it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use registry::{ServiceName, Snapshot};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    AccessLog, Config, Endpoint, Explanation, Limits, Listener, Metrics, Retries, RouteTable,
    Sample, Timeouts,
    health::{Alert, Outcome},
    http::marks::Marks,
    sticky::Keys,
};

/// Holds what all workers read: the routes, the settings, and where numbers and lines go.
///
/// Publishing replaces a whole value; a request sees one table from its begin to its end.
#[derive(Debug)]
pub struct Shared {
    table: Arc<ArcSwap<RouteTable>>,
    settings: Arc<ArcSwap<Settings>>,
    /// The key of this process, for a configuration without one.
    own_keys: Keys,
    metrics: Arc<Metrics>,
    log: AccessLog,
    /// The moment from which latencies' times are counted.
    began: Instant,
    /// Where instances are told of that fail again and again, once somebody listens.
    alerts: OnceLock<mpsc::Sender<Alert>>,
    /// How many endpoints were closed, for workers to see that there is one more.
    closed: AtomicU64,
}

/// Holds what a reload can change besides the routes.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) bounds: Bounds,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) logs: bool,
    pub(crate) sticky_keys: Keys,
    pub(crate) marks: Marks,
    /// By the address of the listener.
    proxy_protocol: Vec<(SocketAddr, Arc<[IpNet]>)>,
}

/// Holds what a request is bounded by; small enough to be copied for each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) timeouts: Timeouts,
    pub(crate) limits: Limits,
    pub(crate) retries: Retries,
    pub(crate) abort_on_close: bool,
}

impl Shared {
    /// Creates what workers share; `log` is used while `config` says so.
    pub fn new(config: &Config, table: RouteTable, log: AccessLog) -> Self {
        let own_keys = own_keys();
        let settings = Settings::of(config, &own_keys);
        Self {
            table: Arc::new(ArcSwap::from_pointee(table)),
            settings: Arc::new(ArcSwap::from_pointee(settings)),
            own_keys,
            metrics: Arc::default(),
            log,
            began: Instant::now(),
            alerts: OnceLock::new(),
            closed: AtomicU64::new(0),
        }
    }

    /// Replaces the route table.
    pub fn publish(&self, table: Arc<RouteTable>) {
        self.table.store(table);
    }

    /// Takes over what listeners ask of clients, what messages are marked with, timeouts, limits,
    /// retries, trusted proxies and whether there is an access log.
    ///
    /// Routes take effect with the table that is built from them.
    pub fn configure(&self, config: &Config) {
        let settings = Settings::of(config, &self.own_keys);
        self.settings.store(Arc::new(settings));
    }

    /// Returns a time in milliseconds, as balancers and latencies count it.
    pub(crate) fn millis(&self, time: Instant) -> u32 {
        time.saturating_duration_since(self.began).as_millis() as u32
    }

    /// Ends the requests and tunnels that an endpoint still has, within a moment.
    pub fn close(&self, endpoint: &Endpoint) {
        endpoint.close();
        self.closed.fetch_add(1, Ordering::Release);
    }

    /// Returns how many endpoints were closed so far.
    pub(crate) fn closed(&self) -> u64 {
        self.closed.load(Ordering::Acquire)
    }

    /// Returns the route table that new requests use.
    pub fn table(&self) -> Arc<RouteTable> {
        self.table.load_full()
    }

    /// Explains where a request goes; `snapshot` is the one that the table was made of.
    pub fn explain(&self, sample: &Sample, snapshot: &Snapshot) -> Explanation {
        let now = self.millis(Instant::now());
        self.table().explain(sample, snapshot, now)
    }

    /// Returns the numbers, to be registered with a registry of metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Returns the access log, to be opened again.
    pub fn log(&self) -> &AccessLog {
        &self.log
    }

    /// Has instances that fail again and again told of from now on; the first call counts.
    pub(crate) fn set_alerts(&self, alerts: mpsc::Sender<Alert>) {
        self.alerts.set(alerts).ok();
    }

    /// Counts what a request to an endpoint has come to.
    ///
    /// Takes no lock and never waits: an alert that finds no room is seen by the next tick.
    pub(crate) fn observe(&self, service: &ServiceName, endpoint: &Endpoint, outcome: Outcome) {
        if endpoint.outcomes().record(outcome)
            && let Some(alerts) = self.alerts.get()
        {
            let (service, id) = (service.clone(), endpoint.id.clone());
            alerts.try_send(Alert { service, id }).ok();
        }
    }

    pub(crate) fn table_cell(&self) -> &Arc<ArcSwap<RouteTable>> {
        &self.table
    }

    pub(crate) fn settings_cell(&self) -> &Arc<ArcSwap<Settings>> {
        &self.settings
    }
}

impl Settings {
    fn of(config: &Config, own_keys: &Keys) -> Self {
        Self {
            bounds: Bounds {
                timeouts: config.timeouts,
                limits: config.limits,
                retries: config.retries,
                abort_on_close: config.abort_on_close,
            },
            trusted_proxies: config.trusted_proxies.clone(),
            logs: config.access_log.enabled,
            sticky_keys: sticky_keys(config, own_keys),
            marks: Marks {
                request_id_header: config.request_id_header.to_ascii_lowercase(),
                request_id_returned: config.request_id_returned,
                via: config.via.clone(),
            },
            proxy_protocol: config.listeners.iter().map(proxy_protocol).collect(),
        }
    }

    /// Returns the networks from which a listener's connections begin with a PROXY header; `None`
    /// when there is no such listener.
    pub(crate) fn proxy_protocol(&self, listen: SocketAddr) -> Option<&Arc<[IpNet]>> {
        let mut all = self.proxy_protocol.iter();
        let (_, networks) = all.find(|(address, _)| *address == listen)?;
        Some(networks)
    }
}

fn proxy_protocol(listener: &Listener) -> (SocketAddr, Arc<[IpNet]>) {
    (listener.listen, listener.proxy_protocol.as_slice().into())
}

/// Makes up keys that nobody else has.
fn own_keys() -> Keys {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    Keys::own(bytes)
}

/// Loads the keys that a configuration names.
fn sticky_keys(config: &Config, own: &Keys) -> Keys {
    let loaded = config.sticky_key_file.as_deref().map(Keys::load);
    match loaded {
        Some(Ok(keys)) => keys,
        // The configuration was checked; the file has changed since.
        Some(Err(reason)) => {
            tracing::warn!(%reason, "the keys of cookies can't be read, so one is made up");
            own.clone()
        }
        None => own.clone(),
    }
}
