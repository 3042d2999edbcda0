//! The places of a listener's connections, and who gives one up when all are taken.
//!
//! A server under load may close connections that are idle (RFC 7766, section 6.2.3). The one that
//! has been idle longest goes first, and one with a query in flight doesn't go.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    sync::{Notify, futures::Notified},
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep},
};

/// How long a client has asked nothing when its connection is closed because the listener ends.
const PAUSE: Duration = Duration::from_millis(250);

/// How long clients that make no such pause are waited for; then any moment between two queries will do.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is looked who has paused.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Stands where a connection isn't asked to leave.
const NOT_ASKED: u64 = u64::MAX;

/// Holds the connections of a listener.
pub(super) struct Seats {
    max: usize,
    connections: JoinSet<()>,
    taken: HashMap<Id, Arc<Seat>>,
    /// Who was idle when the line was made, and since when, the longest last.
    ///
    /// Who has been active since is passed over; that makes the last of the others the longest
    /// idle of all, for everybody who isn't in the line came later or has been active later.
    line: Vec<(u64, Id)>,
    /// Tells that a connection has become idle, or doesn't leave.
    news: Arc<Notify>,
    start: Instant,
}

/// Holds what a listener and one of its connections know of each other.
///
/// Both run on one thread.
pub(super) struct Seat {
    start: Instant,
    /// When the last query was answered, or the connection opened, in nanoseconds since `start`.
    active: AtomicU64,
    /// Whether a query is known to be in flight while the connection waits.
    busy: AtomicBool,
    /// The `active` at which it was asked to leave.
    asked: AtomicU64,
    call: Notify,
    /// Whether it is the end of the listener that makes it leave.
    draining: AtomicBool,
    news: Arc<Notify>,
}

impl Seats {
    /// Creates as many as there may be connections.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            connections: JoinSet::new(),
            taken: HashMap::new(),
            line: Vec::new(),
            news: Arc::default(),
            start: Instant::now(),
        }
    }

    /// Waits until there is room, which the connection that has been idle longest makes.
    pub(super) async fn make_room(&mut self) -> Arc<Seat> {
        let mut asked: Option<Arc<Seat>> = None;
        loop {
            while let Some(gone) = self.connections.try_join_next_with_id() {
                self.forget(gone);
            }
            if self.connections.len() < self.max {
                break;
            }
            if !asked.as_ref().is_some_and(|seat| seat.is_asked()) {
                asked = self.longest_idle();
                if let Some(seat) = &asked {
                    seat.ask();
                }
            }
            tokio::select! {
                Some(gone) = self.connections.join_next_with_id() => self.forget(gone),
                () = self.news.notified() => {}
            }
        }
        // The room may be another's.
        if let Some(seat) = asked {
            seat.asked.store(NOT_ASKED, Relaxed);
        }
        Arc::new(Seat::new(self.start, Arc::clone(&self.news)))
    }

    /// Lets a connection run in its seat.
    pub(super) fn seat(
        &mut self,
        seat: Arc<Seat>,
        connection: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = self.connections.spawn(connection);
        self.taken.insert(task.id(), seat);
    }

    /// Asks everybody to leave, and waits until they have.
    pub(super) async fn drain(&mut self) {
        let start = Instant::now();
        while !self.connections.is_empty() {
            let now = Instant::now();
            let pause = match now - start < PATIENCE {
                true => PAUSE,
                false => Duration::ZERO,
            };
            for seat in self.taken.values() {
                seat.draining.store(true, Relaxed);
                if seat.has_paused(now, pause) {
                    seat.ask();
                }
            }
            tokio::select! {
                Some(gone) = self.connections.join_next_with_id() => self.forget(gone),
                () = sleep(LOOK_EVERY) => {}
            }
        }
    }

    fn forget(&mut self, gone: Result<(Id, ()), JoinError>) {
        let id = gone.map_or_else(|error| error.id(), |(id, ())| id);
        self.taken.remove(&id);
    }

    /// Returns the seat of who has been idle longest, if anybody is.
    fn longest_idle(&mut self) -> Option<Arc<Seat>> {
        self.next_in_line().or_else(|| {
            let idle = self.taken.iter().filter(|(_, seat)| !seat.is_busy());
            self.line
                .extend(idle.map(|(id, seat)| (seat.active(), *id)));
            self.line
                .sort_unstable_by_key(|(active, _)| std::cmp::Reverse(*active));
            self.next_in_line()
        })
    }

    fn next_in_line(&mut self) -> Option<Arc<Seat>> {
        while let Some((active, id)) = self.line.pop() {
            if let Some(seat) = self.taken.get(&id)
                && seat.active() == active
                && !seat.is_busy()
            {
                return Some(Arc::clone(seat));
            }
        }
        None
    }
}

impl Seat {
    /// Creates one for who is active now; `news` are for the listener.
    pub(super) fn new(start: Instant, news: Arc<Notify>) -> Self {
        let seat = Self {
            start,
            active: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            asked: AtomicU64::new(NOT_ASKED),
            call: Notify::new(),
            draining: AtomicBool::new(false),
            news,
        };
        seat.set_active(Instant::now());
        seat
    }

    /// Notes when queries were answered.
    pub(super) fn set_active(&self, now: Instant) {
        let nanos = (now - self.start).as_nanos();
        // The greatest number isn't reached in five hundred years.
        let nanos = u64::try_from(nanos).unwrap_or(NOT_ASKED - 1);
        self.active.store(nanos, Relaxed);
    }

    /// Notes whether a query is in flight, and tells the listener when none is any more.
    pub(super) fn set_busy(&self, busy: bool) {
        if self.is_busy() != busy {
            self.busy.store(busy, Relaxed);
            if !busy {
                self.news.notify_one();
            }
        }
    }

    /// Returns what to poll [`Seat::poll_asked`] with.
    pub(super) fn call(&self) -> Notified<'_> {
        self.call.notified()
    }

    /// Waits until the connection is asked to leave and has been idle from then on.
    ///
    /// The listener is told of who doesn't leave.
    pub(super) fn poll_asked<'a>(
        &'a self,
        mut call: Pin<&mut Notified<'a>>,
        is_idle: impl Fn() -> bool,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            ready!(call.as_mut().poll(context));
            call.set(self.call.notified());
            if self.asked.swap(NOT_ASKED, Relaxed) == self.active() {
                if is_idle() {
                    return Poll::Ready(());
                }
                self.set_busy(true);
            }
            self.news.notify_one();
        }
    }

    /// Asks the connection to leave, if it is idle when it sees that.
    pub(super) fn ask(&self) {
        self.asked.store(self.active(), Relaxed);
        self.call.notify_one();
    }

    /// Tells whether it leaves because the listener ends, and not to make room.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    fn has_paused(&self, now: Instant, pause: Duration) -> bool {
        (now - self.start).as_nanos() >= u128::from(self.active()) + pause.as_nanos()
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Relaxed) != NOT_ASKED
    }

    fn active(&self) -> u64 {
        self.active.load(Relaxed)
    }

    fn is_busy(&self) -> bool {
        self.busy.load(Relaxed)
    }
}
