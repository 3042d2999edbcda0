//! The addresses that signpost listens on, and how they come and go with the configuration.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use ::config::Problem;
use arc_swap::ArcSwap;
use dns::Zones;
use proxy::Phase;
use socket2::{Domain, Socket, Type};
use tokio::sync::watch;

use crate::{
    Config,
    admin::{self, Admin},
    workers::Workers,
};

/// How often a port that the system chose for UDP is tried for TCP, which may have it in use.
const PORT_TRIES: usize = 16;

/// How soon sockets that have failed are replaced.
const BIND_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What a worker's tasks share.
pub(crate) type Plane = Rc<proxy::Worker>;

/// What listens now, by the address in the configuration.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    dns: BTreeMap<SocketAddr, Serving>,
    proxy: BTreeMap<SocketAddr, Serving>,
    admin: Option<(SocketAddr, admin::Listener)>,
    /// Proxy listeners that were asked to stop and still have requests under way.
    draining: Vec<watch::Sender<Phase>>,
}

/// An address that is served by every worker.
#[derive(Debug)]
struct Serving {
    address: SocketAddr,
    phase: watch::Sender<Phase>,
}

/// Sockets for the addresses that aren't served yet, bound but not in use.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    dns: Vec<(SocketAddr, Vec<(UdpSocket, TcpListener)>)>,
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
    /// Binds what the configuration wants and isn't there yet; nothing is served differently by that.
    ///
    /// # Errors
    ///
    /// Returns which address can't be bound, by its key, and why.
    pub(crate) fn bind(&self, config: &Config, workers: usize) -> Result<Pending, Problem> {
        let mut pending = Pending::default();
        for (index, listen) in config.dns.listen.iter().enumerate() {
            if !self.dns.contains_key(listen) {
                let key = format!("dns.listen[{index}]");
                let sockets = bind_dns(*listen, workers, self.has_port(*listen));
                let sockets = sockets.map_err(|error| problem(key, *listen, &error))?;
                pending.dns.push((*listen, sockets));
            }
        }
        for (index, listener) in config.proxy.listeners.iter().enumerate() {
            let listen = listener.listen;
            if !self.proxy.contains_key(&listen) {
                let key = format!("proxy.listeners[{index}].listen");
                let sockets = bind_proxy(listen, workers, self.has_port(listen));
                let sockets = sockets.map_err(|error| problem(key, listen, &error))?;
                pending.proxy.push((listen, sockets));
            }
        }
        let listen = config.admin.listen;
        if self.admin.as_ref().map(|(old, _)| *old) != Some(listen) {
            let socket = exclusive(listen, self.has_port(listen)).and_then(proxy::bind);
            let key = "admin.listen".to_owned();
            pending.admin = Some(socket.map_err(|error| problem(key, listen, &error))?);
        }
        Ok(pending)
    }

    /// Tells whether one of our own listeners has this port.
    fn has_port(&self, listen: SocketAddr) -> bool {
        let serving = self.dns.values().chain(self.proxy.values());
        let admin = self.admin.as_ref().map(|(_, listener)| listener.address());
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
            serving.phase.send_replace(Phase::Drain);
            serving.phase
        }));
        // Once every worker has let go of it, it is done.
        self.draining.retain(|phase| !phase.is_closed());
        Ok(())
    }

    /// Stops accepting clients and waits until every request under way is answered.
    pub(crate) async fn drain(&mut self) {
        let stopped = std::mem::take(&mut self.proxy).into_values();
        self.draining.extend(stopped.map(|serving| serving.phase));
        for phase in &self.draining {
            phase.send_replace(Phase::Drain);
        }
        for phase in self.draining.drain(..) {
            phase.closed().await;
        }
    }

    /// Returns what is really listened on.
    pub(crate) fn addresses(&self, config: &Config) -> Addresses {
        let served = |all: &BTreeMap<SocketAddr, Serving>, listen: &SocketAddr| {
            all.get(listen).map(|serving| serving.address)
        };
        let dns = config.dns.listen.iter();
        let proxy = config.proxy.listeners.iter().map(|one| &one.listen);
        let admin = self.admin.as_ref().map(|(_, listener)| listener.address());
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
            let listener = admin::Listener::start(socket, config, parts.admin)?;
            tracing::info!(listen = %listener.address(), "admin api listens");
            self.admin = Some((config.listen, listener));
        }
        Ok(())
    }

    async fn start_dns(
        &mut self,
        listen: SocketAddr,
        sockets: Vec<(UdpSocket, TcpListener)>,
        parts: &Parts<'_>,
        workers: &Workers<Plane>,
    ) -> io::Result<()> {
        let address = sockets[0].0.local_addr()?;
        let (phase, _) = watch::channel(Phase::Serve);
        for (worker, (udp, tcp)) in sockets.into_iter().enumerate() {
            let zones = Arc::clone(parts.zones);
            let metrics = Arc::clone(parts.dns_metrics);
            let config = parts.config.dns.clone();
            let mut over = phase.subscribe();
            let serve = move |_: &Plane| async move {
                let answer = answer(address, (udp, tcp), &zones, &metrics, &config);
                tokio::select! {
                    () = answer => {}
                    // Gone when the address is taken out of the configuration.
                    _ = over.wait_for(|phase| *phase == Phase::Drain) => {}
                }
            };
            workers.run(worker, serve).await;
        }
        tracing::info!(listen = %address, "dns listens (udp and tcp)");
        self.dns.insert(listen, Serving { address, phase });
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
        for (worker, socket) in sockets.into_iter().enumerate() {
            let phase = phase.subscribe();
            let serve = move |plane: &Plane| {
                let serve = proxy::serve(Rc::clone(plane), socket, phase);
                async move {
                    if let Err(error) = serve.await {
                        tracing::error!(%address, %error, "a worker can't take requests any more");
                    }
                }
            };
            workers.run(worker, serve).await;
        }
        tracing::info!(listen = %address, "proxy listens");
        self.proxy.insert(listen, Serving { address, phase });
        Ok(())
    }
}

/// Answers queries on a worker for ever; sockets that fail are replaced.
async fn answer(
    address: SocketAddr,
    sockets: (UdpSocket, TcpListener),
    zones: &Arc<ArcSwap<Zones>>,
    metrics: &dns::Metrics,
    config: &dns::Config,
) {
    let mut sockets = Ok(sockets);
    loop {
        let error = match sockets {
            Ok((udp, tcp)) => serve(udp, tcp, zones, metrics, config).await,
            Err(error) => error,
        };
        tracing::error!(%address, %error, "a worker can't answer queries, binding again");
        tokio::time::sleep(BIND_AGAIN_AFTER).await;
        sockets = bind_pair(address);
    }
}

/// Answers queries until one of the sockets is of no more use; returns why.
async fn serve(
    udp: UdpSocket,
    tcp: TcpListener,
    zones: &Arc<ArcSwap<Zones>>,
    metrics: &dns::Metrics,
    config: &dns::Config,
) -> io::Error {
    let udp = dns::UdpServer::start(udp, Arc::clone(zones), metrics.counters());
    let mut udp = match udp {
        Ok(udp) => udp,
        Err(error) => return error,
    };
    let over = std::future::pending();
    let tcp = dns::serve_tcp(tcp, Arc::clone(zones), metrics.counters(), config, over);
    tokio::select! {
        error = udp.failed() => error,
        Err(error) = tcp => error,
    }
}

fn problem(key: String, listen: SocketAddr, error: &io::Error) -> Problem {
    Problem::new(key, format!("can't listen on {listen}: {error}"))
}

/// Makes sure that nobody else has the address, for sockets that share their port wouldn't notice, and
/// returns it with the port it has.
///
/// Where signpost itself has the port (`ours`), an address may move from one of its parts to another or
/// to the wildcard and back; that these don't overlap in the end was checked in the configuration.
fn exclusive(address: SocketAddr, ours: bool) -> io::Result<SocketAddr> {
    match ours {
        true => Ok(address),
        false => bound(address, Type::STREAM),
    }
}

/// Binds an address for a moment, without sharing it, and returns it with the port it has got.
fn bound(address: SocketAddr, kind: Type) -> io::Result<SocketAddr> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        // Connections that have just ended don't matter; for UDP it would mean to share.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    if kind == Type::STREAM {
        socket.listen(1)?;
    }
    let bound = socket.local_addr()?.as_socket();
    bound.ok_or_else(|| io::Error::other("the socket has no address"))
}

fn bind_proxy(listen: SocketAddr, workers: usize, ours: bool) -> io::Result<Vec<TcpListener>> {
    // One socket tells what port 0 has become; the others share it.
    let first = proxy::bind(exclusive(listen, ours)?)?;
    let address = first.local_addr()?;
    let others = (1..workers).map(|_| proxy::bind(address));
    std::iter::once(Ok(first)).chain(others).collect()
}

fn bind_dns(
    listen: SocketAddr,
    workers: usize,
    ours: bool,
) -> io::Result<Vec<(UdpSocket, TcpListener)>> {
    let address = match ours {
        true => listen,
        false => free_for_both(listen)?,
    };
    (0..workers).map(|_| bind_pair(address)).collect()
}

fn bind_pair(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    Ok((dns::bind_udp(address)?, dns::bind_tcp(address)?))
}

/// Finds the address free for UDP and for TCP; of port 0 several are tried.
fn free_for_both(listen: SocketAddr) -> io::Result<SocketAddr> {
    let mut tries = 0;
    loop {
        tries += 1;
        let address = bound(listen, Type::DGRAM)?;
        match bound(address, Type::STREAM) {
            Err(_) if listen.port() == 0 && tries < PORT_TRIES => {}
            result => return result,
        }
    }
}
