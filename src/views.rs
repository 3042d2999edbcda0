//! Zones and routes: what the data plane reads, made of a snapshot and the configuration.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use dns::{Cookies, Zones};
use proxy::{AccessLog, DrainState, Drains, RouteTable};
use registry::{Controls, InstanceId, Service, ServiceName, Snapshot};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};

use crate::{
    Config,
    compat::{Dynamic, Follower},
};

/// Holds the newest zones and routes.
///
/// A change of membership and a reload take the same path: one task makes new views of the snapshot, the
/// configuration and the views before, and swaps them.
#[derive(Debug, Clone)]
pub(crate) struct Views {
    zones: Arc<ArcSwap<Zones>>,
    proxy: Arc<proxy::Shared>,
    drains: Arc<Mutex<Drains>>,
    dynamic: watch::Receiver<Arc<Dynamic>>,
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
        config: &Arc<Config>,
        cookies: Arc<Cookies>,
        forwarder: Arc<dns::Forwarder>,
        dns_metrics: &Arc<dns::Metrics>,
        controls: &Controls,
        log: AccessLog,
    ) -> Self {
        let mut snapshots = controls.snapshots();
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let zones = Zones::build(&config.dns, &snapshot)
            .with_cookies(cookies)
            .with_forwarder(Arc::clone(&forwarder))
            .counted_by(dns_metrics);
        let mut drains = Drains::new(config.proxy.timeouts.instance_drain.get());
        // Nobody was told of anything before.
        drains.take(&snapshot, Instant::now(), |_| Duration::ZERO);
        let (view, _) = drains.view();
        let follower = Follower::new(Arc::clone(config), &snapshot);
        let proxy = follower.all().proxy;
        let routes = RouteTable::build(&proxy, &config.domains(), view, None);
        let (dynamic, dynamics) = watch::channel(Arc::clone(&follower.dynamic));
        let (published, version) = watch::channel(snapshot.version());
        let (configs, reconfigures) = mpsc::channel(1);
        let views = Self {
            zones: Arc::new(ArcSwap::from_pointee(zones)),
            proxy: Arc::new(proxy::Shared::new(&config.proxy, routes, log)),
            drains: Arc::new(Mutex::new(drains)),
            dynamic: dynamics,
            version,
            configs,
        };
        let renewal = Renewal {
            zones: Arc::clone(&views.zones),
            dns_metrics: Arc::clone(dns_metrics),
            forwarder,
            proxy: Arc::clone(&views.proxy),
            drains: Arc::clone(&views.drains),
            known_until: Instant::now(),
            follower,
            dynamic,
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

    /// Returns what sources say of requests, as it changes.
    pub(crate) fn dynamic(&self) -> watch::Receiver<Arc<Dynamic>> {
        self.dynamic.clone()
    }

    /// Lists the instances of a service that drain, and those that are gone and still have something to
    /// do.
    pub(crate) fn drains(&self, service: &ServiceName) -> BTreeMap<InstanceId, DrainState> {
        let table = self.proxy.table();
        lock(&self.drains).states(&table, service, Instant::now())
    }

    /// Counts the instances that are gone and still have something to do, by service.
    pub(crate) fn gone(&self) -> BTreeMap<ServiceName, usize> {
        lock(&self.drains).gone()
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
    forwarder: Arc<dns::Forwarder>,
    proxy: Arc<proxy::Shared>,
    drains: Arc<Mutex<Drains>>,
    /// Until when clients may know something by a configuration before this one.
    known_until: Instant,
    follower: Follower,
    dynamic: watch::Sender<Arc<Dynamic>>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    published: watch::Sender<u64>,
}

impl Renewal {
    async fn run(mut self, mut reconfigures: mpsc::Receiver<Reconfigure>) {
        loop {
            let next = lock(&self.drains).next();
            let due = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => self.pass(),
                changed = self.snapshots.changed() => match changed {
                    Ok(()) => self.update(),
                    Err(_) => return,
                },
                reconfigure = reconfigures.recv() => match reconfigure {
                    Some(Reconfigure { config, cookies, done }) => {
                        self.rebuild(config, cookies);
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
        let all = self.follower.take(&new).then(|| self.follower.all());
        self.publish(zones, &new, all.as_ref());
    }

    fn rebuild(&mut self, config: Arc<Config>, cookies: Arc<Cookies>) {
        let new = Arc::clone(&self.snapshots.borrow_and_update());
        self.forwarder.configure(&config.dns.forward);
        let zones = Zones::build(&config.dns, &new)
            .with_cookies(cookies)
            .with_forwarder(Arc::clone(&self.forwarder))
            .counted_by(&self.dns_metrics);
        self.proxy.configure(&config.proxy);
        lock(&self.drains).set_limit(config.proxy.timeouts.instance_drain.get());
        let before = self.zones.load().ttl_max();
        self.follower.take(&new);
        self.follower.configure(config);
        self.publish(zones, &new, Some(&self.follower.all()));
        self.known_until = self.known_until.max(Instant::now() + before);
    }

    /// Publishes zones, and routes that are made by another configuration if one is given.
    ///
    /// The zones first: an instance that drains has to leave DNS before its time begins.
    fn publish(&self, zones: Zones, snapshot: &Snapshot, config: Option<&Config>) {
        let old = self.zones.swap(Arc::new(zones));
        let now = Instant::now();
        let known_before = self.known_until.saturating_duration_since(now);
        let known_for = |service: &Service| {
            let ttl = old.ttl_of(service).unwrap_or_default();
            ttl.max(known_before)
        };
        let mut drains = lock(&self.drains);
        drains.take(snapshot, now, known_for);
        self.route(&mut drains, config, now);
        if config.is_some() {
            // Routes first: who connects to a new listener is to be led somewhere.
            self.dynamic
                .send_replace(Arc::clone(&self.follower.dynamic));
        }
        self.published.send_replace(snapshot.version());
    }

    /// Does what is due to instances that leave.
    fn pass(&self) {
        let now = Instant::now();
        let mut drains = lock(&self.drains);
        if drains.expire(now) {
            self.route(&mut drains, None, now);
        }
        for endpoint in drains.overdue(now) {
            tracing::info!(
                instance = %endpoint.id, address = %endpoint.address,
                in_flight = endpoint.in_flight(),
                "what an instance that has left still has is ended (instance_drain)"
            );
            self.proxy.close(&endpoint);
        }
    }

    /// Publishes the routes to those who get requests.
    fn route(&self, drains: &mut Drains, config: Option<&Config>, now: Instant) {
        let old = self.proxy.table();
        let (view, before) = drains.view();
        let new = match config {
            Some(config) => RouteTable::build(&config.proxy, &config.domains(), view, Some(&old)),
            None => old.update(before, view),
        };
        drains.follow(&old, &new, now);
        self.proxy.publish(Arc::new(new));
    }
}

fn lock(drains: &Mutex<Drains>) -> MutexGuard<'_, Drains> {
    drains.lock().unwrap_or_else(PoisonError::into_inner)
}
