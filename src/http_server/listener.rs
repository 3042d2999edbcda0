//! Takes connections for an API.

use std::{convert::Infallible, fmt, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::AbortHandle,
};

use super::body::Body;

/// Answers the requests to an API.
pub(crate) trait Api: fmt::Debug + Send + Sync + 'static {
    /// Returns what it is called in the log.
    fn name(&self) -> &'static str;

    fn answer(self: Arc<Self>, request: Request<Incoming>) -> BoxFuture<'static, Response<Body>>;
}

/// Bounds what clients of an API may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections_max: usize,
    /// How long a client has to send a request, and how long an idle connection is kept.
    pub(crate) idle_timeout: Duration,
}

/// Listens on one address; stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    accept: AbortHandle,
    /// One for each connection that there may be.
    permits: Arc<Semaphore>,
    connections_max: usize,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

impl Listener {
    /// Serves on a socket that is bound already; `draining` turns true when the process is about to end.
    pub(crate) fn start(
        socket: std::net::TcpListener,
        limits: Limits,
        draining: watch::Receiver<bool>,
        api: Arc<dyn Api>,
    ) -> io::Result<Self> {
        let listener = TcpListener::from_std(socket)?;
        let address = listener.local_addr()?;
        let permits = Arc::new(Semaphore::new(limits.connections_max));
        let serving = Serving {
            limits,
            draining,
            api,
        };
        let accept = serving.accept(listener, Arc::clone(&permits));
        Ok(Self {
            address,
            accept: tokio::spawn(accept).abort_handle(),
            permits,
            connections_max: limits.connections_max,
        })
    }

    /// Accepts nobody more, and waits until all who are connected have left, as they do while the
    /// process drains.
    pub(crate) async fn drain(self) {
        self.accept.abort();
        // What is waiting for a permit itself is gone, or about to be.
        let all = u32::try_from(self.connections_max).unwrap_or(u32::MAX);
        self.permits.acquire_many(all).await.map(drop).ok();
    }

    /// Returns the address with the port it really has.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// What each connection needs.
#[derive(Debug, Clone)]
struct Serving {
    limits: Limits,
    draining: watch::Receiver<bool>,
    api: Arc<dyn Api>,
}

impl Serving {
    async fn accept(self, listener: TcpListener, permits: Arc<Semaphore>) {
        loop {
            let permit = Arc::clone(&permits).acquire_owned().await;
            match listener.accept().await {
                Ok((stream, _)) => {
                    let serving = self.clone();
                    tokio::spawn(async move {
                        serving.serve(stream).await;
                        drop(permit);
                    });
                }
                // Out of descriptors, most likely: those under way will end.
                Err(error) => {
                    let api = self.api.name();
                    tracing::warn!(api, %error, "can't accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve(mut self, stream: TcpStream) {
        // Only makes small answers quicker.
        stream.set_nodelay(true).ok();
        let is_draining = *self.draining.borrow();
        let (name, api) = (self.api.name(), self.api);
        let service = service_fn(move |request| {
            let answer = Arc::clone(&api).answer(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.idle_timeout)
            .keep_alive(!is_draining)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let begins = async {
            // Without a sender the process is about to end in any case.
            self.draining.wait_for(|draining| *draining).await.ok();
        };
        let served = tokio::select! {
            served = &mut connection => served,
            () = begins, if !is_draining => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(api = name, %error, "a connection ended early");
        }
    }
}
