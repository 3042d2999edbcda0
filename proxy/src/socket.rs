//! Reading into and writing from the buffers that connections use.

use std::{
    future::poll_fn,
    io,
    net::Shutdown,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{http::Buffer, timer::Timer, worker::BUFFER_BYTES};

/// The most bytes that are read and thrown away after a final response.
const LINGER_BYTES_MAX: usize = 4 << 20;

/// How long a client may take to read a final response.
const LINGER: Duration = Duration::from_secs(2);

/// Reads what there is; 0 bytes are the end. The buffer must have room.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Buffer,
) -> io::Result<usize> {
    let bytes = poll_fn(|cx| {
        let mut target = ReadBuf::new(buffer.spare());
        Pin::new(&mut *stream)
            .poll_read(cx, &mut target)
            .map_ok(|()| target.filled().len())
    })
    .await?;
    buffer.advance(bytes);
    Ok(bytes)
}

/// Reads what there is without waiting; `None` when there is nothing.
pub(crate) async fn read_now(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Buffer,
) -> io::Result<Option<usize>> {
    let mut read = pin!(read(stream, buffer));
    poll_fn(|cx| match read.as_mut().poll(cx) {
        Poll::Ready(read) => Poll::Ready(read.map(Some)),
        Poll::Pending => Poll::Ready(Ok(None)),
    })
    .await
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
pub(crate) async fn linger(stream: &mut TcpStream, buffer: &mut Buffer, timer: &Timer) {
    if SockRef::from(&*stream).shutdown(Shutdown::Write).is_err() {
        return;
    }
    timer.set(LINGER);
    let mut left = LINGER_BYTES_MAX;
    let discard = async {
        loop {
            buffer.clear();
            buffer.grow(BUFFER_BYTES);
            match read(stream, buffer).await {
                Ok(bytes) if bytes > 0 && bytes < left => left -= bytes,
                _ => return,
            }
        }
    };
    // A client that takes longer is closed on all the same.
    timer.guard(discard).await.ok();
}
