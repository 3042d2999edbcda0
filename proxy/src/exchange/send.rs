//! The request's way to the endpoint.

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    select,
};

use super::{Fault, LARGE_BUFFER_BYTES, Outgoing, Progress, left};
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
    mut client: impl AsyncRead + AsRef<TcpStream> + Unpin,
    mut upstream: impl AsyncWrite + Unpin,
    from_client: &mut Buffer,
    outgoing: &mut Outgoing,
    progress: &Progress<'_>,
) -> Result<(), SendFault> {
    let mut written = 0;
    loop {
        while written < outgoing.bytes.len() {
            let rest = &outgoing.bytes[written..];
            written += give(client.as_ref(), &mut upstream, rest, progress).await?;
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
            let piece = &from_client.filled()[..bytes];
            let bytes = give(client.as_ref(), &mut upstream, piece, progress).await?;
            from_client.consume(bytes);
            outgoing.body.passed(bytes);
            progress.extend();
        }
    }
}

/// Writes what the endpoint takes, while the client is there; returns how many bytes.
async fn give(
    client: &TcpStream,
    upstream: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    progress: &Progress<'_>,
) -> Result<usize, SendFault> {
    select! {
        biased;
        written = write(upstream, bytes) => written.map_err(|_| SendFault::Upstream),
        // Its end may be behind what it has sent: only a reset is looked for.
        () = left(client, false) => {
            Err(SendFault::Client(progress.aborted(Error::ClientAborted)))
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
