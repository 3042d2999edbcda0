//! The whole of a running signpost.

use std::{collections::BTreeMap, fmt, future::Future, path::PathBuf, sync::Arc, time::Duration};

use ::config::{Environment, Problem};
use proxy::HealthManager;
use registry::Controls;
use tokio::sync::{mpsc, watch};

use crate::{
    Config,
    admin::{Admin, Collectors},
    compat::{self, Accesses, Dynamic},
    http_server::{Access, Api},
    inherited::{Inherited, Part},
    listeners::{Addresses, ApiParts, Listeners, Parts, Pending, Plane},
    notify,
    reload::{ReloadRequest, Reloader},
    upgrade::{self, Legacy, Predecessor, State},
    views::Views,
    workers::Workers,
};

/// How soon a port that couldn't be listened on is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// How many requests to reload wait for their turn at the most.
const RELOADS_MAX: usize = 16;

/// Runs everything that a configuration describes.
///
/// The control plane (registry, sources, admin API) runs on the tokio runtime on which it was started,
/// the data plane on threads of its own. Dropping it ends both at once; [`Server::drain`] first lets
/// requests under way finish.
pub struct Server {
    config: Arc<Config>,
    /// What sources say of requests, as far as it is in use.
    dynamic: Arc<Dynamic>,
    dynamics: watch::Receiver<Arc<Dynamic>>,
    /// What DNS cookies are made with unless a file says it.
    cookie_secret: [u8; 16],
    /// DNS cookies with that secret; those of before a reload stay good.
    own_cookies: Arc<dns::Cookies>,
    controls: Controls,
    views: Views,
    health: HealthManager,
    dns_metrics: Arc<dns::Metrics>,
    admin: Arc<Admin>,
    compat: compat::Apis,
    /// What listeners ask.
    apis: BTreeMap<Part, Arc<dyn Api>>,
    reloads: Option<mpsc::Receiver<ReloadRequest>>,
    draining: watch::Sender<bool>,
    listeners: Listeners,
    workers: Workers<Plane>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses())
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Starts everything; returns when all listeners accept.
    ///
    /// # Errors
    ///
    /// Returns what can't be done, by the key that asks for it.
    pub async fn start(config: Config) -> Result<Self, Problem> {
        Self::start_with(config, Inherited::default(), None).await
    }

    /// As [`Server::start`], with sockets that are open already, and in place of another process.
    pub(crate) async fn start_with(
        config: Config,
        mut inherited: Inherited,
        predecessor: Option<Predecessor>,
    ) -> Result<Self, Problem> {
        warn_of(&config);
        let (access, accesses) = (access(&config)?, Accesses::load(&config)?);
        let log = proxy::AccessLog::open(&config.proxy.access_log);
        let log = log.map_err(|error| Problem::new("proxy.access_log.path", error.to_string()))?;
        let cookie_secret = match &predecessor {
            Some(predecessor) => predecessor.cookie_secret(),
            None => new_secret()?,
        };
        let own_cookies = Arc::new(dns::Cookies::new(cookie_secret));
        let cookies = cookies(&config, &own_cookies)?;
        let listeners = Listeners::default();
        let pending = listeners.bind(&config, config.workers, &mut inherited)?;
        let version = predecessor.as_ref().map_or(0, Predecessor::version);
        let controls = registry::start_after(config.registry.clone(), version);
        if let Some(predecessor) = &predecessor {
            upgrade::sync(&controls, &config.sources, predecessor).await?;
        }
        set_sources(&controls, &config).await?;
        let dns_metrics = Arc::new(dns::Metrics::default());
        let config = Arc::new(config);
        let forwarder = dns::Forwarder::new(&config.dns.forward);
        let views = Views::start(&config, cookies, forwarder, &dns_metrics, &controls, log);
        let health =
            HealthManager::start(&config.proxy, views.proxy(), &controls, fastrand::u64(..));
        let workers = start_workers(&config, &views)?;
        let (draining, watched) = watch::channel(false);
        let (requests, reloads) = mpsc::channel(RELOADS_MAX);
        let admin = Admin::new(
            controls.clone(),
            views.clone(),
            health.clone(),
            collectors(&dns_metrics, &views, &health),
            requests,
            watched.clone(),
        );
        admin.set_access(access);
        let compat = compat::Apis::new(&views, &controls, watched, &config, accesses);
        let mut apis: BTreeMap<_, _> = compat.parts().into();
        apis.insert(Part::Admin, Arc::clone(&admin) as Arc<dyn Api>);
        let mut server = Self {
            config,
            dynamic: Arc::default(),
            dynamics: views.dynamic(),
            cookie_secret,
            own_cookies,
            controls,
            views,
            health,
            dns_metrics,
            admin,
            compat,
            apis,
            reloads: Some(reloads),
            draining,
            listeners,
            workers,
        };
        server.begin(pending, inherited, predecessor).await?;
        Ok(server)
    }

    /// Serves with what was bound.
    async fn begin(
        &mut self,
        pending: Pending,
        mut inherited: Inherited,
        predecessor: Option<Predecessor>,
    ) -> Result<(), Problem> {
        let config = Arc::clone(&self.config);
        if config.admin.token_file.is_none() && !config.admin.listen.ip().is_loopback() {
            tracing::warn!(
                listen = %config.admin.listen,
                "whoever reaches the admin api may change everything; set admin.token_file"
            );
        }
        self.apply_listeners(pending, &config).await?;
        self.apply_dynamic(&mut inherited).await?;
        inherited.close_rest();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            workers = config.workers,
            "started"
        );
        match predecessor {
            Some(predecessor) => predecessor.end().await,
            None => notify::ready(),
        }
        Ok(())
    }

    /// Serves until `until` is over, and reads the configuration again whenever there is a reason to:
    /// `file` has changed, SIGHUP, or the admin API was asked.
    pub async fn serve<T>(
        &mut self,
        file: Option<PathBuf>,
        environment: Environment,
        until: impl Future<Output = T>,
    ) -> T {
        let mut reloader = Reloader::new(file, environment);
        reloader.warn();
        self.serve_with(&mut reloader, until).await
    }

    /// As [`Server::serve`], with a reloader that may have seen changes already.
    pub(crate) async fn serve_with<T>(
        &mut self,
        reloader: &mut Reloader,
        until: impl Future<Output = T>,
    ) -> T {
        let mut requests = self.reloads.take();
        tokio::pin!(until);
        loop {
            let asked = async {
                match &mut requests {
                    Some(requests) => requests.recv().await,
                    None => std::future::pending().await,
                }
            };
            let is_given_up = *self.dynamic != **self.dynamics.borrow();
            let request = tokio::select! {
                over = &mut until => {
                    self.reloads = requests;
                    return over;
                }
                () = dynamic_changed(&mut self.dynamics, is_given_up) => {
                    let applied = self.apply_dynamic(&mut Inherited::default()).await;
                    if let Err(problem) = applied {
                        tracing::error!(%problem, "what sources say of requests can't be used");
                    }
                    continue;
                }
                () = reloader.changed() => None,
                request = asked => request,
            };
            reloader.reload(self, request).await;
        }
    }

    /// Puts another configuration into use while everything goes on.
    ///
    /// # Errors
    ///
    /// Returns what can't be done, by the key that asks for it; then nothing has changed.
    pub async fn reconfigure(&mut self, config: Config) -> Result<(), Problem> {
        // First whatever can fail. Also when nothing is different: the files of secrets may say
        // something new, and the access log may have been moved away.
        let all = self.dynamic.over(&config);
        let workers = self.workers.count();
        let pending = self
            .listeners
            .bind(&all, workers, &mut Inherited::default())?;
        let (access, accesses) = (access(&config)?, Accesses::load(&config)?);
        let cookies = cookies(&config, &self.own_cookies)?;
        let reopened = self.views.proxy().log().reopen(&config.proxy.access_log);
        reopened.map_err(|error| Problem::new("proxy.access_log.path", error.to_string()))?;
        for key in needs_restart(&self.config, &config) {
            tracing::warn!(key, "has changed and waits for a restart");
        }
        warn_of(&config);
        let config = Arc::new(config);
        self.admin.set_access(access);
        // Sources first: a name that a new one could own must not be denied in a zone that is new, too.
        set_sources(&self.controls, &config).await?;
        self.views.reconfigure(&config, cookies).await;
        self.health.configure(&all.proxy).await;
        self.compat.configure(&config, accesses);
        self.apply_listeners(pending, &all).await?;
        self.config = config;
        Ok(())
    }

    /// Stops accepting clients and waits for requests under way, up to `drain_timeout`.
    ///
    /// Returns whether all of them were answered. DNS goes on meanwhile.
    pub async fn drain(&mut self) -> bool {
        self.draining.send_replace(true);
        let patience = self.config.drain_timeout.get();
        let drained = tokio::time::timeout(patience, self.listeners.drain());
        drained.await.is_ok()
    }

    /// Leaves everything to another process that serves already, and waits until what was taken here is
    /// answered, up to `drain_timeout`; returns whether all of it was.
    pub(crate) async fn hand_over(&mut self) -> bool {
        self.draining.send_replace(true);
        let patience = self.config.drain_timeout.get();
        let handed_over = tokio::time::timeout(patience, self.listeners.hand_over());
        handed_over.await.is_ok()
    }

    /// Returns what another process needs to go on in place of this one.
    ///
    /// # Errors
    ///
    /// Returns in words why it can't have it.
    pub(crate) async fn legacy(&self) -> Result<Legacy, String> {
        let sockets = self.listeners.sockets();
        let sockets = sockets.map_err(|error| format!("can't pass the sockets on: {error}"))?;
        let statuses = self.controls.statuses().await;
        let statuses = statuses.map_err(|stopped| stopped.to_string())?;
        let synced = statuses.into_iter().filter(|status| status.synced);
        let state = State {
            version: self.controls.snapshot().version(),
            synced: synced.map(|status| status.name).collect(),
            cookie_secret: self.cookie_secret,
        };
        Ok(Legacy { sockets, state })
    }

    pub(crate) fn controls(&self) -> &Controls {
        &self.controls
    }

    /// Returns how long an upgrade may take.
    pub(crate) fn upgrade_timeout(&self) -> Duration {
        self.config.upgrade_timeout.get()
    }

    /// Returns the addresses that are listened on.
    pub fn addresses(&self) -> Addresses {
        self.listeners.addresses(&self.config)
    }

    pub(crate) fn count_reload(&self, succeeded: bool) {
        self.admin.collectors.reloads.count(succeeded);
    }

    /// Puts into use what sources say of requests: listeners, and how instances are asked. The routes
    /// are in use already.
    async fn apply_dynamic(&mut self, inherited: &mut Inherited) -> Result<(), Problem> {
        let mut dynamic = Dynamic::clone(&self.dynamics.borrow_and_update());
        let workers = self.workers.count();
        let mut pending = Pending::default();
        let wanted: Vec<_> = dynamic
            .listeners
            .iter()
            .map(|one| one.listener.listen)
            .collect();
        for listen in wanted {
            let bound = self
                .listeners
                .bind_proxy(listen, workers, inherited, &mut pending);
            if let Err(error) = bound {
                let reason = format!("can't listen on {listen}: {error}");
                tracing::warn!(%listen, %error, "a port that a source wants can't be listened on");
                dynamic.give_up(listen, &reason);
            }
        }
        let all = dynamic.over(&self.config);
        self.dynamic = Arc::new(dynamic);
        self.admin.set_dynamic(Arc::clone(&self.dynamic));
        self.health.configure(&all.proxy).await;
        self.apply_listeners(pending, &all).await
    }

    async fn apply_listeners(&mut self, pending: Pending, config: &Config) -> Result<(), Problem> {
        let parts = Parts {
            config,
            zones: self.views.zones(),
            dns_metrics: &self.dns_metrics,
            apis: ApiParts {
                all: &self.apis,
                draining: &self.draining.subscribe(),
            },
        };
        let applied = self.listeners.apply(pending, parts, &self.workers).await;
        applied.map_err(|error| Problem::new("", format!("can't listen: {error}")))
    }
}

fn collectors(
    dns_metrics: &Arc<dns::Metrics>,
    views: &Views,
    health: &HealthManager,
) -> Collectors {
    Collectors::new(vec![
        Box::new(Arc::clone(dns_metrics)),
        Box::new(Arc::clone(views.proxy().metrics())),
        health.metrics(),
    ])
}

/// Waits until sources say something else of requests, or, where something couldn't be used, until it may
/// be tried again.
async fn dynamic_changed(dynamics: &mut watch::Receiver<Arc<Dynamic>>, is_given_up: bool) {
    let again = async {
        match is_given_up {
            true => tokio::time::sleep(TRY_AGAIN).await,
            false => std::future::pending().await,
        }
    };
    tokio::select! {
        Ok(()) = dynamics.changed() => {}
        () = again => {}
    }
}

fn warn_of(config: &Config) {
    for warning in config.warnings() {
        tracing::warn!(%warning, "in the configuration");
    }
}

async fn set_sources(controls: &Controls, config: &Config) -> Result<(), Problem> {
    let set = controls.set_sources(config.sources.clone()).await;
    set.map(drop)
        .map_err(|stopped| Problem::new("sources", stopped.to_string()))
}

fn start_workers(config: &Config, views: &Views) -> Result<Workers<Plane>, Problem> {
    let proxy = Arc::clone(views.proxy());
    let own = move || proxy::Worker::new(Arc::clone(&proxy), fastrand::u64(..));
    let workers = Workers::start(config.workers, own);
    workers.map_err(|error| Problem::new("workers", format!("can't start a thread: {error}")))
}

fn access(config: &Config) -> Result<Access, Problem> {
    let token = config.admin.token();
    let token = token.map_err(|reason| Problem::new("admin.token_file", reason))?;
    Ok(Access::new(token, config.admin.listen.ip()))
}

/// Makes up a secret that nobody else has.
fn new_secret() -> Result<[u8; 16], Problem> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret).map_err(|error| {
        let reason = format!("can't make up a secret: {error}");
        Problem::new("dns.cookies.secret_file", reason)
    })?;
    Ok(secret)
}

/// Returns the DNS cookies that a configuration asks for, or `own` ones.
fn cookies(config: &Config, own: &Arc<dns::Cookies>) -> Result<Arc<dns::Cookies>, Problem> {
    let loaded = config.dns.cookies.load();
    let loaded = loaded.map_err(|reason| Problem::new("dns.cookies.secret_file", reason))?;
    Ok(loaded.map_or_else(|| Arc::clone(own), Arc::new))
}

/// Lists what is different and can't be changed in a running process.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let tcp = |config: &Config| {
        let dns = &config.dns;
        (
            dns.tcp_idle_timeout,
            dns.tcp_connections_max,
            dns.tcp_queries_max,
        )
    };
    let admin = |config: &Config| (config.admin.idle_timeout, config.admin.connections_max);
    let differences = [
        ("workers", old.workers != new.workers),
        ("registry", old.registry != new.registry),
        ("log", old.log != new.log),
        ("dns.tcp_*", tcp(old) != tcp(new)),
        (
            "admin.idle_timeout, admin.connections_max",
            admin(old) != admin(new),
        ),
    ];
    let different = differences.into_iter().filter(|(_, different)| *different);
    different.map(|(key, _)| key).collect()
}
