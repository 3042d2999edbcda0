//! Sockets once more, for another process to go on with them.

use std::{
    io,
    net::TcpListener,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{bind::Pair, inherited::Part};

/// Second descriptors of the sockets that are in use, for another process to go on with them.
///
/// They go before the first ones: a listener that nobody accepts from would take connections still.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<(Part, OwnedFd)>>>);

impl Kept {
    /// Keeps a listener's socket.
    pub(super) fn of(part: Part, socket: &TcpListener) -> io::Result<Self> {
        let socket = socket.as_fd().try_clone_to_owned()?;
        Ok(Self(Arc::new(Mutex::new(vec![(part, socket)]))))
    }

    /// Keeps a pair instead of what was kept before.
    pub(super) fn keep_pair(&self, (udp, tcp): &Pair) -> io::Result<()> {
        let udp = udp.as_fd().try_clone_to_owned()?;
        let tcp = tcp.as_fd().try_clone_to_owned()?;
        self.replace(vec![(Part::DnsUdp, udp), (Part::DnsTcp, tcp)]);
        Ok(())
    }

    /// Lets go of the sockets.
    pub(super) fn drop_all(&self) {
        self.replace(Vec::new());
    }

    fn replace(&self, sockets: Vec<(Part, OwnedFd)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sockets;
    }

    /// Returns each once more, for another process.
    pub(super) fn copies(&self) -> io::Result<Vec<(Part, OwnedFd)>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let copies = kept.iter();
        copies
            .map(|(part, socket)| Ok((*part, socket.try_clone()?)))
            .collect()
    }
}
