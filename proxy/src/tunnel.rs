//! What follows an upgrade: bytes both ways, of which the proxy knows nothing.

use std::{
    cell::Cell,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use crate::{
    forward::Switched,
    gate::Ticket,
    http::Buffer,
    socket::{read, write},
    timer::Timer,
};

/// How long a tunnel goes on when its listener drains: it has no requests after which it could end.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// How long a tunnel waits for a byte after one side has ended.
const HALF_CLOSED: Duration = Duration::from_secs(30);

/// Holds the time that a tunnel has.
#[derive(Debug)]
struct Pace<'t> {
    timer: &'t Timer,
    /// Without a byte.
    timeout: Cell<Duration>,
    /// When it ends in any case.
    end: Cell<Option<Instant>>,
}

/// Carries bytes until both sides have ended, one has failed, none came for `timeout`, the listener
/// has been draining for [`DRAIN_GRACE`], or the endpoint is closed.
///
/// The buffers may hold bytes that have come already.
pub(crate) async fn run(
    client: &mut TcpStream,
    from_client: &mut Buffer,
    switched: &mut Switched,
    timer: &Timer,
    timeout: Duration,
    ticket: &Ticket,
) {
    let pace = Pace {
        timer,
        timeout: Cell::new(timeout),
        end: Cell::new(None),
    };
    pace.extend();
    let (client_read, client_write) = client.split();
    let (upstream_read, upstream_write) = switched.upstream.split();
    let from_upstream = &mut switched.input;
    let endpoint = switched.in_flight.endpoint();
    let _counted = switched.in_flight.tunnel();
    let up = carry(client_read, upstream_write, from_client, &pace);
    let down = carry(upstream_read, client_write, from_upstream, &pace);
    let mut both = pin!(async { tokio::try_join!(up, down) });
    // Whichever way it ends, both connections are closed and there is nobody to tell.
    poll_fn(|cx| {
        if endpoint.is_closed() || both.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        ticket.register(cx.waker());
        if ticket.is_closing() && pace.end.get().is_none() {
            pace.end.set(Some(Instant::now() + DRAIN_GRACE));
            pace.extend();
        }
        timer.poll(cx).map(|_| ())
    })
    .await;
}

impl Pace<'_> {
    /// Gives time for the next byte.
    fn extend(&self) {
        let now = Instant::now();
        let timeout = self.timeout.get();
        let left = self.end.get().map(|end| end.saturating_duration_since(now));
        self.timer
            .set_from(now, left.map_or(timeout, |left| left.min(timeout)));
    }
}

/// Carries bytes one way, and the end too: the other way may go on.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    buffer: &mut Buffer,
    pace: &Pace<'_>,
) -> io::Result<()> {
    loop {
        while !buffer.is_empty() {
            let bytes = write(&mut to, buffer.filled()).await?;
            buffer.consume(bytes);
            pace.extend();
        }
        if read(&mut from, buffer).await? == 0 {
            pace.timeout.set(pace.timeout.get().min(HALF_CLOSED));
            pace.extend();
            return Pin::new(&mut to).shutdown().await;
        }
        pace.extend();
    }
}
