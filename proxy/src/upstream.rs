//! Connections to endpoints, kept from one request to the next.

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    mem::MaybeUninit,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use foldhash::fast::RandomState;
use registry::ServiceName;
use rustix::io::Errno;
use socket2::SockRef;
use tokio::{net::TcpStream, time::Instant};

use crate::{
    Endpoint, RouteTable,
    metrics::{Metrics, Tally},
};

/// Keeps one worker's unused connections.
#[derive(Debug, Default)]
pub(crate) struct Upstreams {
    /// By the endpoint's place in memory, which is nobody else's while the slot holds on to it.
    slots: RefCell<HashMap<*const Endpoint, Rc<Slot>, RandomState>>,
}

/// Keeps what one worker has of one endpoint.
#[derive(Debug)]
pub(crate) struct Slot {
    endpoint: Arc<Endpoint>,
    service: ServiceName,
    pub(crate) tally: Arc<Tally>,
    /// The one used last is at the end, and is used first.
    idle: RefCell<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    stream: TcpStream,
    since: Instant,
}

impl Upstreams {
    /// Returns the slot of an endpoint, a new one where there is none.
    pub(crate) fn slot(
        &self,
        endpoint: &Arc<Endpoint>,
        service: &ServiceName,
        metrics: &Metrics,
    ) -> Rc<Slot> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.entry(Arc::as_ptr(endpoint)).or_insert_with(|| {
            let of = [service.as_str().into(), endpoint.id.as_str().into()];
            Rc::new(Slot {
                endpoint: Arc::clone(endpoint),
                service: service.clone(),
                tally: metrics.instances.tally(of),
                idle: RefCell::default(),
            })
        });
        Rc::clone(slot)
    }

    /// Closes what was unused for too long and what the other side has closed; returns how many are
    /// left.
    pub(crate) fn sweep(&self, now: Instant, idle_max: Duration) -> usize {
        let slots = self.slots.borrow();
        slots.values().map(|slot| slot.sweep(now, idle_max)).sum()
    }

    /// Closes what leads to endpoints that get no more requests.
    pub(crate) fn leave(&self, table: &RouteTable) {
        let mut slots = self.slots.borrow_mut();
        slots.retain(|_, slot| table.contains(&slot.service, &slot.endpoint));
    }
}

impl Slot {
    /// Takes a connection on which the endpoint has sent nothing since, neither an end nor bytes.
    ///
    /// The runtime knows what had come in when it last asked the system. For a request that must not
    /// be sent twice (`once`) the system is asked again: an end that came meanwhile would be its
    /// failure, where another request goes to another connection.
    pub(crate) fn take(&self, once: bool) -> Option<TcpStream> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let stream = idle.pop()?.stream;
            if is_open(&stream) && (!once || is_silent(&stream)) {
                return Some(stream);
            }
        }
    }

    /// Keeps a connection, unless `most` are kept already.
    ///
    /// Where the endpoint gets no more requests, it is closed when the slot is.
    pub(crate) fn put(&self, stream: TcpStream, now: Instant, most: usize) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < most {
            idle.push(Idle { stream, since: now });
        }
    }

    fn sweep(&self, now: Instant, idle_max: Duration) -> usize {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|idle| {
            now.saturating_duration_since(idle.since) < idle_max && is_open(&idle.stream)
        });
        idle.len()
    }
}

/// Connects to one address of an endpoint.
///
/// # Errors
///
/// Returns what the system says.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Tells whether a connection couldn't be made for want of room on this machine (descriptors, ports,
/// memory), which says nothing of who is at the other end.
pub(crate) fn is_local(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::ADDRNOTAVAIL | Errno::NOBUFS | Errno::NOMEM)
    )
}

/// Tells whether the runtime knows of nothing that came in: neither an end nor bytes nobody asked
/// for.
fn is_open(stream: &TcpStream) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    match stream.poll_read_ready(&mut cx) {
        Poll::Pending => true,
        // Perhaps only what is left of the last read; asking makes sure and clears it.
        Poll::Ready(Ok(())) => would_block(stream.try_read(&mut [0])),
        Poll::Ready(Err(_)) => false,
    }
}

/// Tells whether the kernel has nothing that came in.
fn is_silent(stream: &TcpStream) -> bool {
    would_block(SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]))
}

fn would_block(result: io::Result<usize>) -> bool {
    result.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}
