//! Takes connections for the admin API.

use std::{io, net::SocketAddr, sync::Arc};

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
        let accept = accept(listener, config.clone(), Arc::clone(admin));
        Ok(Self {
            address,
            accept: tokio::spawn(accept).abort_handle(),
        })
    }

    /// Returns the address with the port it really has.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, config: Config, admin: Arc<Admin>) {
    let permits = Arc::new(Semaphore::new(config.connections_max));
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
    let service = service_fn(move |request| {
        let admin = Arc::clone(&admin);
        async move { Ok::<_, std::convert::Infallible>(router::answer(admin, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.idle_timeout.get())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the admin api ended early");
    }
}
