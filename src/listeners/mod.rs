//! The addresses that signpost listens on, and how they come and go with the configuration.

mod answering;
mod apis;
mod kept;

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    rc::Rc,
    sync::Arc,
};

use ::config::Problem;
use arc_swap::ArcSwap;
use dns::Zones;
use proxy::Phase;
use tokio::sync::watch;

pub(crate) use self::apis::ApiParts;
use self::{answering::Answering, apis::Apis, kept::Kept};
use crate::{
    Config,
    bind::{self, Pair},
    inherited::{Inherited, Part},
    workers::Workers,
};

/// What a worker's tasks share.
pub(crate) type Plane = Rc<proxy::Worker>;

/// What listens now, by the address in the configuration.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    dns: BTreeMap<SocketAddr, Serving>,
    proxy: BTreeMap<SocketAddr, Serving>,
    apis: Apis,
    /// Proxy listeners that were asked to stop and still have requests under way.
    draining: Vec<watch::Sender<Phase>>,
}

/// An address that is served by every worker.
#[derive(Debug)]
struct Serving {
    /// One for each worker's sockets.
    kept: Vec<Kept>,
    address: SocketAddr,
    phase: watch::Sender<Phase>,
}

/// Sockets for the addresses that aren't served yet, bound but not in use.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    dns: Vec<(SocketAddr, Vec<Pair>)>,
    proxy: Vec<(SocketAddr, Vec<TcpListener>)>,
    apis: apis::Pending,
}

/// The addresses that are really listened on, which tells what port 0 has become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// DNS, over UDP and TCP.
    pub dns: Vec<SocketAddr>,
    /// The proxy.
    pub proxy: Vec<SocketAddr>,
    /// The admin API.
    pub admin: SocketAddr,
    /// The API of Mesos-DNS, where there is one.
    pub mesos_dns: Option<SocketAddr>,
    /// The API of Bamboo, where there is one.
    pub bamboo: Option<SocketAddr>,
}

/// What new listeners need.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) config: &'a Config,
    pub(crate) zones: &'a Arc<ArcSwap<Zones>>,
    pub(crate) dns_metrics: &'a Arc<dns::Metrics>,
    pub(crate) apis: ApiParts<'a>,
}

impl Listeners {
    /// Binds what the configuration wants and isn't there yet, unless it is `inherited`; nothing is served
    /// differently by that.
    ///
    /// # Errors
    ///
    /// Returns which address can't be bound, by its key, and why.
    pub(crate) fn bind(
        &self,
        config: &Config,
        workers: usize,
        inherited: &mut Inherited,
    ) -> Result<Pending, Problem> {
        let mut pending = Pending::default();
        for (index, listen) in config.dns.listen.iter().enumerate() {
            if !self.dns.contains_key(listen) {
                let key = format!("dns.listen[{index}]");
                let mut take = |part| inherited.take(part, *listen);
                let given = (take(Part::DnsUdp), take(Part::DnsTcp));
                let sockets = bind::dns(*listen, given, workers, self.has_port(*listen));
                let sockets = sockets.map_err(|error| problem(key, *listen, &error))?;
                pending.dns.push((*listen, sockets));
            }
        }
        for (index, listener) in config.proxy.listeners.iter().enumerate() {
            let listen = listener.listen;
            let key = format!("proxy.listeners[{index}].listen");
            let bound = self.bind_proxy(listen, workers, inherited, &mut pending);
            bound.map_err(|error| problem(key, listen, &error))?;
        }
        let has_port = |listen| self.has_port(listen);
        pending.apis = self.apis.bind(config, inherited, has_port)?;
        Ok(pending)
    }

    /// Binds one address of the proxy, unless it is there or `inherited`, and adds it to what is pending.
    pub(crate) fn bind_proxy(
        &self,
        listen: SocketAddr,
        workers: usize,
        inherited: &mut Inherited,
        pending: &mut Pending,
    ) -> io::Result<()> {
        if !self.proxy.contains_key(&listen) {
            let given = inherited.take(Part::Proxy, listen);
            let sockets = bind::proxy(listen, given, workers, self.has_port(listen))?;
            pending.proxy.push((listen, sockets));
        }
        Ok(())
    }

    /// Tells whether one of our own listeners has this port.
    fn has_port(&self, listen: SocketAddr) -> bool {
        let serving = self.dns.values().chain(self.proxy.values());
        let addresses = serving.map(|serving| serving.address);
        let mut own = addresses.chain(self.apis.addresses());
        own.any(|address| address.port() == listen.port())
    }

    /// Serves what was bound, and stops what the configuration doesn't name any more.
    pub(crate) async fn apply(
        &mut self,
        pending: Pending,
        parts: Parts<'_>,
        workers: &Workers<Plane>,
    ) -> io::Result<()> {
        self.apis.apply(pending.apis, parts.config, &parts.apis)?;
        for (listen, sockets) in pending.dns {
            self.start_dns(listen, sockets, &parts, workers).await?;
        }
        for (listen, sockets) in pending.proxy {
            self.start_proxy(listen, sockets, workers).await?;
        }
        let dns = &parts.config.dns.listen;
        self.dns.retain(|listen, _| dns.contains(listen));
        let proxy = &parts.config.proxy.listeners;
        let wanted = |listen: &SocketAddr| proxy.iter().any(|one| one.listen == *listen);
        let gone = self.proxy.extract_if(.., |listen, _| !wanted(listen));
        self.draining.extend(gone.map(|(listen, serving)| {
            tracing::info!(%listen, "proxy listener stops");
            serving.drain()
        }));
        // Once every worker has let go of it, it is done.
        self.draining.retain(|phase| !phase.is_closed());
        Ok(())
    }

    /// Stops accepting clients and waits until every request under way is answered.
    pub(crate) async fn drain(&mut self) {
        let stopped = std::mem::take(&mut self.proxy).into_values();
        self.draining.extend(stopped.map(Serving::drain));
        for phase in self.draining.drain(..) {
            phase.closed().await;
        }
    }

    /// Leaves everything to another process with the same sockets, and waits until all that was taken
    /// here is answered: requests, queries, and what the admin API was asked.
    pub(crate) async fn hand_over(&mut self) {
        let dns = std::mem::take(&mut self.dns).into_values();
        let dns: Vec<_> = dns.map(Serving::drain).collect();
        let mut apis = std::mem::take(&mut self.apis);
        let released = async {
            for phase in dns {
                phase.closed().await;
            }
        };
        tokio::join!(self.drain(), released, apis.drain());
    }

    /// Returns every socket once more, with what it is for and where it listens by the configuration.
    ///
    /// # Errors
    ///
    /// Fails when the system gives no more descriptors.
    pub(crate) fn sockets(&self) -> io::Result<Vec<(Part, SocketAddr, OwnedFd)>> {
        let serving = self.dns.iter().chain(&self.proxy);
        let serving = serving.flat_map(|(listen, one)| one.kept.iter().map(|kept| (*listen, kept)));
        let mut sockets = self.apis.sockets()?;
        for (listen, kept) in serving {
            for (part, socket) in kept.copies()? {
                sockets.push((part, listen, socket));
            }
        }
        Ok(sockets)
    }

    /// Returns what is really listened on.
    pub(crate) fn addresses(&self, config: &Config) -> Addresses {
        let served = |all: &BTreeMap<SocketAddr, Serving>, listen: &SocketAddr| {
            all.get(listen).map(|serving| serving.address)
        };
        let dns = config.dns.listen.iter();
        let proxy = config.proxy.listeners.iter().map(|one| &one.listen);
        let admin = self.apis.address(Part::Admin);
        Addresses {
            dns: dns.filter_map(|listen| served(&self.dns, listen)).collect(),
            proxy: proxy
                .filter_map(|listen| served(&self.proxy, listen))
                .collect(),
            admin: admin.unwrap_or(config.admin.listen),
            mesos_dns: self.apis.address(Part::MesosDns),
            bamboo: self.apis.address(Part::Bamboo),
        }
    }

    async fn start_dns(
        &mut self,
        listen: SocketAddr,
        pairs: Vec<Pair>,
        parts: &Parts<'_>,
        workers: &Workers<Plane>,
    ) -> io::Result<()> {
        let address = pairs[0].0.local_addr()?;
        let (phase, _) = watch::channel(Phase::Serve);
        let mut all_kept = Vec::new();
        for (index, pair) in pairs.into_iter().enumerate() {
            let kept = Kept::default();
            kept.keep_pair(&pair)?;
            all_kept.push(kept.clone());
            let answering = Answering {
                address,
                kept,
                zones: Arc::clone(parts.zones),
                metrics: Arc::clone(parts.dns_metrics),
                config: parts.config.dns.clone(),
                phase: phase.subscribe(),
            };
            let serve = move |_: &Plane| answering.run(pair);
            workers.run(index % workers.count(), serve).await;
        }
        tracing::info!(listen = %address, "dns listens (udp and tcp)");
        let serving = Serving {
            kept: all_kept,
            address,
            phase,
        };
        self.dns.insert(listen, serving);
        Ok(())
    }

    async fn start_proxy(
        &mut self,
        listen: SocketAddr,
        sockets: Vec<TcpListener>,
        workers: &Workers<Plane>,
    ) -> io::Result<()> {
        let address = sockets[0].local_addr()?;
        let (phase, _) = watch::channel(Phase::Serve);
        let mut kept = Vec::new();
        for (index, socket) in sockets.into_iter().enumerate() {
            kept.push(Kept::of(Part::Proxy, &socket)?);
            let phase = phase.subscribe();
            let serve = move |plane: &Plane| {
                let serve = proxy::serve(Rc::clone(plane), listen, socket, phase);
                async move {
                    if let Err(error) = serve.await {
                        tracing::error!(%address, %error, "a worker can't take requests any more");
                    }
                }
            };
            workers.run(index % workers.count(), serve).await;
        }
        tracing::info!(listen = %address, "proxy listens");
        let serving = Serving {
            kept,
            address,
            phase,
        };
        self.proxy.insert(listen, serving);
        Ok(())
    }
}

impl Serving {
    /// Asks the workers to stop; the sender is closed when they have.
    fn drain(self) -> watch::Sender<Phase> {
        self.kept.iter().for_each(Kept::drop_all);
        self.phase.send_replace(Phase::Drain);
        self.phase
    }
}

fn problem(key: String, listen: SocketAddr, error: &io::Error) -> Problem {
    Problem::new(key, format!("can't listen on {listen}: {error}"))
}
