//! What follows an upgrade: bytes both ways, of which the proxy knows nothing.

use std::{io, pin::Pin, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    http::Buffer,
    socket::{read, write},
    timer::Timer,
};

/// Carries bytes until both sides have ended, one has failed, or none came for `timeout`.
///
/// The buffers may hold bytes that have come already.
pub(crate) async fn run(
    client: &mut TcpStream,
    upstream: &mut TcpStream,
    from_client: &mut Buffer,
    from_upstream: &mut Buffer,
    timer: &Timer,
    timeout: Duration,
) {
    timer.set(timeout);
    let (client_read, client_write) = client.split();
    let (upstream_read, upstream_write) = upstream.split();
    let up = carry(client_read, upstream_write, from_client, timer, timeout);
    let down = carry(upstream_read, client_write, from_upstream, timer, timeout);
    // Whichever way it ends, both connections are closed and there is nobody to tell.
    timer.guard(async { tokio::try_join!(up, down) }).await.ok();
}

/// Carries bytes one way, and the end too: the other way may go on.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    buffer: &mut Buffer,
    timer: &Timer,
    timeout: Duration,
) -> io::Result<()> {
    loop {
        while !buffer.is_empty() {
            let bytes = write(&mut to, buffer.filled()).await?;
            buffer.consume(bytes);
            timer.set(timeout);
        }
        if read(&mut from, buffer).await? == 0 {
            return Pin::new(&mut to).shutdown().await;
        }
        timer.set(timeout);
    }
}
