//! Serves one connection.

use std::{
    future::poll_fn,
    io,
    mem::{self, MaybeUninit},
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    sync::futures::Notified,
    time::{Instant, Sleep, sleep, timeout},
};

use super::{
    Limits,
    answerer::{Answerer, has_message},
    late::Late,
    scratch::{self, Answers, Scratch},
    seats::Seat,
};

/// How many turns a connection has in a row before the worker's other tasks have theirs.
const TURNS_IN_A_ROW: u32 = 8;

/// Holds a connection and what is under way on it, which is nothing while it waits for its client.
pub(super) struct Connection {
    stream: TcpStream,
    client: IpAddr,
    answerer: Arc<Answerer>,
    seat: Arc<Seat>,
    idle_timeout: Duration,
    /// How many messages more may come.
    queries_left: u64,
    /// When the last query was answered, or the connection opened.
    active: Instant,
    /// What has come and isn't answered: the start of a message, or messages whose answers had no
    /// room.
    inbox: Vec<u8>,
    outbox: Outbox,
    late: Late,
    /// The client sends no more, and waits for answers still.
    has_ended: bool,
}

/// Holds the answers that the system hasn't taken.
#[derive(Default)]
struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

/// Says how a turn went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// There may be more to do.
    Done,
    /// The client sends no more and has all answers, or has been idle for too long, or longer than
    /// others when there was no room for another.
    Over,
    /// The client has had as many answers as it may.
    LimitReached,
}

impl Connection {
    /// Takes a connection over that was opened just now.
    pub(super) fn new(
        stream: TcpStream,
        client: IpAddr,
        answerer: Arc<Answerer>,
        seat: Arc<Seat>,
        limits: Limits,
    ) -> Self {
        answerer.connection_opened();
        Self {
            stream,
            client,
            answerer,
            seat,
            idle_timeout: limits.idle_timeout,
            queries_left: limits.queries_max,
            active: Instant::now(),
            inbox: Vec::new(),
            outbox: Outbox::default(),
            late: Late::default(),
            has_ended: false,
        }
    }

    /// Answers until the client is done, has been idle for too long, or has to make room.
    pub(super) async fn serve(mut self) -> io::Result<()> {
        let seat = Arc::clone(&self.seat);
        let mut call = pin!(seat.call());
        let mut idle = pin!(sleep(self.idle_timeout));
        let mut in_a_row = 0;
        loop {
            let turn = poll_fn(|context| {
                let turn = self.poll_turn(context);
                if turn.is_pending() {
                    in_a_row = 0;
                    seat.set_busy(self.has_unread_answers() || self.late.is_awaited());
                    let over = match self.poll_idle(idle.as_mut(), context) {
                        Poll::Pending => self.poll_asked(&seat, call.as_mut(), context),
                        over => over,
                    };
                    return over.map(Ok);
                }
                turn
            });
            match turn.await? {
                Turn::Done => in_a_row += 1,
                Turn::Over => return Ok(()),
                // In a box, for a connection that waits to take less.
                Turn::LimitReached => return Box::pin(self.say_goodbye(&seat, call)).await,
            }
            if in_a_row == TURNS_IN_A_ROW {
                in_a_row = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    /// Waits until the connection has been idle for too long.
    ///
    /// The timer runs on while queries come, and is only set anew when it finds that they have.
    fn poll_idle(&self, mut timer: Pin<&mut Sleep>, context: &mut Context<'_>) -> Poll<Turn> {
        // Resolvers have a time of their own, and what they say is activity.
        if self.late.is_awaited() {
            return Poll::Pending;
        }
        loop {
            ready!(timer.as_mut().poll(context));
            let deadline = self.active + self.idle_timeout;
            if deadline <= Instant::now() {
                return Poll::Ready(Turn::Over);
            }
            timer.as_mut().reset(deadline);
        }
    }

    /// Waits until the connection has to make room for another.
    fn poll_asked<'a>(
        &self,
        seat: &'a Seat,
        call: Pin<&mut Notified<'a>>,
        context: &mut Context<'_>,
    ) -> Poll<Turn> {
        let is_idle =
            || !self.has_unread_answers() && !self.late.is_awaited() && !self.has_unread_queries();
        ready!(seat.poll_asked(call, is_idle, context));
        self.count_eviction();
        Poll::Ready(Turn::Over)
    }

    fn count_eviction(&self) {
        if !self.seat.is_draining() {
            self.answerer.connection_evicted();
        }
    }

    /// Tells whether the client has left answers unread.
    fn has_unread_answers(&self) -> bool {
        !self.outbox.bytes.is_empty()
    }

    /// Tells whether the system has something from the client that hasn't been read.
    fn has_unread_queries(&self) -> bool {
        let peeked = SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit(); 1]);
        peeked.is_ok_and(|bytes| bytes > 0)
    }

    /// Writes what is left of earlier answers, and then answers what has come.
    ///
    /// A client that doesn't read isn't read from.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Turn>> {
        ready!(self.outbox.poll_rest(&mut self.stream, context))?;
        if self.queries_left == 0 && !self.late.is_awaited() {
            return Poll::Ready(Ok(Turn::LimitReached));
        }
        scratch::with(|scratch| {
            let Scratch { input, answers } = scratch;
            answers.clear();
            if self.late.poll(context, answers).is_ready() {
                // What has come is written first; there may be queries as well.
                self.active = Instant::now();
            } else if self.queries_left == 0 || self.late.is_full() {
                return Poll::Pending;
            } else if self.has_ended {
                return match self.late.is_awaited() {
                    true => Poll::Pending,
                    false => Poll::Ready(Ok(Turn::Over)),
                };
            } else if has_message(&self.inbox) {
                self.answer_inbox(answers);
            } else {
                let mut buffer = ReadBuf::new(input);
                ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
                match buffer.filled() {
                    [] => {
                        self.has_ended = true;
                        return match self.late.is_awaited() {
                            true => Poll::Pending,
                            false => Poll::Ready(Ok(Turn::Over)),
                        };
                    }
                    came if self.inbox.is_empty() => {
                        let done = self.answer(came, answers);
                        self.inbox = came[done..].to_vec();
                    }
                    came => {
                        self.inbox.extend_from_slice(came);
                        self.answer_inbox(answers);
                    }
                }
            }
            let Self { stream, outbox, .. } = self;
            outbox.write(answers.as_bytes(), stream, context)?;
            Poll::Ready(Ok(Turn::Done))
        })
    }

    /// Answers the messages in the inbox, and frees what isn't needed any more.
    fn answer_inbox(&mut self, answers: &mut Answers) {
        let inbox = mem::take(&mut self.inbox);
        self.inbox = match self.answer(&inbox, answers) {
            0 => inbox,
            done => inbox[done..].to_vec(),
        };
    }

    /// Answers the messages in `input`; returns how many bytes they had.
    fn answer(&mut self, input: &[u8], answers: &mut Answers) -> usize {
        let received = Instant::now();
        let left = &mut self.queries_left;
        let late = &mut self.late;
        let awaited = late.count();
        let done = self
            .answerer
            .answer(input, self.client, left, answers, late);
        // What isn't answered doesn't keep a connection open.
        if answers.count() > 0 || self.late.count() > awaited {
            self.active = Instant::now();
            self.seat.set_active(self.active);
        }
        if answers.count() > 0 {
            let duration = self.active - received;
            self.answerer.answers_made(duration, answers.count());
        }
        done
    }

    /// Says that no more is answered, and lets the client have what was.
    ///
    /// A client that is still sending when a connection is closed gets a reset, which can overtake
    /// the answers. So what it sends is passed over until it has seen the end, or has to make room.
    async fn say_goodbye<'a>(
        mut self,
        seat: &'a Seat,
        mut call: Pin<&mut Notified<'a>>,
    ) -> io::Result<()> {
        self.inbox = Vec::new();
        self.stream.shutdown().await?;
        seat.set_busy(false);
        let asked = poll_fn(|context| seat.poll_asked(call.as_mut(), || true, context));
        let stream = &mut self.stream;
        let ended = poll_fn(|context| {
            scratch::with(|scratch| {
                loop {
                    let mut buffer = ReadBuf::new(&mut scratch.input);
                    ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
                    if buffer.filled().is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                }
            })
        });
        tokio::select! {
            ended = timeout(self.idle_timeout, ended) => ended.unwrap_or(Ok(())),
            () = asked => {
                self.count_eviction();
                Ok(())
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.answerer.connection_closed();
    }
}

impl Outbox {
    /// Writes answers, and keeps what the system doesn't take; there must be nothing kept already.
    fn write(
        &mut self,
        answers: &[u8],
        stream: &mut TcpStream,
        context: &mut Context<'_>,
    ) -> io::Result<()> {
        if answers.is_empty() {
            return Ok(());
        }
        let sent = match Pin::new(stream).poll_write(context, answers) {
            Poll::Ready(sent) => sent?,
            Poll::Pending => 0,
        };
        self.bytes = answers[sent..].to_vec();
        self.sent = 0;
        Ok(())
    }

    /// Writes what was kept, and frees it when all of it is written.
    fn poll_rest(
        &mut self,
        stream: &mut TcpStream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.sent < self.bytes.len() {
            let rest = &self.bytes[self.sent..];
            self.sent += ready!(Pin::new(&mut *stream).poll_write(context, rest))?;
        }
        *self = Self::default();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
