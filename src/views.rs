//! Zones and routes: what the data plane reads, made of a snapshot and the configuration.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use dns::{Cookies, Zones};
use proxy::{AccessLog, RouteTable};
use registry::{Controls, Snapshot};
use tokio::sync::{mpsc, oneshot, watch};

use crate::Config;

/// Holds the newest zones and routes.
///
/// A change of membership and a reload take the same path: one task makes new views of the snapshot, the
/// configuration and the views before, and swaps them.
#[derive(Debug, Clone)]
pub(crate) struct Views {
    zones: Arc<ArcSwap<Zones>>,
    proxy: Arc<proxy::Shared>,
    version: watch::Receiver<u64>,
    configs: mpsc::Sender<Reconfigure>,
}

#[derive(Debug)]
struct Reconfigure {
    config: Arc<Config>,
    cookies: Arc<Cookies>,
    done: oneshot::Sender<()>,
}

impl Views {
    /// Makes the first views and starts the task that renews them.
    pub(crate) fn start(
        config: &Config,
        cookies: Arc<Cookies>,
        dns_metrics: &Arc<dns::Metrics>,
        controls: &Controls,
        log: AccessLog,
    ) -> Self {
        let mut snapshots = controls.snapshots();
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let zones = Zones::build(&config.dns, &snapshot)
            .with_cookies(cookies)
            .counted_by(dns_metrics);
        let routes = RouteTable::build(&config.proxy, &config.domains(), &snapshot, None);
        let (published, version) = watch::channel(snapshot.version());
        let (configs, reconfigures) = mpsc::channel(1);
        let views = Self {
            zones: Arc::new(ArcSwap::from_pointee(zones)),
            proxy: Arc::new(proxy::Shared::new(&config.proxy, routes, log)),
            version,
            configs,
        };
        let renewal = Renewal {
            zones: Arc::clone(&views.zones),
            dns_metrics: Arc::clone(dns_metrics),
            proxy: Arc::clone(&views.proxy),
            snapshot,
            snapshots,
            published,
        };
        tokio::spawn(renewal.run(reconfigures));
        views
    }

    pub(crate) fn zones(&self) -> &Arc<ArcSwap<Zones>> {
        &self.zones
    }

    /// Returns what the proxy's workers share, the routes among it.
    pub(crate) fn proxy(&self) -> &Arc<proxy::Shared> {
        &self.proxy
    }

    /// Returns the version that queries and requests see.
    pub(crate) fn version(&self) -> u64 {
        *self.version.borrow()
    }

    /// Waits until queries and requests see `version`, but not longer than `patience`.
    pub(crate) async fn wait_for(&self, version: u64, patience: Duration) {
        let mut versions = self.version.clone();
        let seen = versions.wait_for(|seen| *seen >= version);
        // After the time the views are late, and say so in the readiness.
        tokio::time::timeout(patience, seen).await.ok();
    }

    /// Makes the views by another configuration; returns when they are in use.
    pub(crate) async fn reconfigure(&self, config: &Arc<Config>, cookies: Arc<Cookies>) {
        let (done, finished) = oneshot::channel();
        let config = Arc::clone(config);
        let reconfigure = Reconfigure {
            config,
            cookies,
            done,
        };
        if self.configs.send(reconfigure).await.is_ok() {
            // It fails only when the task has ended, with the process.
            finished.await.ok();
        }
    }
}

/// The task that makes new views.
struct Renewal {
    zones: Arc<ArcSwap<Zones>>,
    dns_metrics: Arc<dns::Metrics>,
    proxy: Arc<proxy::Shared>,
    /// The snapshot that the views were made of.
    snapshot: Arc<Snapshot>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    published: watch::Sender<u64>,
}

impl Renewal {
    async fn run(mut self, mut reconfigures: mpsc::Receiver<Reconfigure>) {
        loop {
            tokio::select! {
                changed = self.snapshots.changed() => match changed {
                    Ok(()) => self.update(),
                    Err(_) => return,
                },
                reconfigure = reconfigures.recv() => match reconfigure {
                    Some(Reconfigure { config, cookies, done }) => {
                        self.rebuild(&config, cookies);
                        // Who asked may be gone.
                        done.send(()).ok();
                    }
                    None => return,
                },
            }
        }
    }

    /// Takes a new snapshot; costs what has changed in it.
    fn update(&mut self) {
        let new = Arc::clone(&self.snapshots.borrow_and_update());
        let zones = self.zones.load().update(&new);
        let routes = self.proxy.table().update(&self.snapshot, &new);
        self.publish(zones, routes, new);
    }

    fn rebuild(&mut self, config: &Config, cookies: Arc<Cookies>) {
        let new = Arc::clone(&self.snapshots.borrow_and_update());
        let zones = Zones::build(&config.dns, &new)
            .with_cookies(cookies)
            .counted_by(&self.dns_metrics);
        let old = self.proxy.table();
        self.proxy.configure(&config.proxy);
        let routes = RouteTable::build(&config.proxy, &config.domains(), &new, Some(&old));
        self.publish(zones, routes, new);
    }

    fn publish(&mut self, zones: Zones, routes: RouteTable, snapshot: Arc<Snapshot>) {
        self.zones.store(Arc::new(zones));
        self.proxy.publish(Arc::new(routes));
        self.published.send_replace(snapshot.version());
        self.snapshot = snapshot;
    }
}
