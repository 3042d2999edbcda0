//! Where an instance is registered.

use std::{path::Path, time::Duration};

use config::Secret;
use registry::{InstanceId, Registration, ServiceName, sources::zookeeper::Auth};
use tokio::net::UdpSocket;

use super::{admin::Admin, trouble::Trouble, zookeeper::Zookeeper};
use crate::http_client;

/// A store that takes registrations.
#[derive(Debug)]
pub(crate) enum Target {
    /// The embedded store of a signpost.
    Admin(Admin),
    /// A ZooKeeper ensemble.
    Zookeeper(Box<Zookeeper>),
}

impl Target {
    /// Reads the URL of a target; nothing is connected yet.
    ///
    /// `pause` is how long the target may hear nothing from an agent that is well.
    ///
    /// # Errors
    ///
    /// Returns in words what is wrong with the URL or with the file of a secret.
    pub(crate) fn parse(
        url: &str,
        auth: Option<Auth>,
        token_file: Option<&Path>,
        pause: Duration,
    ) -> Result<Self, String> {
        if url.starts_with("zookeeper://") {
            return Ok(Self::Zookeeper(Box::new(Zookeeper::parse(url, auth)?)));
        }
        http_client::parse(url)?;
        let token = token_file.map(Secret::load).transpose()?;
        Ok(Self::Admin(Admin::new(url, token, pause)))
    }

    /// Returns the address that this machine uses to reach the target; no packet is sent.
    ///
    /// # Errors
    ///
    /// Returns in words why there is none.
    pub(crate) async fn local_address(&self) -> Result<String, String> {
        let peer = match self {
            Self::Admin(admin) => admin.address()?,
            Self::Zookeeper(zookeeper) => zookeeper.address(),
        };
        let find = async {
            let peers = tokio::net::lookup_host(&peer).await?;
            let mut last = std::io::Error::other("it has no address");
            for peer in peers {
                let any = if peer.is_ipv4() {
                    "0.0.0.0:0"
                } else {
                    "[::]:0"
                };
                let socket = UdpSocket::bind(any).await?;
                match socket.connect(peer).await {
                    Ok(()) => return Ok(socket.local_addr()?.ip().to_string()),
                    Err(error) => last = error,
                }
            }
            Err(last)
        };
        find.await
            .map_err(|error: std::io::Error| format!("{peer}: {error}"))
    }

    /// Returns whether this process may have left the instance there.
    pub(super) fn may_hold(&self) -> bool {
        match self {
            Self::Admin(admin) => admin.may_hold(),
            Self::Zookeeper(zookeeper) => zookeeper.may_hold(),
        }
    }

    /// Makes sure that the instance is registered.
    pub(super) async fn keep(
        &mut self,
        service: &ServiceName,
        id: &InstanceId,
        registration: &Registration,
    ) -> Result<(), Trouble> {
        match self {
            Self::Admin(admin) => admin.keep(service, id, registration).await,
            Self::Zookeeper(zookeeper) => zookeeper.keep(service, id, registration).await,
        }
    }

    /// Makes sure that the instance isn't registered.
    pub(super) async fn remove(
        &mut self,
        service: &ServiceName,
        id: &InstanceId,
    ) -> Result<(), Trouble> {
        match self {
            Self::Admin(admin) => admin.remove(service, id).await,
            Self::Zookeeper(zookeeper) => zookeeper.remove(service, id).await,
        }
    }
}
