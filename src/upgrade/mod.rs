//! The change to another process, such as one of a newer program, without a loss.
//!
//! The old process starts the new one with a Unix socket as its standard input. By that goes every
//! listening socket, so that nothing that waits in one is lost: neither connections nor queries. The
//! new process reads its configuration and syncs with its sources while the old one serves; the
//! files of embedded stores, which one process at a time can have open, are handed over last. Then
//! the new process begins to serve, with the same sockets, and says so; and the old one
//! stops to accept, answers what it has and ends. Whatever goes wrong before, the old process goes on.

mod channel;
mod predecessor;
mod successor;
mod sync;

pub(crate) use predecessor::Predecessor;
pub(crate) use successor::Successor;
pub(crate) use sync::sync;

use std::{net::SocketAddr, os::fd::OwnedFd};

use registry::{InstanceId, ServiceName};
use serde::{Deserialize, Serialize};

use crate::inherited::Part;

/// Names the process that has started this one, in the environment.
const VARIABLE: &str = "SIGNPOST_UPGRADE_FROM";

/// What the two processes tell each other.
#[derive(Debug, Serialize, Deserialize)]
enum Message {
    /// A socket comes with this.
    Socket { part: Part, listen: SocketAddr },
    /// An operator wishes that this instance drains.
    Drained {
        service: ServiceName,
        id: InstanceId,
    },
    /// All sockets, and all that drain, were sent.
    State(State),
    /// The new process is about to open the stores.
    ReleaseStores,
    /// The old process has closed them.
    StoresReleased,
    /// The new process serves.
    Ready,
}

/// What the new process has to know of the old one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// The newest version it has given out.
    pub(crate) version: u64,
    /// The sources that it has read.
    pub(crate) synced: Vec<String>,
    /// What it makes DNS cookies with, if no file says it.
    pub(crate) cookie_secret: [u8; 16],
}

/// What goes to the new process.
#[derive(Debug)]
pub(crate) struct Legacy {
    pub(crate) sockets: Vec<(Part, SocketAddr, OwnedFd)>,
    pub(crate) state: State,
}
