//! One client's connection: request after request.

mod arrival;
mod record;

use std::{
    future::poll_fn,
    mem::{self, MaybeUninit},
    pin::pin,
    rc::Rc,
    task::Poll,
    time::{Duration, SystemTime},
};

use socket2::SockRef;
use tokio::{net::TcpStream, time::Instant};

pub(crate) use self::arrival::Arrival;
use self::record::{Ended, Over};
use crate::{
    Worker,
    error::Error,
    exchange::Reply,
    forward::{Client, Forwarded, Stream, Switched},
    gate::Ticket,
    http::{
        Buffer, Scan, answer::Answer, forwarded::Sender, head::scan, marks::Added, problem,
        response::Asked,
    },
    mirror,
    plan::{Course, Plan},
    socket::{linger, poll_read, read, write_all},
    timer::Timer,
    tunnel,
    worker::BUFFER_BYTES,
};

/// How long a client may take for another request once its listener drains: it may have sent it before
/// it could know, and an answer is the way to tell it.
const GRACE: Duration = Duration::from_secs(1);

/// The largest response after which a client that has asked for the end isn't waited for, in bytes.
const SMALL_BYTES: u64 = 64 << 10;

/// Serves a client until one side ends the connection; `has_header` when a PROXY header comes first.
pub(crate) fn run(
    worker: Rc<Worker>,
    ticket: Ticket,
    stream: TcpStream,
    arrival: Arrival,
    has_header: bool,
) -> impl Future<Output = ()> {
    let timer = Timer::new(worker.bounds().timeouts.header.get());
    let mut connection = Connection {
        worker,
        ticket,
        arrival,
        stream,
        input: Buffer::default(),
        timer,
        is_fresh: true,
    };
    // Made of one thing only, as a task has room for what it is made of and for what it makes.
    async move {
        if has_header && !connection.enter().await {
            return;
        }
        connection.serve_all().await;
    }
}

impl Connection {
    /// Reads the PROXY header that comes first; returns whether to go on.
    async fn enter(&mut self) -> bool {
        if !self.read_proxy_header().await {
            return false;
        }
        let header = self.worker.bounds().timeouts.header.get();
        self.timer.set(header);
        true
    }

    /// Answers one request after the other, and ends as the last one wants it.
    async fn serve_all(&mut self) {
        let after = loop {
            let after = match self.next_head().await {
                // In a box, so that a client that is idle doesn't hold the room for a request.
                Ok(Some(bytes)) => Box::pin(self.serve(bytes)).await,
                Ok(None) if self.is_fresh => After::Leave,
                // What was answered last may still be on its way.
                Ok(None) => After::Linger,
                Err(error) => {
                    Box::pin(self.refuse(error)).await;
                    After::Linger
                }
            };
            if after != After::Next {
                break after;
            }
            self.is_fresh = false;
        };
        match after {
            After::Next | After::Leave => {}
            After::Linger => {
                let unused = mem::take(&mut self.input);
                self.worker.give_buffer(unused);
                linger(&mut self.stream, &self.timer).await;
            }
            After::Reset => {
                // A client that is gone needs no telling.
                SockRef::from(&self.stream)
                    .set_linger(Some(Duration::ZERO))
                    .ok();
            }
        }
    }
}

/// Holds a client's connection between requests and during them.
#[derive(Debug)]
struct Connection {
    worker: Rc<Worker>,
    ticket: Ticket,
    arrival: Arrival,
    stream: TcpStream,
    /// Without room while nothing is there, so that an idle client costs little.
    input: Buffer,
    timer: Timer,
    /// Nothing was answered yet.
    is_fresh: bool,
}

/// Says what follows a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// Another request.
    Next,
    /// The end, with nothing that could be lost.
    Leave,
    /// The end of our sending, while the client may be sending and has a response to read.
    Linger,
    /// The end of a response that isn't whole, which only a reset can say.
    Reset,
}

impl Connection {
    /// Waits for a whole head at the front of the input; `None` when the client has left.
    async fn next_head(&mut self) -> Result<Option<usize>, Error> {
        let limits = self.worker.bounds().limits;
        let (line_max, head_max) = (
            limits.request_line_bytes.bytes(),
            limits.header_bytes.bytes(),
        );
        let mut scanned = 0;
        let mut begun = false;
        loop {
            // RFC 9112, section 2.2: empty lines before a request are no harm.
            while scanned == 0 && self.input.filled().starts_with(b"\r\n") {
                self.input.consume(2);
            }
            let there = self.input.filled();
            match scan(there, scanned)? {
                Scan::Complete(bytes) => {
                    let line_is_long = bytes > line_max && line_bytes(there) > line_max;
                    return match (line_is_long, bytes > head_max) {
                        (true, _) => Err(Error::RequestLineTooLong),
                        (_, true) => Err(Error::HeaderTooLarge),
                        _ => Ok(Some(bytes)),
                    };
                }
                Scan::Partial { .. } if there.len() > line_max && line_bytes(there) > line_max => {
                    return Err(Error::RequestLineTooLong);
                }
                Scan::Partial { .. } if there.len() > head_max => {
                    return Err(Error::HeaderTooLarge);
                }
                // A lone CR may be the begin of an empty line.
                Scan::Partial { scanned: bytes } => scanned = bytes,
            }
            if self.input.is_empty() {
                if !self.wait().await {
                    return Ok(None);
                }
                continue;
            }
            if !mem::replace(&mut begun, true) {
                self.timer.set(self.worker.bounds().timeouts.header.get());
            }
            if self.input.spare().is_empty() {
                let room = (self.input.capacity() * 2).min(head_max + BUFFER_BYTES);
                self.input.grow(room);
            }
            let read = read(&mut self.stream, &mut self.input);
            match self.timer.guard(read).await {
                Ok(Ok(bytes)) if bytes > 0 => {}
                Ok(_) => return Ok(None),
                Err(_) => return Err(Error::ClientTimeout),
            }
        }
    }

    /// Waits, without a buffer, until something was read; returns whether to go on.
    async fn wait(&mut self) -> bool {
        if self.input.capacity() > 0 {
            self.worker.give_buffer(mem::take(&mut self.input));
        }
        let mut grace = Some(GRACE);
        poll_fn(|cx| {
            if self.stream.poll_read_ready(cx).is_ready() {
                let mut input = self.worker.buffer();
                match poll_read(&mut self.stream, cx, &mut input) {
                    Poll::Ready(read) => {
                        self.input = input;
                        return Poll::Ready(read.is_ok_and(|bytes| bytes > 0));
                    }
                    // It was only what the runtime remembered of the read before.
                    Poll::Pending => self.worker.give_buffer(input),
                }
            }
            self.ticket.register(cx.waker());
            if self.ticket.is_closing()
                && let Some(grace) = grace.take()
            {
                self.timer.set(grace);
            }
            match self.timer.poll(cx) {
                // Bytes that are there are a request that has crossed our wish to close; the runtime
                // is about to tell.
                Poll::Ready(_) if has_bytes(&self.stream) => Poll::Pending,
                over => over.map(|_| false),
            }
        })
        .await
    }

    /// Answers the request whose head is the first `head` bytes of the input.
    async fn serve(&mut self, head: usize) -> After {
        let started = Instant::now();
        let worker = Rc::clone(&self.worker);
        let in_flight = worker.counters.requests_in_flight.lasting();
        let sender = Sender {
            address: self.arrival.client.ip(),
            port: self.arrival.port,
            trusted: worker.trusts(self.arrival.client.ip()),
        };
        let plan = self.plan(&sender, head, started).await;
        let (asked, keep_alive, added) = (plan.asked, plan.keep_alive, &plan.added);
        let (mut stream, ended, after) = match plan.course {
            Course::Forward(mut stream) => {
                let (ended, after) = self.forward(&mut stream, added).await;
                (Some(stream), ended, after)
            }
            Course::Answer(answer) => {
                let (ended, after) = self.reply(&answer, asked, keep_alive, added).await;
                (None, ended, after)
            }
            Course::Refuse(error) => {
                let (ended, after) = self.answer(error, asked, keep_alive, added).await;
                (None, ended, after)
            }
        };
        drop(in_flight);
        self.record(Over {
            started,
            ended: &ended,
            forwarded: stream.as_ref(),
            route: plan.route.as_deref(),
            version: plan.version,
            line: &plan.line,
        });
        if let Some(stream) = &mut stream {
            // What nobody has got, or answered, there is no copy of.
            if ended.error.is_none() {
                mirror::send(&worker, stream);
            }
            worker.give_output(mem::take(&mut stream.outgoing.bytes));
        }
        worker.give_output(plan.line);
        after
    }

    /// Plans a request; where a password has to be compared, after that.
    async fn plan(&mut self, sender: &Sender, head: usize, started: Instant) -> Plan {
        let mut wrong = None;
        loop {
            let worker = &self.worker;
            let plan = Plan::new(
                worker,
                sender,
                &mut self.input,
                head,
                started,
                wrong.as_ref(),
            );
            match plan {
                Ok(plan) => return plan,
                Err(unverified) => {
                    wrong = Some(unverified.digest);
                    worker.passwords.verify(unverified).await;
                }
            }
        }
    }

    async fn forward(&mut self, stream: &mut Stream, added: &Added) -> (Ended, After) {
        let client = Client {
            stream: &mut self.stream,
            input: &mut self.input,
            timer: &self.timer,
            added,
        };
        let ticket = &self.ticket;
        let forwarded = {
            let forwarding = stream.forward(&self.worker, client, || ticket.is_closing());
            let mut forwarding = pin!(forwarding);
            poll_fn(|cx| {
                // It is told by this when its endpoint is closed.
                ticket.register(cx.waker());
                forwarding.as_mut().poll(cx)
            })
            .await
        };
        match forwarded {
            Forwarded::Replied(reply) => {
                let ended = Ended {
                    status: Some(reply.status),
                    bytes: reply.bytes,
                    at: Some(reply.ended),
                    ..Ended::default()
                };
                (ended, self.after(stream, reply))
            }
            Forwarded::Switched(reply, switched) => {
                self.tunnel(stream, switched).await;
                let ended = Ended {
                    status: Some(reply.status),
                    ..Ended::default()
                };
                (ended, After::Leave)
            }
            Forwarded::Failed(error) => {
                let whole = stream.outgoing.body.is_done();
                let keep_alive = stream.terms.keep_alive && whole && error.status() >= 500;
                self.answer(error, stream.terms.asked, keep_alive, added)
                    .await
            }
            Forwarded::Aborted {
                status,
                bytes,
                reset,
                error,
            } => {
                let ended = Ended {
                    status,
                    bytes,
                    error: Some(error),
                    ..Ended::default()
                };
                (ended, if reset { After::Reset } else { After::Leave })
            }
        }
    }

    /// Decides what follows a response.
    fn after(&self, stream: &Stream, reply: Reply) -> After {
        // RFC 9112, section 9.6: who has asked for the end sends nothing more. While a large
        // response is on its way, one may all the same.
        let is_all = !stream.terms.keep_alive
            && reply.bytes <= SMALL_BYTES
            && stream.outgoing.body.is_done()
            && self.input.is_empty();
        match (reply.keeps_client, is_all) {
            (true, _) => After::Next,
            (false, true) => After::Leave,
            (false, false) => After::Linger,
        }
    }

    /// Passes on what both sides send after a 101.
    async fn tunnel(&mut self, stream: &Stream, mut switched: Switched) {
        let timeout = stream.timeouts.tunnel.get();
        let (client, input) = (&mut self.stream, &mut self.input);
        tunnel::run(
            client,
            input,
            &mut switched,
            &self.timer,
            timeout,
            &self.ticket,
        )
        .await;
        drop(switched.in_flight);
        self.worker.give_buffer(switched.input);
    }

    /// Answers with an error of ours.
    async fn answer(
        &mut self,
        error: Error,
        asked: Asked,
        keep_alive: bool,
        added: &Added,
    ) -> (Ended, After) {
        let keep_alive = keep_alive && !self.ticket.is_closing();
        let mut out = self.worker.output();
        let bytes = problem::encode(error, SystemTime::now(), asked, keep_alive, added, &mut out);
        let ended = Ended {
            status: Some(error.status()),
            bytes,
            error: Some(error),
            ..Ended::default()
        };
        self.send(out, ended, keep_alive).await
    }

    /// Answers with what a route says.
    async fn reply(
        &mut self,
        answer: &Answer,
        asked: Asked,
        keep_alive: bool,
        added: &Added,
    ) -> (Ended, After) {
        let keep_alive = keep_alive && !self.ticket.is_closing();
        let mut out = self.worker.output();
        let ended = Ended {
            status: Some(answer.status()),
            bytes: answer.encode(SystemTime::now(), asked, keep_alive, added, &mut out),
            ..Ended::default()
        };
        self.send(out, ended, keep_alive).await
    }

    /// Sends an answer of ours.
    async fn send(&mut self, out: Vec<u8>, ended: Ended, keep_alive: bool) -> (Ended, After) {
        self.timer
            .set(self.worker.bounds().timeouts.stream_idle.get());
        let sent = self.timer.guard(write_all(&mut self.stream, &out)).await;
        self.worker.give_output(out);
        let sent = matches!(sent, Ok(Ok(())));
        // The first reason is the one that counts.
        let error = match sent {
            true => ended.error,
            false => ended.error.or(Some(Error::ClientAborted)),
        };
        let ended = Ended { error, ..ended };
        let next = keep_alive && sent;
        (ended, if next { After::Next } else { After::Linger })
    }

    /// Answers what is no request.
    async fn refuse(&mut self, error: Error) {
        let started = Instant::now();
        let added = Added::default();
        let (ended, _) = self.answer(error, Asked::default(), false, &added).await;
        self.record(Over {
            started,
            ended: &ended,
            forwarded: None,
            route: None,
            version: self.worker.with_table(crate::RouteTable::version),
            line: &[],
        });
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.worker.give_buffer(mem::take(&mut self.input));
        self.worker.leave();
    }
}

/// Returns how many bytes there are of the first line, with its end.
fn line_bytes(bytes: &[u8]) -> usize {
    memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1)
}

/// Tells whether the kernel has bytes that came in: then a request has crossed our wish to close.
fn has_bytes(stream: &TcpStream) -> bool {
    let peeked = SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
    peeked.is_ok_and(|bytes| bytes > 0)
}
