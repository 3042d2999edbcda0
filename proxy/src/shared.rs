//! What the workers share with those who change it.

use std::{net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use ipnet::IpNet;

use crate::{
    AccessLog, Config, Limits, Listener, Metrics, Retries, RouteTable, Timeouts, http::marks::Marks,
};

/// Holds what all workers read: the routes, the settings, and where numbers and lines go.
///
/// Publishing replaces a whole value; a request sees one table from its begin to its end.
#[derive(Debug)]
pub struct Shared {
    table: Arc<ArcSwap<RouteTable>>,
    settings: Arc<ArcSwap<Settings>>,
    metrics: Arc<Metrics>,
    log: AccessLog,
}

/// Holds what a reload can change besides the routes.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) bounds: Bounds,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) logs: bool,
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
}

impl Shared {
    /// Creates what workers share; `log` is used while `config` says so.
    pub fn new(config: &Config, table: RouteTable, log: AccessLog) -> Self {
        Self {
            table: Arc::new(ArcSwap::from_pointee(table)),
            settings: Arc::new(ArcSwap::from_pointee(Settings::of(config))),
            metrics: Arc::default(),
            log,
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
        self.settings.store(Arc::new(Settings::of(config)));
    }

    /// Returns the route table that new requests use.
    pub fn table(&self) -> Arc<RouteTable> {
        self.table.load_full()
    }

    /// Returns the numbers, to be registered with a registry of metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Returns the access log, to be opened again.
    pub fn log(&self) -> &AccessLog {
        &self.log
    }

    pub(crate) fn table_cell(&self) -> &Arc<ArcSwap<RouteTable>> {
        &self.table
    }

    pub(crate) fn settings_cell(&self) -> &Arc<ArcSwap<Settings>> {
        &self.settings
    }
}

impl Settings {
    fn of(config: &Config) -> Self {
        Self {
            bounds: Bounds {
                timeouts: config.timeouts,
                limits: config.limits,
                retries: config.retries,
            },
            trusted_proxies: config.trusted_proxies.clone(),
            logs: config.access_log.enabled,
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
