//! Answers over UDP: a loop that takes, answers and sends datagrams by the batch.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::UdpSocket,
    os::fd::{AsRawFd, RawFd},
    sync::Arc,
    time::Duration,
};

use arc_swap::{ArcSwap, Cache};
use nix::libc;
use tokio::{io::unix::AsyncFd, time::Instant};

use crate::{
    Counters, Outcome, Request, Transport, Zones,
    batch::{self, BATCH, Batch},
    clock, respond,
};
use gate::Gate;

mod gate;

/// How long the loop rests when the system is out of memory for it.
const PAUSE: Duration = Duration::from_millis(10);

/// How many batches are taken in a row before the worker's other tasks have their turn.
const BATCHES_IN_A_ROW: u32 = 8;

/// Answers the queries that come by `socket`, until the future is dropped.
///
/// It is meant for a worker's current-thread runtime: nothing is allocated, locked, logged or
/// handed over for a query. A batch sees one version of the zones.
///
/// # Errors
///
/// Returns an error when the socket is of no more use.
pub async fn serve_udp(
    socket: UdpSocket,
    zones: Arc<ArcSwap<Zones>>,
    counters: Arc<Counters>,
) -> io::Result<Infallible> {
    let mut inlet = Inlet::new(socket)?;
    let fd = inlet.socket.get_ref().as_raw_fd();
    let mut zones = Cache::new(zones);
    let mut batch = Batch::new();
    let mut random = fastrand::Rng::new();
    let mut gate = Gate::default();
    let start = Instant::now();
    loop {
        if let Err(error) = inlet.take(&mut batch).await {
            rest_after(error).await?;
            continue;
        }
        let received = Instant::now();
        let zones = zones.load();
        let now = clock::now();
        gate.open(&zones.policy().rate_limit, received - start);
        let answers = batch.answer(|message, client, out| {
            let request = Request {
                message,
                client: client.ip(),
                transport: Transport::Udp,
                now,
                seed: random.u64(..),
            };
            let outcome = respond(zones, &request, out);
            counters.count_query(Transport::Udp, outcome);
            let outcome = gate.pass(zones, &request, outcome, out, &counters);
            counters.count_answer(outcome);
            match outcome {
                Outcome::Answered { bytes, .. } => bytes,
                Outcome::Dropped => 0,
            }
        });
        if answers > 0 {
            counters.count_duration(Transport::Udp, received.elapsed(), answers);
        }
        send(&mut batch, fd, answers, &counters);
    }
}

/// Takes batches from a socket, and no more turns than are its due.
struct Inlet {
    socket: AsyncFd<UdpSocket>,
    /// How many batches were taken since the runtime last had the thread.
    in_a_row: u32,
}

impl Inlet {
    fn new(socket: UdpSocket) -> io::Result<Self> {
        Ok(Self {
            socket: batch::watch(socket)?,
            in_a_row: 0,
        })
    }

    /// Waits for datagrams and takes those that are there; returns how many.
    ///
    /// Fewer than a whole batch are all there were. Then the next call waits to be told of more,
    /// instead of asking in vain: the system tells of each datagram that comes after.
    async fn take(&mut self, batch: &mut Batch) -> io::Result<usize> {
        if self.in_a_row == BATCHES_IN_A_ROW {
            self.in_a_row = 0;
            tokio::task::yield_now().await;
        }
        loop {
            let Self { socket, in_a_row } = self;
            let ready = poll_fn(|context| {
                let ready = socket.poll_read_ready(context);
                if ready.is_pending() {
                    *in_a_row = 0;
                }
                ready
            });
            let mut ready = ready.await?;
            let fd = ready.get_ref().get_ref().as_raw_fd();
            let Ok(received) = ready.try_io(|_| batch.receive(fd)) else {
                continue;
            };
            self.in_a_row += 1;
            let count = received?;
            if count < BATCH {
                ready.clear_ready();
            }
            return Ok(count);
        }
    }
}

/// Sends answers; what the system doesn't take now is given up, for the client will ask again.
fn send(batch: &mut Batch, fd: RawFd, answers: usize, counters: &Counters) {
    let mut done = 0;
    while done < answers {
        match batch.send(fd, done) {
            Ok(sent) if sent > 0 => done += sent,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // It is the first one that couldn't be sent; there may be a way to the next.
            Ok(_) | Err(_) => {
                counters.count_unsent();
                done += 1;
            }
        }
    }
}

/// Waits a moment where that can help.
async fn rest_after(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::EINTR) => Ok(()),
        Some(libc::ENOMEM | libc::ENOBUFS) => {
            tokio::time::sleep(PAUSE).await;
            Ok(())
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod rate_limit_tests;
#[cfg(test)]
mod tests;
