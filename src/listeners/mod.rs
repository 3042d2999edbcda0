//! The addresses that signpost listens on, and how they come and go with the configuration.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    pin::pin,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::config::Problem;
use arc_swap::ArcSwap;
use dns::Zones;
use proxy::Phase;
use tokio::sync::{oneshot, watch};

use crate::{
    Config,
    admin::{self, Admin},
    bind::{self, Pair},
    inherited::{Inherited, Part},
    workers::Workers,
};

/// How soon sockets that have failed are replaced.
const BIND_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What a worker's tasks share.
pub(crate) type Plane = Rc<proxy::Worker>;

/// What listens now, by the address in the configuration.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    dns: BTreeMap<SocketAddr, Serving>,
    proxy: BTreeMap<SocketAddr, Serving>,
    admin: Option<(SocketAddr, admin::Listener, Kept)>,
    /// Proxy listeners that were asked to stop and still have requests under way.
    draining: Vec<watch::Sender<Phase>>,
}

/// Second descriptors of the sockets that are in use, for another process to go on with them.
///
/// They go before the first ones: a listener that nobody accepts from would take connections still.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<(Part, OwnedFd)>>>);

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
    admin: Option<TcpListener>,
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
}

/// What new listeners need.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) config: &'a Config,
    pub(crate) zones: &'a Arc<ArcSwap<Zones>>,
    pub(crate) dns_metrics: &'a Arc<dns::Metrics>,
    pub(crate) admin: &'a Arc<Admin>,
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
            if !self.proxy.contains_key(&listen) {
                let key = format!("proxy.listeners[{index}].listen");
                let given = inherited.take(Part::Proxy, listen);
                let sockets = bind::proxy(listen, given, workers, self.has_port(listen));
                let sockets = sockets.map_err(|error| problem(key, listen, &error))?;
                pending.proxy.push((listen, sockets));
            }
        }
        let listen = config.admin.listen;
        if self.admin.as_ref().map(|(old, ..)| *old) != Some(listen) {
            let given = inherited.take(Part::Admin, listen);
            let socket = bind::admin(listen, given, self.has_port(listen));
            let key = "admin.listen".to_owned();
            pending.admin = Some(socket.map_err(|error| problem(key, listen, &error))?);
        }
        Ok(pending)
    }

    /// Tells whether one of our own listeners has this port.
    fn has_port(&self, listen: SocketAddr) -> bool {
        let serving = self.dns.values().chain(self.proxy.values());
        let admin = self
            .admin
            .as_ref()
            .map(|(_, listener, _)| listener.address());
        let mut own = serving.map(|serving| serving.address).chain(admin);
        own.any(|address| address.port() == listen.port())
    }

    /// Serves what was bound, and stops what the configuration doesn't name any more.
    pub(crate) async fn apply(
        &mut self,
        pending: Pending,
        parts: Parts<'_>,
        workers: &Workers<Plane>,
    ) -> io::Result<()> {
        self.apply_admin(pending.admin, &parts)?;
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
        let admin = self.admin.take();
        let released = async {
            for phase in dns {
                phase.closed().await;
            }
        };
        let finished = async {
            if let Some((_, listener, _)) = admin {
                listener.drain().await;
            }
        };
        tokio::join!(self.drain(), released, finished);
    }

    /// Returns every socket once more, with what it is for and where it listens by the configuration.
    ///
    /// # Errors
    ///
    /// Fails when the system gives no more descriptors.
    pub(crate) fn sockets(&self) -> io::Result<Vec<(Part, SocketAddr, OwnedFd)>> {
        let serving = self.dns.iter().chain(&self.proxy);
        let serving = serving.flat_map(|(listen, one)| one.kept.iter().map(|kept| (*listen, kept)));
        let admin = self.admin.iter().map(|(listen, _, kept)| (*listen, kept));
        let mut sockets = Vec::new();
        for (listen, kept) in serving.chain(admin) {
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
        let admin = self
            .admin
            .as_ref()
            .map(|(_, listener, _)| listener.address());
        Addresses {
            dns: dns.filter_map(|listen| served(&self.dns, listen)).collect(),
            proxy: proxy
                .filter_map(|listen| served(&self.proxy, listen))
                .collect(),
            admin: admin.unwrap_or(config.admin.listen),
        }
    }

    fn apply_admin(&mut self, socket: Option<TcpListener>, parts: &Parts<'_>) -> io::Result<()> {
        let config = &parts.config.admin;
        if let Some(socket) = socket {
            let kept = Kept::of(Part::Admin, &socket)?;
            let listener = admin::Listener::start(socket, config, parts.admin)?;
            tracing::info!(listen = %listener.address(), "admin api listens");
            self.admin = Some((config.listen, listener, kept));
        }
        Ok(())
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

impl Kept {
    fn of(part: Part, socket: &TcpListener) -> io::Result<Self> {
        let socket = socket.as_fd().try_clone_to_owned()?;
        Ok(Self(Arc::new(Mutex::new(vec![(part, socket)]))))
    }

    /// Keeps a pair instead of what was kept before.
    fn keep_pair(&self, (udp, tcp): &Pair) -> io::Result<()> {
        let udp = udp.as_fd().try_clone_to_owned()?;
        let tcp = tcp.as_fd().try_clone_to_owned()?;
        self.replace(vec![(Part::DnsUdp, udp), (Part::DnsTcp, tcp)]);
        Ok(())
    }

    /// Lets go of the sockets.
    fn drop_all(&self) {
        self.replace(Vec::new());
    }

    fn replace(&self, sockets: Vec<(Part, OwnedFd)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sockets;
    }

    fn copies(&self) -> io::Result<Vec<(Part, OwnedFd)>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let copies = kept.iter();
        copies
            .map(|(part, socket)| Ok((*part, socket.try_clone()?)))
            .collect()
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

/// Answers queries on one worker at one address.
struct Answering {
    address: SocketAddr,
    kept: Kept,
    zones: Arc<ArcSwap<Zones>>,
    metrics: Arc<dns::Metrics>,
    config: dns::Config,
    /// `Drain` when another process goes on with the sockets; gone when the address is taken out of
    /// the configuration.
    phase: watch::Receiver<Phase>,
}

impl Answering {
    /// Answers until it is over; sockets that fail are replaced.
    async fn run(mut self, pair: Pair) {
        let mut pair = Ok(pair);
        loop {
            let error = match pair {
                Ok((udp, tcp)) => match self.serve(udp, tcp).await {
                    Ok(()) => return,
                    Err(error) => error,
                },
                Err(error) => error,
            };
            // Nobody else must have them either: queries would wait in them.
            self.kept.drop_all();
            let address = self.address;
            tracing::error!(%address, %error, "a worker can't answer queries, binding again");
            tokio::select! {
                () = tokio::time::sleep(BIND_AGAIN_AFTER) => {}
                _ = self.phase.wait_for(|phase| *phase == Phase::Drain) => return,
            }
            pair = bind::pair(address);
            if let Ok(pair) = &pair {
                // Without it a new process binds sockets of its own.
                self.kept.keep_pair(pair).ok();
            }
        }
    }

    /// Answers until it is over, or one of the sockets is of no more use.
    async fn serve(&mut self, udp: UdpSocket, tcp: TcpListener) -> io::Result<()> {
        let (zones, metrics) = (&self.zones, &self.metrics);
        let mut udp = dns::UdpServer::start(udp, Arc::clone(zones), metrics.counters())?;
        let (stop, stopped) = oneshot::channel();
        let over = async move {
            // Gone is as good as sent: nobody polls it then.
            stopped.await.ok();
        };
        let (zones, counters) = (Arc::clone(zones), metrics.counters());
        let mut tcp = pin!(dns::serve_tcp(tcp, zones, counters, &self.config, over));
        tokio::select! {
            error = udp.failed() => return Err(error),
            Err(error) = &mut tcp => return Err(error),
            handed_over = self.phase.wait_for(|phase| *phase == Phase::Drain) => {
                if handed_over.is_err() {
                    return Ok(());
                }
            }
        }
        // What is sent here is received above.
        stop.send(()).ok();
        let ((), done) = tokio::join!(udp.release(), tcp);
        done
    }
}

fn problem(key: String, listen: SocketAddr, error: &io::Error) -> Problem {
    Problem::new(key, format!("can't listen on {listen}: {error}"))
}
