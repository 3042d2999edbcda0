//! Reading into and writing from the buffers that connections use.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    net::Shutdown,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{http::Buffer, timer::Timer};

/// The most bytes that are read and thrown away after a final response.
const LINGER_BYTES_MAX: usize = 4 << 20;

/// How many bytes are thrown away at a time.
const DISCARDED_BYTES: usize = 4 << 10;

/// How long a client may take to read a final response.
const LINGER: Duration = Duration::from_secs(2);

/// Reads what there is; 0 bytes are the end. The buffer must have room.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Buffer,
) -> io::Result<usize> {
    poll_fn(|cx| poll_read(stream, cx, buffer)).await
}

/// Reads what there is, as [`read`] does.
pub(crate) fn poll_read(
    stream: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    buffer: &mut Buffer,
) -> Poll<io::Result<usize>> {
    let mut target = ReadBuf::new(buffer.spare());
    ready!(Pin::new(stream).poll_read(cx, &mut target))?;
    let bytes = target.filled().len();
    buffer.advance(bytes);
    Poll::Ready(Ok(bytes))
}

/// Writes some of the bytes, at least one.
pub(crate) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
) -> io::Result<usize> {
    match poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes)).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        written => Ok(written),
    }
}

/// Writes all of the bytes.
pub(crate) async fn write_all(
    stream: &mut (impl AsyncWrite + Unpin),
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = write(stream, bytes).await?;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// Ends a connection so that the last response isn't lost: a close with bytes unread is a reset,
/// and the system of a client that is reset may throw away what its program hasn't read yet.
pub(crate) async fn linger(stream: &mut TcpStream, timer: &Timer) {
    if SockRef::from(&*stream).shutdown(Shutdown::Write).is_err() {
        return;
    }
    timer.set(LINGER);
    let mut left = LINGER_BYTES_MAX;
    let discard = poll_fn(|cx| {
        let mut room = [MaybeUninit::uninit(); DISCARDED_BYTES];
        loop {
            let mut target = ReadBuf::uninit(&mut room);
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut target));
            let bytes = target.filled().len();
            if read.is_err() || bytes == 0 || bytes >= left {
                return Poll::Ready(());
            }
            left -= bytes;
        }
    });
    // A client that takes longer is closed on all the same.
    timer.guard(discard).await.ok();
}
