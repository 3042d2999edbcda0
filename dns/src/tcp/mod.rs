//! Answers over TCP: a task for each connection, which takes what has come, answers all of it and
//! writes the answers at once.
//!
//! The messages of a stream have their length before them (RFC 1035, section 4.2.2), and clients
//! may send further ones before they are answered (RFC 7766, section 6.2.1.1).

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::net::TcpListener;

use crate::{Config, Counters, Zones};
use answerer::Answerer;
use connection::Connection;
use seats::Seats;

mod answerer;
mod connection;
mod late;
mod scratch;
mod seats;

/// How long the loop rests when no connection can be accepted, such as for want of file
/// descriptors.
const PAUSE: Duration = Duration::from_secs(1);

/// Answers the queries that come by the connections of `listener`, until `over`; then it accepts nobody
/// more, and ends when all clients have gone. Dropping it closes their connections.
///
/// It is meant for a worker's current-thread runtime. When `tcp_connections_max` are open and
/// another client comes, the connection that has been idle longest is closed; while none is idle,
/// the client has to wait. A connection that waits for its client holds no buffers.
///
/// At the end each connection goes on until its client has asked nothing for a moment, and a client that
/// makes no pause is closed on between two queries. Who has connected and isn't accepted yet is
/// left to another process with the same socket.
///
/// # Errors
///
/// Returns an error when the listener is of no use.
pub fn serve_tcp<O: Future<Output = ()> + Send>(
    listener: std::net::TcpListener,
    zones: Arc<ArcSwap<Zones>>,
    counters: Arc<Counters>,
    config: &Config,
    over: O,
) -> impl Future<Output = io::Result<()>> + Send + use<O> {
    let limits = Limits::new(config);
    let answerer = Arc::new(Answerer::new(zones, counters, limits.idle_timeout));
    let mut seats = Seats::new(config.tcp_connections_max);
    async move {
        let listener = TcpListener::from_std(listener)?;
        tokio::select! {
            never = accept(&listener, &answerer, &mut seats, limits) => match never {},
            () = over => {}
        }
        drop(listener);
        seats.drain().await;
        Ok(())
    }
}

/// Holds what a connection may do.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// How long it may stay without a whole query, or with answers that aren't read.
    idle_timeout: Duration,
    /// How many messages are taken from it.
    queries_max: u64,
}

impl Limits {
    fn new(config: &Config) -> Self {
        Self {
            idle_timeout: config.tcp_idle_timeout.get(),
            queries_max: match config.tcp_queries_max {
                // Nobody lives to send so many.
                0 => u64::MAX,
                max => max,
            },
        }
    }
}

async fn accept(
    listener: &TcpListener,
    answerer: &Arc<Answerer>,
    seats: &mut Seats,
    limits: Limits,
) -> Infallible {
    loop {
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
        let seat = seats.make_room().await;
        let answerer = Arc::clone(answerer);
        let connection = Connection::new(stream, peer.ip(), answerer, Arc::clone(&seat), limits);
        seats.seat(seat, async move {
            if let Err(error) = connection.serve().await {
                tracing::debug!(%error, "a connection for DNS over TCP broke");
            }
        });
    }
}

#[cfg(test)]
mod tests;
