//! Takes connections for an API.

use std::{convert::Infallible, fmt, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore, watch},
    task::AbortHandle,
    time::timeout,
};

use super::body::Body;

/// How long a client may take for its first request when the process is about to end.
const GRACE: Duration = Duration::from_secs(1);

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
        let asked = Arc::new(Notify::new());
        let was_asked = Arc::clone(&asked);
        let service = service_fn(move |request| {
            asked.notify_one();
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
            // Who has just come has sent a request, or is about to; it is answered, and told to go.
            timeout(GRACE, was_asked.notified()).await.ok();
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

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::http_server::body;

    #[derive(Debug)]
    struct Fine;

    impl Api for Fine {
        fn name(&self) -> &'static str {
            "fine"
        }

        fn answer(self: Arc<Self>, _: Request<Incoming>) -> BoxFuture<'static, Response<Body>> {
            Box::pin(async { body::json(StatusCode::OK, &"fine") })
        }
    }

    #[tokio::test]
    async fn who_has_just_come_is_answered_before_the_end() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let limits = Limits {
            connections_max: 2,
            idle_timeout: Duration::from_secs(60),
        };
        let (draining, watched) = watch::channel(false);
        let listener = Listener::start(socket, limits, watched, Arc::new(Fine)).unwrap();
        let permits = Arc::clone(&listener.permits);
        let mut client = TcpStream::connect(listener.address()).await.unwrap();
        // It is accepted, and another one is waited for.
        while permits.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        draining.send(true).unwrap();
        let drained = tokio::spawn(listener.drain());
        tokio::task::yield_now().await;
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        drained.await.unwrap();
    }
}
