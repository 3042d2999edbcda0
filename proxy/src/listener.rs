//! Accepts clients.

use std::{
    io,
    net::{self, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::spawn_local,
    time::sleep,
};

use crate::{
    Worker,
    connection::{self, Arrival},
    gate::Gate,
};

/// How many clients may wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// How long nobody is accepted when the system has no room for a connection, such as no descriptor.
const PAUSE: Duration = Duration::from_millis(100);

/// Says whether a listener goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Clients are accepted.
    #[default]
    Serve,
    /// Nobody is accepted, and who is connected is asked to leave after its request.
    Drain,
}

/// Binds an address so that every worker can have a socket of its own on it.
///
/// # Errors
///
/// Returns what the system says, such as that the address is in use.
pub fn bind(address: SocketAddr) -> io::Result<net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // So that `[::]` and `0.0.0.0` can both be listened on.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts clients and serves them, until the phase is `Drain` or its sender is gone and then until
/// the last request under way is answered.
///
/// `listen` is the address as it is configured, by which the listener's other settings are found.
/// Runs in a `tokio::task::LocalSet`; dropping it stops the accepting and leaves connections alone.
///
/// # Errors
///
/// Returns an error when the listener can't be used with the runtime.
pub async fn serve(
    worker: Rc<Worker>,
    listen: SocketAddr,
    listener: net::TcpListener,
    mut phase: watch::Receiver<Phase>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    // What is accepted inherits it.
    SockRef::from(&listener).set_tcp_nodelay(true)?;
    let listener = TcpListener::from_std(listener)?;
    let address: Arc<str> = listener.local_addr()?.to_string().into();
    let tally = worker.metrics().listeners.tally([address]);
    let gate = Rc::new(Gate::new(tally));
    worker.tell(&gate);
    let door = Door {
        listen,
        port: listener.local_addr()?.port(),
        proxy_protocol: worker.proxy_protocol(listen),
        gate,
        worker: Rc::clone(&worker),
    };
    worker.start_ticking();
    let accepting = async {
        loop {
            worker.room().await;
            match listener.accept().await {
                Ok((stream, peer)) => door.start(stream, peer),
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection can't be accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        // Gone is as good as drained.
        _ = phase.wait_for(|phase| *phase == Phase::Drain) => {}
    }
    // Who was connected by the system already would be reset with the listener.
    accept_rest(listener, |stream, peer| door.start(stream, peer));
    door.gate.close();
    door.gate.empty().await;
    Ok(())
}

/// Holds what the connections of one listener begin with.
struct Door {
    listen: SocketAddr,
    port: u16,
    /// As configured at the begin: who comes when the listener isn't configured any more comes as
    /// before.
    proxy_protocol: Option<Arc<[IpNet]>>,
    gate: Rc<Gate>,
    worker: Rc<Worker>,
}

impl Door {
    fn start(&self, stream: TcpStream, peer: SocketAddr) {
        let ticket = self.gate.enter();
        self.worker.enter();
        let arrival = Arrival::new(peer, self.port);
        let networks = self.worker.proxy_protocol(self.listen);
        let networks = networks.as_ref().or(self.proxy_protocol.as_ref());
        let mut networks = networks.into_iter().flat_map(|networks| networks.iter());
        let has_header = networks.any(|network| network.contains(&arrival.client.ip()));
        let worker = Rc::clone(&self.worker);
        spawn_local(connection::run(worker, ticket, stream, arrival, has_header));
    }
}

/// Accepts who is waiting, and then nobody more.
fn accept_rest(listener: TcpListener, start: impl Fn(TcpStream, SocketAddr)) {
    let Ok(listener) = listener.into_std() else {
        return;
    };
    loop {
        let accepted = listener.accept().and_then(|(stream, peer)| {
            stream.set_nonblocking(true)?;
            Ok((TcpStream::from_std(stream)?, peer))
        });
        match accepted {
            Ok((stream, peer)) => start(stream, peer),
            // The next one may be well.
            Err(error) if is_passing(&error) => {}
            // Nobody is left, or nobody can be accepted.
            Err(_) => return,
        }
    }
}

/// Tells whether an error is about one connection that is gone, and not about the listener.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
