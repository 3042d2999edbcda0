//! Answers over UDP: a loop that takes, answers and sends datagrams by the batch.

mod gate;

use std::{
    io,
    net::{Shutdown, UdpSocket},
    os::fd::{AsRawFd, RawFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use arc_swap::{ArcSwap, Cache};
use nix::libc;
use socket2::SockRef;
use tokio::{sync::oneshot, time::Instant};

use crate::{
    Counters, Outcome, Request, Transport, Zones,
    batch::{BATCH, Batch},
    clock,
    forward::Reply,
    respond::{pass_on, respond},
};
use gate::Gate;

/// How many batches are answered after the end at the most: what a receive buffer has room for. More
/// keep coming while the socket is open.
const LAST_BATCHES: usize = 256;

/// How long the loop rests when the system is out of memory for it.
const PAUSE: Duration = Duration::from_millis(10);

/// How long the loop waits for a query before it looks whether it is to end.
///
/// A socket that another process goes on with can't be shut down to wake who reads from it.
const WAIT: Duration = Duration::from_millis(500);

/// Answers the queries that come by a socket, on a thread of its own, until it is dropped.
///
/// The thread waits in the call that takes the datagrams: a runtime would wait in a call of its own
/// first, for each batch. Nothing is allocated, locked, logged or handed over for a query, and a
/// batch sees one version of the zones.
#[derive(Debug)]
pub struct UdpServer {
    socket: Arc<UdpSocket>,
    stopped: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
    failure: oneshot::Receiver<io::Error>,
}

impl UdpServer {
    /// Starts to answer; `counters` are for this server alone.
    ///
    /// # Errors
    ///
    /// Returns an error when the system gives no more threads, or the socket is none.
    pub fn start(
        socket: UdpSocket,
        zones: Arc<ArcSwap<Zones>>,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        socket.set_read_timeout(Some(WAIT))?;
        let socket = Arc::new(socket);
        let stopped = Arc::new(AtomicBool::new(false));
        let (failed, failure) = oneshot::channel();
        let serve = {
            let (socket, stopped) = (Arc::clone(&socket), Arc::clone(&stopped));
            move || {
                if let Err(error) = serve(&socket, zones, &counters, &stopped) {
                    // Nobody waits for it any more when the server is being dropped.
                    failed.send(error).ok();
                }
            }
        };
        let thread = thread::Builder::new().name("dns-udp".to_owned());
        Ok(Self {
            socket,
            stopped,
            thread: Some(thread.spawn(serve)?),
            failure,
        })
    }

    /// Waits until the socket is of no more use; returns why.
    pub async fn failed(&mut self) -> io::Error {
        let failure = (&mut self.failure).await;
        failure.unwrap_or_else(|_| io::Error::other("the thread has panicked"))
    }

    /// Ends without closing the socket to queries, which another process with the same socket takes.
    ///
    /// Every query that was taken here is answered when it returns.
    pub async fn release(mut self) {
        self.stopped.store(true, Ordering::Release);
        // The end is told by the sender that goes with the thread.
        (&mut self.failure).await.ok();
        self.join();
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a thread for DNS over UDP has panicked");
        }
    }
}

impl Drop for UdpServer {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stopped.store(true, Ordering::Release);
            // It wakes who reads; that the socket isn't connected is said all the same.
            SockRef::from(&*self.socket).shutdown(Shutdown::Read).ok();
            self.join();
        }
    }
}

/// Answers until it is stopped; from then on receiving doesn't wait.
fn serve(
    socket: &Arc<UdpSocket>,
    zones: Arc<ArcSwap<Zones>>,
    counters: &Counters,
    stopped: &AtomicBool,
) -> io::Result<()> {
    let fd = socket.as_raw_fd();
    let mut zones = Cache::new(zones);
    let mut batch = Batch::new();
    let mut random = fastrand::Rng::new();
    let mut gate = Gate::default();
    let start = Instant::now();
    let mut last = 0;
    while last < LAST_BATCHES {
        last += usize::from(stopped.load(Ordering::Acquire));
        let queries = match batch.receive(fd) {
            Ok(queries) => queries,
            // Nobody has asked for a while.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match last {
                0 => continue,
                _ => break,
            },
            Err(error) => {
                rest_after(error)?;
                continue;
            }
        };
        let received = Instant::now();
        let zones = zones.load();
        let now = clock::now();
        gate.open(&zones.policy().rate_limit, received - start);
        let answers = batch.answer(|message, client, way, out| {
            let request = Request {
                message,
                client: client.ip(),
                transport: Transport::Udp,
                keepalive: None,
                now,
                seed: random.u64(..),
            };
            let outcome = respond(zones, &request, out);
            counters.count_query(Transport::Udp, outcome);
            let outcome = gate.pass(zones, &request, outcome, out, counters);
            counters.count_answer(outcome);
            match outcome {
                Outcome::Answered { bytes, .. } => bytes,
                Outcome::Dropped => 0,
                Outcome::Forwarded { .. } => {
                    let reply = Reply::Udp {
                        socket: Arc::clone(socket),
                        client,
                        local: way.local(),
                    };
                    pass_on(zones, &request, reply);
                    0
                }
            }
        });
        if answers > 0 {
            counters.count_duration(Transport::Udp, received.elapsed(), answers);
        }
        send(&mut batch, fd, answers, counters);
        // What had come before the end is answered too.
        if last > 0 && queries < BATCH {
            break;
        }
    }
    Ok(())
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
fn rest_after(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::EINTR) => Ok(()),
        Some(libc::ENOMEM | libc::ENOBUFS) => {
            thread::sleep(PAUSE);
            Ok(())
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod rate_limit_tests;
#[cfg(test)]
mod tests;
