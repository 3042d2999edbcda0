//! The response's way to the client.

use std::borrow::Cow;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Instant,
};

use super::{Changes, Fault, LARGE_BUFFER_BYTES, Progress, Reply};
use crate::{
    error::Error,
    http::{
        Body, Buffer, Malformed, Scan, Version, head::scan, request::slots, response::Response,
    },
    route::relocation::Relocation,
    socket::{read, write},
    splice::{PIPE_BYTES, Pipe},
};

/// The most interim responses to one request.
const INTERIM_MAX: usize = 64;

/// How many bytes of a body must be to come for them to be spliced: for fewer, pipes cost more than
/// copies.
const SPLICED_MIN: u64 = 128 << 10;

/// Receives the response and passes it on.
pub(super) async fn receive(
    mut upstream: impl AsyncRead + AsRef<TcpStream> + Unpin,
    mut client: impl AsyncWrite + AsRef<TcpStream> + Unpin,
    buffer: &mut Buffer,
    out: &mut Vec<u8>,
    progress: &Progress<'_>,
    is_closing: impl Fn() -> bool,
) -> Result<Reply, Fault> {
    let next = read_last(
        &mut upstream,
        &mut client,
        buffer,
        out,
        progress,
        is_closing,
    )
    .await?;
    let Next::Final(mut body, mut reply) = next else {
        let now = Instant::now();
        return Ok(Reply {
            status: 101,
            bytes: 0,
            keeps_client: false,
            keeps_upstream: false,
            answered: now,
            sent: None,
            ended: now,
        });
    };
    if progress.declines(reply.status) {
        let status = reply.status;
        return Err(Fault::Unwanted { status });
    }
    // Nothing was written yet, so there is still a better answer than half a response.
    body.transfer(buffer, out)
        .map_err(|_| Fault::Failed(Error::UpstreamMalformed))?;
    progress.status.set(Some(reply.status));
    // From here on the client has to take something.
    let stream_idle = progress.terms.stream_idle;
    progress.timer.set_from(reply.answered, stream_idle);
    let begun_whole = body.is_done();
    pass_on(&mut upstream, &mut client, buffer, out, &mut body, progress).await?;
    if !begun_whole {
        reply.ended = Instant::now();
    }
    reply.bytes = body.bytes();
    reply.keeps_upstream &= buffer.is_empty() && progress.request_done.get();
    Ok(reply)
}

/// Reads heads and passes them on until the one after which there are no more; that of a final
/// response is left in `out`.
async fn read_last(
    upstream: &mut (impl AsyncRead + Unpin),
    client: &mut (impl AsyncWrite + Unpin),
    buffer: &mut Buffer,
    out: &mut Vec<u8>,
    progress: &Progress<'_>,
    is_closing: impl Fn() -> bool,
) -> Result<Next, Fault> {
    for answered in 0..=INTERIM_MAX {
        let head = read_head(upstream, buffer, progress, answered > 0).await?;
        let next = read_response(&buffer.filled()[..head], out, progress, &is_closing);
        let next = next.map_err(|_| Fault::Failed(Error::UpstreamMalformed))?;
        buffer.consume(head);
        match next {
            Next::Final(..) => return Ok(next),
            // The time for the response goes on: it isn't here yet. But the endpoint has the request.
            Next::Interim { continues } => {
                progress.is_spent.set(true);
                // Until it is out whole no other response can be sent.
                progress.status.set(Some(100));
                write_all(client, out, progress).await?;
                progress.status.set(None);
                if continues {
                    progress.goes_on();
                }
            }
            Next::Switched => {
                progress.status.set(Some(101));
                write_all(client, out, progress).await?;
                return Ok(next);
            }
        }
    }
    Err(Fault::Failed(Error::UpstreamMalformed))
}

/// Passes the rest of a body on; `out` holds the head and what was there of the body.
async fn pass_on(
    upstream: &mut (impl AsyncRead + AsRef<TcpStream> + Unpin),
    client: &mut (impl AsyncWrite + AsRef<TcpStream> + Unpin),
    buffer: &mut Buffer,
    out: &mut Vec<u8>,
    body: &mut Body,
    progress: &Progress<'_>,
) -> Result<(), Fault> {
    loop {
        progress.bytes.set(body.bytes());
        write_all(client, out, progress).await?;
        while body.is_plain() && !buffer.is_empty() {
            let bytes = body.plain(buffer.filled().len());
            let bytes = give(client, &buffer.filled()[..bytes], progress).await?;
            buffer.consume(bytes);
            body.passed(bytes);
            progress.bytes.set(body.bytes());
            progress.extend();
        }
        if body.is_done() {
            return Ok(());
        }
        if body.is_plain() && body.exceeds(SPLICED_MIN) {
            // Without a pipe it goes on as for small ones.
            if let Ok(mut pipe) = progress.pipes.take() {
                splice_on(
                    upstream.as_ref(),
                    client.as_ref(),
                    &mut pipe,
                    body,
                    progress,
                )
                .await?;
                progress.pipes.give(pipe);
                return Ok(());
            }
        }
        if body.exceeds(buffer.capacity() as u64) {
            buffer.grow(LARGE_BUFFER_BYTES);
        }
        progress.extend();
        match read(upstream, buffer).await {
            Ok(0) if body.end(out) => {}
            Ok(bytes) if bytes > 0 => {}
            _ => return Err(progress.aborted(Error::UpstreamTruncated)),
        }
        if !body.is_plain() {
            let moved = body.transfer(buffer, out);
            moved.map_err(|_| progress.aborted(Error::UpstreamMalformed))?;
        }
    }
}

/// Passes the rest of a plain body on, past this program.
async fn splice_on(
    upstream: &TcpStream,
    client: &TcpStream,
    pipe: &mut Pipe,
    body: &mut Body,
    progress: &Progress<'_>,
) -> Result<(), Fault> {
    while !body.is_done() {
        progress.extend();
        match pipe.fill(upstream, body.plain(PIPE_BYTES)).await {
            Ok(0) if body.end(&mut Vec::new()) => {}
            Ok(bytes) if bytes > 0 => {}
            _ => return Err(progress.aborted(Error::UpstreamTruncated)),
        }
        while pipe.filled() > 0 {
            progress.awaits_reader.set(true);
            let bytes = pipe.drain(client).await;
            progress.awaits_reader.set(false);
            body.passed(bytes.map_err(|_| progress.aborted(Error::ClientAborted))?);
            progress.bytes.set(body.bytes());
            progress.extend();
        }
    }
    Ok(())
}

/// Says what a head of a response leads to.
enum Next {
    /// Another head.
    Interim {
        /// It was a 100.
        continues: bool,
    },
    /// A tunnel.
    Switched,
    Final(Body, Reply),
}

/// Reads until the head of a response is there; returns its length.
///
/// `answered` when there was an interim one: then the endpoint has the request, and no other one
/// may get it.
async fn read_head(
    upstream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Buffer,
    progress: &Progress<'_>,
    answered: bool,
) -> Result<usize, Fault> {
    let malformed = Fault::Failed(Error::UpstreamMalformed);
    let mut first = !answered && buffer.is_empty();
    let mut scanned = 0;
    loop {
        match scan(buffer.filled(), scanned).map_err(|_| malformed)? {
            Scan::Complete(bytes) if bytes <= progress.terms.header_bytes => return Ok(bytes),
            Scan::Complete(_) => return Err(malformed),
            Scan::Partial { scanned: bytes } => scanned = bytes,
        }
        if buffer.filled().len() > progress.terms.header_bytes {
            return Err(malformed);
        }
        if buffer.spare().is_empty() {
            buffer.grow(buffer.capacity() * 2);
        }
        match read(upstream, buffer).await {
            Ok(bytes) if bytes > 0 => first = false,
            _ if first => {
                let unsent = !progress.sent.get();
                return Err(Fault::Unanswered { unsent });
            }
            _ => return Err(Fault::Failed(Error::UpstreamReset)),
        }
    }
}

/// Reads a head and appends what the client gets of it.
fn read_response(
    head: &[u8],
    out: &mut Vec<u8>,
    progress: &Progress<'_>,
    is_closing: impl Fn() -> bool,
) -> Result<Next, Malformed> {
    let terms = &progress.terms;
    let mut slots = slots();
    let mut response = Response::parse(head, &mut slots[..terms.headers])?;
    let changes = progress.changes;
    if !changes.dropped.is_empty() {
        response.leave_out(changes.dropped);
    }
    response.yield_to(changes.added);
    if response.status == 101 {
        let expected = terms.wants_upgrade && response.upgrades();
        if !expected {
            return Err(Malformed::Syntax("nobody asked for another protocol"));
        }
        response.encode_interim(changes.added, changes.lines, out);
        return Ok(Next::Switched);
    }
    if response.is_interim() {
        let asked = response.status != 100 || terms.expects_continue;
        if asked && terms.asked.version == Version::Http11 {
            response.encode_interim(changes.added, b"", out);
        }
        return Ok(Next::Interim {
            continues: response.status == 100,
        });
    }
    let body = response.body(terms.asked);
    // A response before the request's end may leave a part of it unread.
    let whole = progress.request_done.get() && response.has_end(terms.asked);
    let keeps_client = terms.keep_alive && whole && !is_closing();
    progress.ends_by_close.set(!response.has_end(terms.asked));
    let lines = relocate(&mut response, changes);
    response.encode(terms.asked, keeps_client, changes.added, &lines, out);
    let now = Instant::now();
    let reply = Reply {
        status: response.status,
        bytes: 0,
        keeps_client,
        keeps_upstream: response.keeps_alive() && !body.ends_by_close(),
        answered: now,
        sent: progress
            .streams
            .then(|| progress.sent_at.get().unwrap_or(now)),
        ended: now,
    };
    Ok(Next::Final(body, reply))
}

/// Leaves out where a response sends the client, when that is another place; returns the lines to add.
fn relocate<'a>(response: &mut Response<'_, '_>, changes: Changes<'a>) -> Cow<'a, [u8]> {
    let moved = changes.location.and_then(|location| {
        let line = location.line(response.value(Relocation::NAME)?)?;
        Some((location, line))
    });
    match moved {
        None => Cow::Borrowed(changes.lines),
        Some((location, line)) => {
            response.leave_out(location.dropped());
            Cow::Owned([changes.lines, line].concat())
        }
    }
}

/// Writes all of `out` and empties it.
async fn write_all(
    client: &mut (impl AsyncWrite + Unpin),
    out: &mut Vec<u8>,
    progress: &Progress<'_>,
) -> Result<(), Fault> {
    let mut written = 0;
    while written < out.len() {
        written += give(client, &out[written..], progress).await?;
        if written < out.len() {
            progress.extend();
        }
    }
    out.clear();
    Ok(())
}

/// Writes what the client takes; returns how many bytes.
async fn give(
    client: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    progress: &Progress<'_>,
) -> Result<usize, Fault> {
    progress.awaits_reader.set(true);
    let written = write(client, bytes).await;
    progress.awaits_reader.set(false);
    written.map_err(|_| progress.aborted(Error::ClientAborted))
}
