//! The request's way to the endpoint.

use std::mem::MaybeUninit;

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest},
    net::TcpStream,
};

use super::{Fault, LARGE_BUFFER_BYTES, Outgoing, Progress};
use crate::{
    error::Error,
    http::Buffer,
    socket::{read, write},
};

/// Says why the sending of a request has ended.
pub(super) enum SendFault {
    /// The endpoint takes no more; a response may still come.
    Upstream,
    Client(Fault),
}

/// Sends the request: what is there of it, then the rest of the body as it comes.
pub(super) async fn send(
    mut client: impl AsyncRead + Unpin,
    mut upstream: impl AsyncWrite + Unpin,
    from_client: &mut Buffer,
    outgoing: &mut Outgoing,
    progress: &Progress<'_>,
) -> Result<(), SendFault> {
    let mut written = 0;
    loop {
        while written < outgoing.bytes.len() {
            let bytes = write(&mut upstream, &outgoing.bytes[written..]).await;
            written += bytes.map_err(|_| SendFault::Upstream)?;
            progress.sent.set(true);
            if written < outgoing.bytes.len() {
                progress.extend();
            }
        }
        if outgoing.body.is_done() {
            return Ok(());
        }
        if outgoing.bytes.len() > outgoing.kept_bytes_max {
            outgoing.is_repeatable = false;
            progress.is_spent.set(true);
        }
        if !outgoing.is_repeatable {
            outgoing.bytes.clear();
            written = 0;
        }
        more(&mut client, from_client, outgoing, progress).await?;
        while outgoing.streams() && !from_client.is_empty() {
            let bytes = outgoing.body.plain(from_client.filled().len());
            let bytes = write(&mut upstream, &from_client.filled()[..bytes]).await;
            let bytes = bytes.map_err(|_| SendFault::Upstream)?;
            from_client.consume(bytes);
            outgoing.body.passed(bytes);
            progress.extend();
        }
    }
}

/// Returns when a client that waits for its response has left.
///
/// A reset says so. The end of what it sends may be all that it had to say; the configuration tells.
/// Behind the begin of another request such an end isn't seen.
pub(super) async fn left(client: &TcpStream, progress: &Progress<'_>) {
    let mut interest = match progress.terms.abort_on_close {
        true => Interest::ERROR | Interest::READABLE,
        false => Interest::ERROR,
    };
    while let Ok(ready) = client.ready(interest).await {
        if ready.is_error() || ready.is_read_closed() && interest.is_readable() {
            return;
        }
        // Perhaps only what the runtime remembers of the last read; asking makes sure and clears it.
        let peek = || SockRef::from(client).peek(&mut [MaybeUninit::uninit()]);
        match client.try_io(Interest::READABLE, peek) {
            Ok(0) => return,
            Ok(_) => interest = Interest::ERROR,
            Err(_) => {}
        }
    }
}

/// Waits for more of the body; moves it to `outgoing` unless it can go on from where it is.
async fn more(
    client: &mut (impl AsyncRead + Unpin),
    from_client: &mut Buffer,
    outgoing: &mut Outgoing,
    progress: &Progress<'_>,
) -> Result<(), SendFault> {
    loop {
        if !from_client.is_empty() {
            if outgoing.streams() {
                return Ok(());
            }
            let before = outgoing.bytes.len();
            let moved = outgoing.body.transfer(from_client, &mut outgoing.bytes);
            moved.map_err(|malformed| SendFault::Client(progress.fault(malformed.into())))?;
            if outgoing.bytes.len() > before || outgoing.body.is_done() {
                return Ok(());
            }
        }
        // What is left is a piece of a line between chunks, and needs the rest of it.
        if outgoing.body.exceeds(from_client.capacity() as u64) {
            from_client.grow(LARGE_BUFFER_BYTES);
        }
        // Until a client that asks first is told to go on, the next step is the endpoint's.
        progress.awaits_client.set(!progress.awaits_continue.get());
        progress.extend();
        let read = read(client, from_client).await;
        progress.awaits_continue.set(false);
        progress.awaits_client.set(false);
        progress.extend();
        if !read.is_ok_and(|bytes| bytes > 0) {
            return Err(SendFault::Client(progress.aborted(Error::ClientAborted)));
        }
    }
}
