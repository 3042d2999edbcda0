//! The HTTP APIs beside the proxy: each has one address or none.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    sync::Arc,
};

use ::config::Problem;
use tokio::sync::watch;

use super::{kept::Kept, problem};
use crate::{
    Config, bind,
    http_server::{Api, Limits, Listener},
    inherited::{Inherited, Part},
};

/// What listens now, by what it is.
#[derive(Debug, Default)]
pub(super) struct Apis(BTreeMap<Part, Serving>);

/// One API that is served.
#[derive(Debug)]
struct Serving {
    /// By the configuration.
    listen: SocketAddr,
    listener: Listener,
    kept: Kept,
}

/// Sockets that are bound and not in use.
pub(super) type Pending = Vec<(Part, SocketAddr, TcpListener)>;

/// What new listeners need.
#[derive(Debug)]
pub(crate) struct ApiParts<'a> {
    pub(crate) all: &'a BTreeMap<Part, Arc<dyn Api>>,
    /// Turns true when the process is about to end.
    pub(crate) draining: &'a watch::Receiver<bool>,
}

impl Apis {
    /// Binds what the configuration wants and isn't there yet; `has_port` tells whether a port is one of
    /// ours.
    pub(super) fn bind(
        &self,
        config: &Config,
        inherited: &mut Inherited,
        has_port: impl Fn(SocketAddr) -> bool,
    ) -> Result<Pending, Problem> {
        let mut pending = Pending::new();
        for (part, key, listen) in config.apis() {
            if self.0.get(&part).is_some_and(|one| one.listen == listen) {
                continue;
            }
            let given = inherited.take(part, listen);
            let socket = bind::api(listen, given, has_port(listen));
            let socket = socket.map_err(|error| problem(key.to_owned(), listen, &error))?;
            pending.push((part, listen, socket));
        }
        Ok(pending)
    }

    /// Serves what was bound, and stops what the configuration doesn't name any more.
    pub(super) fn apply(
        &mut self,
        pending: Pending,
        config: &Config,
        parts: &ApiParts<'_>,
    ) -> io::Result<()> {
        let limits = Limits {
            connections_max: config.admin.connections_max,
            idle_timeout: config.admin.idle_timeout.get(),
        };
        for (part, listen, socket) in pending {
            let Some(api) = parts.all.get(&part) else {
                continue;
            };
            let (name, kept) = (api.name(), Kept::of(part, &socket)?);
            let draining = parts.draining.clone();
            let listener = Listener::start(socket, limits, draining, Arc::clone(api))?;
            tracing::info!(listen = %listener.address(), "{name} api listens");
            let serving = Serving {
                listen,
                listener,
                kept,
            };
            self.0.insert(part, serving);
        }
        let wanted = config.apis();
        self.0
            .retain(|part, _| wanted.iter().any(|(one, ..)| one == part));
        Ok(())
    }

    /// Returns where an API really listens.
    pub(super) fn address(&self, part: Part) -> Option<SocketAddr> {
        self.0.get(&part).map(|one| one.listener.address())
    }

    /// Lists where all of them really listen.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.values().map(|one| one.listener.address())
    }

    /// Returns every socket once more, with what it is for and where it listens by the configuration.
    pub(super) fn sockets(&self) -> io::Result<Vec<(Part, SocketAddr, OwnedFd)>> {
        let mut sockets = Vec::new();
        for serving in self.0.values() {
            let copies = serving.kept.copies()?.into_iter();
            sockets.extend(copies.map(|(part, socket)| (part, serving.listen, socket)));
        }
        Ok(sockets)
    }

    /// Accepts nobody more, and waits until all who are connected have left.
    pub(super) async fn drain(&mut self) {
        for serving in std::mem::take(&mut self.0).into_values() {
            drop(serving.kept);
            serving.listener.drain().await;
        }
    }
}
