//! How a client has come: straight, or by way of a load balancer that says so.

use std::net::SocketAddr;

use super::Connection;
use crate::{
    proxy_protocol::{self, Invalid, Origin, Read},
    socket::read,
};

/// Says who has connected, and to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// The client, or the load balancer until its header has been read.
    pub(crate) client: SocketAddr,
    /// The port that it has connected to.
    pub(crate) port: u16,
}

impl Arrival {
    pub(crate) fn new(peer: SocketAddr, port: u16) -> Self {
        let client = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        Self { client, port }
    }
}

impl Connection {
    /// Reads the PROXY header with which this connection has to begin; returns whether to go on.
    pub(super) async fn read_proxy_header(&mut self) -> bool {
        if !self.wait().await {
            return false;
        }
        match self.proxy_header().await {
            Ok(Some(Origin::Client {
                source,
                destination,
            })) => {
                self.arrival = Arrival::new(source, destination.port());
                true
            }
            Ok(Some(Origin::Peer)) => true,
            Ok(None) => false,
            Err(reason) => {
                self.worker.counters.proxy_header_errors.add(1);
                let peer = self.arrival.client;
                tracing::debug!(%peer, %reason, "a connection has no good PROXY header");
                false
            }
        }
    }

    /// Takes the header off the input; `None` when it doesn't come.
    async fn proxy_header(&mut self) -> Result<Option<Origin>, Invalid> {
        loop {
            if let Read::Complete(bytes, origin) = proxy_protocol::read(self.input.filled())? {
                self.input.consume(bytes);
                return Ok(Some(origin));
            }
            // It is shorter than the buffer, so there is room.
            let read = read(&mut self.stream, &mut self.input);
            match self.timer.guard(read).await {
                Ok(Ok(bytes)) if bytes > 0 => {}
                _ => return Ok(None),
            }
        }
    }
}
