//! One request sent to one endpoint, and its response on the way back.

use std::{cell::Cell, future::poll_fn, pin::pin, task::Poll, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{
    error::Error,
    http::{
        Body, Buffer, Malformed, Scan,
        head::scan,
        request::slots,
        response::{Asked, Response},
    },
    socket::{read, write},
    timer::{Elapsed, Timer},
};

/// The size that buffers grow to for large bodies, in bytes.
const LARGE_BUFFER_BYTES: usize = 64 << 10;

/// Holds the request as it is sent: the head and what is there of the body.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// All that was sent while `is_repeatable`, else what is being sent.
    pub(crate) bytes: Vec<u8>,
    pub(crate) body: Body,
    /// Whether `bytes` are the whole request up to here, so that it can be sent again.
    pub(crate) is_repeatable: bool,
    /// The most bytes to keep for that.
    pub(crate) kept_bytes_max: usize,
}

impl Outgoing {
    /// Tells whether the body goes from the client's buffer to the endpoint without being kept.
    fn streams(&self) -> bool {
        !self.is_repeatable && self.body.is_plain()
    }
}

/// Says what the exchange has to know of client and configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) asked: Asked,
    /// The client keeps the connection.
    pub(crate) keep_alive: bool,
    /// The client waits for a 100.
    pub(crate) expects_continue: bool,
    /// The client has asked for another protocol.
    pub(crate) wants_upgrade: bool,
    /// How long the head of the response may take.
    pub(crate) request: Duration,
    /// How long any piece of a body may take.
    pub(crate) stream_idle: Duration,
    pub(crate) header_bytes: usize,
    pub(crate) headers: usize,
}

/// Lends the connections and buffers of one exchange.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    pub(crate) client: &'a mut TcpStream,
    pub(crate) upstream: &'a mut TcpStream,
    pub(crate) from_client: &'a mut Buffer,
    pub(crate) from_upstream: &'a mut Buffer,
    pub(crate) to_client: &'a mut Vec<u8>,
}

/// Tells how an exchange went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Bytes of content.
    pub(crate) bytes: u64,
    /// The client's connection can take another request.
    pub(crate) keeps_client: bool,
    /// The endpoint's connection can take another request.
    pub(crate) keeps_upstream: bool,
}

/// Tells how an exchange ended otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The endpoint closed the connection before the first byte of a response.
    Unanswered {
        /// Nothing of the request was sent.
        unsent: bool,
    },
    /// The client has got nothing yet, and gets this.
    Failed(Error),
    /// The client is gone, or has got a part that can't be made whole.
    Aborted {
        /// The status that was sent, if it was.
        status: Option<u16>,
        bytes: u64,
        /// The client can tell only by a reset that something is missing.
        reset: bool,
    },
}

/// Follows what both directions of an exchange have to know of each other.
#[derive(Debug)]
struct Progress<'t> {
    timer: &'t Timer,
    terms: Terms,
    /// Some bytes of the request were sent.
    sent: Cell<bool>,
    /// All of the request was sent.
    request_done: Cell<bool>,
    /// The client owes a piece of its body.
    awaits_client: Cell<bool>,
    /// The status, once the final head has been handed to the client's connection.
    status: Cell<Option<u16>>,
    /// Bytes of content for the client.
    bytes: Cell<u64>,
    /// The end of the response is the end of the connection.
    ends_by_close: Cell<bool>,
}

/// Says why the sending of a request has ended.
enum SendFault {
    /// The endpoint takes no more; a response may still come.
    Upstream,
    Client(Fault),
}

/// Sends a request and passes the response on.
///
/// `is_closing` is asked when the response begins: whether the client's connection ends with it.
pub(crate) async fn run(
    lines: Lines<'_>,
    outgoing: &mut Outgoing,
    terms: Terms,
    timer: &Timer,
    is_closing: impl Fn() -> bool,
) -> Result<Reply, Fault> {
    let progress = Progress {
        timer,
        terms,
        sent: Cell::new(false),
        request_done: Cell::new(false),
        awaits_client: Cell::new(false),
        status: Cell::new(None),
        bytes: Cell::new(0),
        ends_by_close: Cell::new(false),
    };
    let (client_read, client_write) = lines.client.split();
    let (upstream_read, upstream_write) = lines.upstream.split();
    let mut send = pin!(send(
        client_read,
        upstream_write,
        lines.from_client,
        outgoing,
        &progress
    ));
    let mut receive = pin!(receive(
        upstream_read,
        client_write,
        lines.from_upstream,
        lines.to_client,
        &progress,
        is_closing,
    ));
    let mut sending = true;
    let both = poll_fn(|cx| {
        if sending {
            match send.as_mut().poll(cx) {
                Poll::Ready(Ok(())) => {
                    progress.request_done.set(true);
                    sending = false;
                }
                Poll::Ready(Err(SendFault::Upstream)) => sending = false,
                Poll::Ready(Err(SendFault::Client(fault))) => return Poll::Ready(Err(fault)),
                Poll::Pending => {}
            }
        }
        receive.as_mut().poll(cx)
    });
    match timer.guard(both).await {
        Ok(done) => done,
        Err(Elapsed) if progress.awaits_client.get() => Err(progress.fault(Error::ClientTimeout)),
        Err(Elapsed) => Err(progress.fault(Error::UpstreamTimeout)),
    }
}

/// Sends the request: what is there of it, then the rest of the body as it comes.
async fn send(
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
        progress.awaits_client.set(true);
        progress.extend();
        let read = read(client, from_client).await;
        progress.awaits_client.set(false);
        progress.extend();
        if !read.is_ok_and(|bytes| bytes > 0) {
            return Err(SendFault::Client(progress.aborted()));
        }
    }
}

/// Receives the response and passes it on.
async fn receive(
    mut upstream: impl AsyncRead + Unpin,
    mut client: impl AsyncWrite + Unpin,
    buffer: &mut Buffer,
    out: &mut Vec<u8>,
    progress: &Progress<'_>,
    is_closing: impl Fn() -> bool,
) -> Result<Reply, Fault> {
    let (mut body, mut reply) = loop {
        let head = read_head(&mut upstream, buffer, progress).await?;
        let next = read_response(&buffer.filled()[..head], out, progress, &is_closing);
        let next = next.map_err(|_| Fault::Failed(Error::UpstreamMalformed))?;
        buffer.consume(head);
        match next {
            Next::Final(body, reply) => break (body, reply),
            Next::Interim => {
                // Until it is out whole no other response can be sent.
                progress.status.set(Some(100));
                write_all(&mut client, out, progress).await?;
                progress.status.set(None);
                progress.extend();
            }
            Next::Switched => {
                progress.status.set(Some(101));
                write_all(&mut client, out, progress).await?;
                return Ok(Reply {
                    status: 101,
                    bytes: 0,
                    keeps_client: false,
                    keeps_upstream: false,
                });
            }
        }
    };
    let malformed = |_: Malformed| match progress.status.get() {
        // Nothing was written yet, so there is still a better answer.
        None => Fault::Failed(Error::UpstreamMalformed),
        Some(_) => progress.aborted(),
    };
    body.transfer(buffer, out).map_err(malformed)?;
    progress.status.set(Some(reply.status));
    loop {
        progress.bytes.set(body.bytes());
        write_all(&mut client, out, progress).await?;
        while body.is_plain() && !buffer.is_empty() {
            let bytes = body.plain(buffer.filled().len());
            let bytes = write(&mut client, &buffer.filled()[..bytes]).await;
            let bytes = bytes.map_err(|_| progress.aborted())?;
            buffer.consume(bytes);
            body.passed(bytes);
            progress.bytes.set(body.bytes());
            progress.extend();
        }
        if body.is_done() {
            break;
        }
        if body.exceeds(buffer.capacity() as u64) {
            buffer.grow(LARGE_BUFFER_BYTES);
        }
        progress.extend();
        match read(&mut upstream, buffer).await {
            Ok(0) if body.end(out) => {}
            Ok(bytes) if bytes > 0 => {}
            _ => return Err(progress.aborted()),
        }
        if !body.is_plain() {
            body.transfer(buffer, out).map_err(|_| progress.aborted())?;
        }
    }
    reply.bytes = body.bytes();
    reply.keeps_upstream &= buffer.is_empty() && progress.request_done.get();
    Ok(reply)
}

/// Says what a head of a response leads to.
enum Next {
    /// Another head.
    Interim,
    /// A tunnel.
    Switched,
    Final(Body, Reply),
}

/// Reads until the head of a response is there; returns its length.
async fn read_head(
    upstream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Buffer,
    progress: &Progress<'_>,
) -> Result<usize, Fault> {
    let malformed = Fault::Failed(Error::UpstreamMalformed);
    let mut first = buffer.is_empty();
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
    let response = Response::parse(head, &mut slots[..terms.headers])?;
    if response.status == 101 {
        let expected = terms.wants_upgrade && response.upgrades();
        if !expected {
            return Err(Malformed::Syntax("nobody asked for another protocol"));
        }
        response.encode_interim(out);
        return Ok(Next::Switched);
    }
    if response.is_interim() {
        let asked = response.status != 100 || terms.expects_continue;
        if asked && terms.asked.version == crate::http::Version::Http11 {
            response.encode_interim(out);
        }
        return Ok(Next::Interim);
    }
    let body = response.body(terms.asked);
    // A response before the request's end may leave a part of it unread.
    let whole = progress.request_done.get() && response.has_end(terms.asked);
    let keeps_client = terms.keep_alive && whole && !is_closing();
    progress.ends_by_close.set(!response.has_end(terms.asked));
    response.encode(terms.asked, keeps_client, out);
    let reply = Reply {
        status: response.status,
        bytes: 0,
        keeps_client,
        keeps_upstream: response.keeps_alive() && !body.ends_by_close(),
    };
    Ok(Next::Final(body, reply))
}

/// Writes all of `out` and empties it.
async fn write_all(
    client: &mut (impl AsyncWrite + Unpin),
    out: &mut Vec<u8>,
    progress: &Progress<'_>,
) -> Result<(), Fault> {
    let mut written = 0;
    while written < out.len() {
        let bytes = write(client, &out[written..]).await;
        written += bytes.map_err(|_| progress.aborted())?;
        if written < out.len() {
            progress.extend();
        }
    }
    out.clear();
    Ok(())
}

impl Progress<'_> {
    /// Gives whoever has to act next the time that it has.
    fn extend(&self) {
        self.timer.set(match self.status.get() {
            None if !self.awaits_client.get() => self.terms.request,
            _ => self.terms.stream_idle,
        });
    }

    /// Makes a fault of an error, by what the client has got so far.
    fn fault(&self, error: Error) -> Fault {
        match self.status.get() {
            None => Fault::Failed(error),
            Some(_) => self.aborted(),
        }
    }

    fn aborted(&self) -> Fault {
        Fault::Aborted {
            status: self.status.get(),
            bytes: self.bytes.get(),
            reset: self.ends_by_close.get(),
        }
    }
}
