//! Answers over UDP: a loop that takes, answers and sends datagrams by the batch.

use std::{
    convert::Infallible,
    io,
    os::fd::{AsRawFd, RawFd},
    sync::Arc,
    time::Duration,
};

use arc_swap::{ArcSwap, Cache};
use nix::libc;

use crate::{
    Counters, Outcome, Transport, Zones,
    batch::{self, BATCH, Batch},
    respond,
};

/// How long the loop rests when the system is out of memory for it.
const PAUSE: Duration = Duration::from_millis(10);

/// Answers the queries that come by `socket`, until the future is dropped.
///
/// It is meant for a worker's current-thread runtime: nothing is allocated, locked, logged or
/// handed over for a query. A batch sees one version of the zones.
///
/// # Errors
///
/// Returns an error when the socket is of no more use.
pub async fn serve_udp(
    socket: std::net::UdpSocket,
    zones: Arc<ArcSwap<Zones>>,
    counters: Arc<Counters>,
) -> io::Result<Infallible> {
    let socket = batch::watch(socket)?;
    let fd = socket.get_ref().as_raw_fd();
    let mut zones = Cache::new(zones);
    let mut batch = Batch::new();
    let mut random = fastrand::Rng::new();
    loop {
        let received = socket.readable().await?.try_io(|_| batch.receive(fd));
        let count = match received {
            Ok(Ok(count)) => count,
            Ok(Err(error)) => {
                rest_after(error).await?;
                continue;
            }
            Err(_nothing_there) => continue,
        };
        let zones = zones.load();
        let answers = batch.answer(|query, out| {
            let outcome = respond(zones, query, out, Transport::Udp, random.u64(..));
            counters.count(Transport::Udp, outcome);
            match outcome {
                Outcome::Answered { bytes, .. } => bytes,
                Outcome::Dropped => 0,
            }
        });
        send(&mut batch, fd, answers, &counters);
        if count == BATCH {
            // More are waiting, and so may be the worker's other tasks.
            tokio::task::yield_now().await;
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
mod tests;
