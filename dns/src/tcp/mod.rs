//! Answers over TCP.
//!
//! hickory-server has the streams: it finds the messages in them, writes answers one after the
//! other, and gives up on clients that don't get on. What is read and written in a message stays
//! ours, for the same bytes have to come by every transport, and hickory's own loop and encoder
//! change them: what it can't read it answers without the question and the OPT record, its encoder
//! compresses only so many names (a thousand SRV records that fit grow beyond what a message can
//! be, and are cut), and it has no limit for connections.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::StreamExt as _;
use hickory_server::{
    net::{DnsStreamHandle as _, runtime::iocompat::AsyncIoTokioAsStd, tcp::TcpStream},
    proto::op::SerialMessage,
    server::TimeoutStream,
};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{Config, Counters, Outcome, Request, Transport, Zones, clock, respond};

/// How many answers of one connection may wait to be written; it reads no query while there is one.
const ANSWERS_WAITING_MAX: usize = 4;

/// How long the loop rests when no connection can be accepted, such as for want of file
/// descriptors.
const PAUSE: Duration = Duration::from_secs(1);

/// Answers the queries that come by the connections of `listener`, until the future is dropped,
/// which closes them.
///
/// It is meant for a worker's current-thread runtime. When `tcp_connections_max` are open, further
/// ones wait in the system's queue.
///
/// # Errors
///
/// Returns an error when the listener is of no use.
pub fn serve_tcp(
    listener: std::net::TcpListener,
    zones: Arc<ArcSwap<Zones>>,
    counters: Arc<Counters>,
    config: &Config,
) -> impl Future<Output = io::Result<Infallible>> + Send + use<> {
    let connections_max = config.tcp_connections_max;
    let idle_timeout = config.tcp_idle_timeout.get();
    let answerer = Answerer { zones, counters };
    async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        accept(listener, answerer, connections_max, idle_timeout).await
    }
}

async fn accept(
    listener: tokio::net::TcpListener,
    answerer: Answerer,
    connections_max: usize,
    idle_timeout: Duration,
) -> io::Result<Infallible> {
    let places = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            // A client that has gone again.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection for DNS over TCP");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let answerer = answerer.clone();
        connections.spawn(async move {
            let _open = Open::new(Arc::clone(&answerer.counters));
            serve_connection(stream, peer, idle_timeout, &answerer).await;
            drop(place);
        });
    }
}

async fn serve_connection(
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    idle_timeout: Duration,
    answerer: &Answerer,
) {
    let stream = AsyncIoTokioAsStd(stream);
    let (messages, mut answers) =
        TcpStream::from_stream_with_buffer_size(stream, peer, ANSWERS_WAITING_MAX);
    let mut messages = TimeoutStream::new(messages, idle_timeout);
    while let Some(Ok(query)) = messages.next().await {
        if let Some(answer) = answerer.answer(query.bytes(), peer.ip())
            && let Err(error) = answers.send(SerialMessage::new(answer, peer))
        {
            tracing::debug!(%error, "can't send an answer");
            return;
        }
    }
}

/// Answers from the zones, for all connections of one worker.
#[derive(Clone)]
struct Answerer {
    zones: Arc<ArcSwap<Zones>>,
    counters: Arc<Counters>,
}

impl Answerer {
    /// Answers a query; `None` where nobody is answered.
    fn answer(&self, message: &[u8], client: IpAddr) -> Option<Vec<u8>> {
        let mut out = vec![0; usize::from(u16::MAX)];
        let request = Request {
            message,
            client,
            transport: Transport::Tcp,
            now: clock::now(),
            seed: fastrand::u64(..),
        };
        let outcome = respond(&self.zones.load(), &request, &mut out);
        self.counters.count(Transport::Tcp, outcome);
        match outcome {
            Outcome::Answered { bytes, .. } => {
                out.truncate(bytes);
                out.shrink_to_fit();
                Some(out)
            }
            Outcome::Dropped => None,
        }
    }
}

/// Counts a connection for as long as it lives.
struct Open(Arc<Counters>);

impl Open {
    fn new(counters: Arc<Counters>) -> Self {
        counters.connection_opened();
        Self(counters)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

#[cfg(test)]
mod tests;
