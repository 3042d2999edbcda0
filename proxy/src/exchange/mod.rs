//! One request sent to one endpoint, and its response on the way back.

mod leaving;
mod receive;
mod send;

use std::{cell::Cell, future::poll_fn, pin::pin, task::Poll, time::Duration};

use tokio::{net::TcpStream, time::Instant};

pub(crate) use self::leaving::left;
use self::{
    receive::receive,
    send::{SendFault, send},
};
use crate::{
    Endpoint,
    config::Statuses,
    error::Error,
    http::{Body, Buffer, marks::Added, response::Asked},
    ledger::Allowance,
    route::relocation::Relocation,
    splice::Pipes,
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
    /// Tells whether `bytes` are the whole request.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_repeatable && self.body.is_done()
    }

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
    /// A client that ends its side of the connection has left.
    pub(crate) abort_on_close: bool,
    /// Statuses that the client needn't see, as another endpoint can be asked.
    pub(crate) unwanted: Statuses,
}

/// Lends the connections and buffers of one exchange.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    pub(crate) client: &'a mut TcpStream,
    pub(crate) upstream: &'a mut TcpStream,
    /// Where `upstream` leads.
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) from_client: &'a mut Buffer,
    pub(crate) from_upstream: &'a mut Buffer,
    pub(crate) to_client: &'a mut Vec<u8>,
    /// For bodies that go straight from one connection to the other.
    pub(crate) pipes: &'a Pipes,
    pub(crate) changes: Changes<'a>,
    /// What asking another endpoint is paid from.
    pub(crate) allowance: Allowance<'a>,
}

/// Says what the client gets in another way than the endpoint sends it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changes<'a> {
    /// Names of header lines that are left out, in lower case.
    pub(crate) dropped: &'a [Box<str>],
    /// More header lines, with their ends.
    pub(crate) lines: &'a [u8],
    /// What replaces the place that clients are sent to.
    pub(crate) location: Option<&'a Relocation>,
    /// What every response of ours gets.
    pub(crate) added: &'a Added,
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
    /// When the head of the response was there.
    pub(crate) answered: Instant,
    /// When all of the request had been sent, or the answer had come before; unsaid where it went out
    /// at once.
    pub(crate) sent: Option<Instant>,
    /// When all was over.
    pub(crate) ended: Instant,
}

/// Tells how an exchange ended otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The endpoint closed the connection before the first byte of a response.
    Unanswered {
        /// Nothing of the request was sent.
        unsent: bool,
    },
    /// The endpoint has said nothing in time, so that another one may still be asked.
    Silent,
    /// The endpoint answered with a status that the client needn't see, and hasn't; asking another one is
    /// paid for.
    Unwanted { status: u16 },
    /// The client has got nothing yet, and gets this.
    Failed(Error),
    /// The client is gone, or has got a part that can't be made whole.
    Aborted {
        /// The status that was sent, if it was.
        status: Option<u16>,
        bytes: u64,
        /// The client can tell only by a reset that something is missing.
        reset: bool,
        error: Error,
    },
}

/// Follows what both directions of an exchange have to know of each other.
#[derive(Debug)]
struct Progress<'t> {
    timer: &'t Timer,
    terms: Terms,
    changes: Changes<'t>,
    allowance: Allowance<'t>,
    pipes: &'t Pipes,
    /// Some bytes of the request were sent.
    sent: Cell<bool>,
    /// All of the request was sent.
    request_done: Cell<bool>,
    /// Some of the request has yet to come from the client when the sending begins.
    streams: bool,
    /// When all of a request that streams was sent.
    sent_at: Cell<Option<Instant>>,
    /// The client owes a piece of its body.
    awaits_client: Cell<bool>,
    /// The client waits for a 100 that it hasn't got.
    awaits_continue: Cell<bool>,
    /// The status, once the final head has been handed to the client's connection.
    status: Cell<Option<u16>>,
    /// Bytes of content for the client.
    bytes: Cell<u64>,
    /// The end of the response is the end of the connection.
    ends_by_close: Cell<bool>,
    /// The request can't be sent again.
    is_spent: Cell<bool>,
    /// The client has to take what there is of the response.
    awaits_reader: Cell<bool>,
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
        changes: lines.changes,
        allowance: lines.allowance,
        pipes: lines.pipes,
        sent: Cell::new(false),
        request_done: Cell::new(false),
        streams: !outgoing.body.is_done(),
        sent_at: Cell::new(None),
        awaits_client: Cell::new(false),
        awaits_continue: Cell::new(
            terms.expects_continue && outgoing.body.bytes() == 0 && lines.from_client.is_empty(),
        ),
        status: Cell::new(None),
        bytes: Cell::new(0),
        ends_by_close: Cell::new(false),
        is_spent: Cell::new(false),
        awaits_reader: Cell::new(false),
    };
    let (mut client_read, client_write) = lines.client.split();
    let (upstream_read, mut upstream_write) = lines.upstream.split();
    let (from_client, progress) = (lines.from_client, &progress);
    let mut send = pin!(async {
        let upstream = &mut upstream_write;
        match send(&mut client_read, upstream, from_client, outgoing, progress).await {
            Ok(()) => progress.has_sent(),
            // A response may come all the same.
            Err(SendFault::Upstream) => {}
            Err(SendFault::Client(fault)) => return fault,
        }
        left(client_read.as_ref(), terms.abort_on_close).await;
        progress.aborted(Error::ClientAborted)
    });
    let mut receive = pin!(receive(
        upstream_read,
        client_write,
        lines.from_upstream,
        lines.to_client,
        progress,
        is_closing,
    ));
    let endpoint = lines.endpoint;
    let both = poll_fn(|cx| {
        if endpoint.is_closed() {
            return Poll::Ready(Err(progress.fault(Error::DrainTimeout)));
        }
        if let Poll::Ready(fault) = send.as_mut().poll(cx) {
            return Poll::Ready(Err(fault));
        }
        receive.as_mut().poll(cx)
    });
    match timer.guard(both).await {
        Ok(done) => done,
        Err(Elapsed) if progress.awaits_client.get() => Err(progress.fault(Error::ClientTimeout)),
        Err(Elapsed) if progress.is_untouched() => Err(Fault::Silent),
        Err(Elapsed) => Err(progress.fault(Error::UpstreamTimeout)),
    }
}

impl Progress<'_> {
    /// Gives whoever has to act next the time that it has.
    fn extend(&self) {
        self.timer.set(match self.status.get() {
            None if !self.awaits_client.get() => self.terms.request,
            _ => self.terms.stream_idle,
        });
    }

    /// Notes that all of the request was sent.
    fn has_sent(&self) {
        self.request_done.set(true);
        if self.streams {
            self.sent_at.set(Some(Instant::now()));
        }
    }

    /// Says that the client may send its body now, or does so already.
    fn goes_on(&self) {
        let awaited = self.awaits_continue.replace(false);
        if awaited && !self.request_done.get() {
            self.awaits_client.set(true);
            self.extend();
        }
    }

    /// Tells whether another endpoint may still be asked: the client has got nothing of a response, and
    /// the request is there whole or can be.
    fn is_untouched(&self) -> bool {
        self.status.get().is_none() && !self.is_spent.get()
    }

    /// Decides whether the client doesn't see a response, as the request is sent elsewhere; that is paid
    /// for then.
    fn declines(&self, status: u16) -> bool {
        self.terms.unwanted.contains(status)
            && self.request_done.get()
            && self.is_untouched()
            && self.allowance.take()
    }

    /// Makes a fault of an error, by what the client has got so far.
    fn fault(&self, error: Error) -> Fault {
        match self.status.get() {
            None => Fault::Failed(error),
            Some(_) => self.aborted(match error {
                Error::UpstreamTimeout if self.awaits_reader.get() => Error::ClientStalled,
                Error::UpstreamTimeout => Error::UpstreamStalled,
                error => error,
            }),
        }
    }

    fn aborted(&self, error: Error) -> Fault {
        Fault::Aborted {
            status: self.status.get(),
            bytes: self.bytes.get(),
            reset: self.ends_by_close.get(),
            error,
        }
    }
}
