//! Takes connections for the admin API.

use std::{io, net::SocketAddr, pin::pin, sync::Arc};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::AbortHandle,
};

use super::{Admin, Config, router};

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
    /// Serves on a socket that is bound already.
    pub(crate) fn start(
        socket: std::net::TcpListener,
        config: &Config,
        admin: &Arc<Admin>,
    ) -> io::Result<Self> {
        let listener = TcpListener::from_std(socket)?;
        let address = listener.local_addr()?;
        let connections_max = config.connections_max;
        let permits = Arc::new(Semaphore::new(connections_max));
        let accept = accept(
            listener,
            config.clone(),
            Arc::clone(admin),
            Arc::clone(&permits),
        );
        Ok(Self {
            address,
            accept: tokio::spawn(accept).abort_handle(),
            permits,
            connections_max,
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

async fn accept(listener: TcpListener, config: Config, admin: Arc<Admin>, permits: Arc<Semaphore>) {
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let (config, admin) = (config.clone(), Arc::clone(&admin));
                tokio::spawn(async move {
                    serve(stream, &config, admin).await;
                    drop(permit);
                });
            }
            // Out of descriptors, most likely: those under way will end.
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection to the admin api");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, config: &Config, admin: Arc<Admin>) {
    // Only makes small answers quicker.
    stream.set_nodelay(true).ok();
    let mut draining = admin.draining.clone();
    let is_draining = *draining.borrow();
    let service = service_fn(move |request| {
        let admin = Arc::clone(&admin);
        async move { Ok::<_, std::convert::Infallible>(router::answer(admin, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.idle_timeout.get())
        .keep_alive(!is_draining)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let begins = async move {
        // Without a sender the process is about to end in any case.
        draining.wait_for(|draining| *draining).await.ok();
    };
    let served = tokio::select! {
        served = &mut connection => served,
        () = begins, if !is_draining => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the admin api ended early");
    }
}
