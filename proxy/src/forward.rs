//! Takes one request to an endpoint, and to another one when the first fails it.

use std::{borrow::Cow, net::SocketAddr, rc::Rc, sync::Arc};

use smallvec::SmallVec;
use tokio::{net::TcpStream, time::Instant};

use crate::{
    Balancer, Endpoint, Retries, Worker,
    config::{Statuses, Timeouts},
    endpoint::InFlight,
    error::Error,
    exchange::{self, Changes, Fault, Lines, Outgoing, Reply, Terms},
    health::Outcome,
    http::Buffer,
    ledger::Account,
    mirror::Mirrored,
    plan::{Hold, Seated, unix_seconds},
    pool::Pool,
    route::extras::Extras,
    timer::{Elapsed, Timer},
    upstream::{self, Slot},
};

/// Holds one request on its way: what is sent, where it may go, and what is known of it for the
/// log.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) outgoing: Outgoing,
    pub(crate) terms: Terms,
    /// When its head was there.
    pub(crate) started: Instant,
    pub(crate) is_idempotent: bool,
    pub(crate) pool: Arc<Pool>,
    pub(crate) balancer: Balancer,
    pub(crate) timeouts: Timeouts,
    pub(crate) retries: Retries,
    pub(crate) upstream_idle_max: usize,
    /// What its route wants besides.
    pub(crate) extras: Option<Arc<Extras>>,
    /// Where a copy of it goes.
    pub(crate) mirrored: Option<Mirrored>,
    /// What keeps its client at one instance.
    pub(crate) hold: Hold,
    /// How many times it was sent or tried to be.
    pub(crate) attempts: usize,
    /// Whom it was sent to last, and at which address.
    pub(crate) asked: Option<Asked>,
}

/// Names whom a request was sent to.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) address: SocketAddr,
    pub(crate) slot: Rc<Slot>,
}

/// Lends what the client's connection has.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    pub(crate) stream: &'a mut TcpStream,
    pub(crate) input: &'a mut Buffer,
    pub(crate) timer: &'a Timer,
}

/// Holds an endpoint's connection after it has switched to another protocol.
#[derive(Debug)]
pub(crate) struct Switched {
    pub(crate) upstream: TcpStream,
    /// What came after the head of its response.
    pub(crate) input: Buffer,
    /// Counts as in flight as long as it lasts.
    pub(crate) in_flight: InFlight,
}

/// Says what has become of a request.
#[derive(Debug)]
pub(crate) enum Forwarded {
    /// The client has got the response.
    Replied(Reply),
    /// The client has got the response, and what follows is a tunnel.
    Switched(Reply, Switched),
    /// The client has got nothing; an answer of ours is due.
    Failed(Error),
    /// The client can't get a whole response any more.
    Aborted {
        status: Option<u16>,
        bytes: u64,
        reset: bool,
    },
}

/// Says how one attempt has ended that wasn't a success.
enum Attempt {
    Over(Forwarded),
    /// Another one may follow; `reused` when the connection had been used before.
    Again {
        error: Error,
        reused: bool,
    },
}

impl Attempt {
    /// Another endpoint may do better.
    fn elsewhere(error: Error) -> Self {
        Self::Again {
            error,
            reused: false,
        }
    }
}

impl Stream {
    /// Asks one endpoint after the other, as far as the request may be repeated.
    pub(crate) async fn forward(
        &mut self,
        worker: &Rc<Worker>,
        account: &Account,
        mut client: Client<'_>,
        is_closing: impl Fn() -> bool,
    ) -> Forwarded {
        let mut tried: SmallVec<[Arc<Endpoint>; 3]> = SmallVec::new();
        let mut last = Error::NoInstance;
        let mut may_repeat_same = false;
        let mut left = self.retries.attempts;
        let mut is_pardoned = false;
        while left > 0 {
            let other = self.choose(worker, &tried);
            // An old connection says nothing of the endpoint: where it is the only one, a new one
            // may do.
            let same = || tried.last().filter(|_| may_repeat_same);
            let Some(endpoint) = other.or_else(same).map(Arc::clone) else {
                break;
            };
            if self.attempts > 0 {
                // What failed an old connection only was no try.
                if !may_repeat_same && !account.retry(Instant::now(), &self.retries) {
                    worker.counters.retries_refused.add(1);
                    break;
                }
                worker.counters.retries.add(1);
            }
            self.attempts += 1;
            self.terms.unwanted = match left > 1 {
                true => self.unwanted(account, &tried, &endpoint),
                false => Statuses::default(),
            };
            match self
                .attempt(worker, &mut client, &endpoint, may_repeat_same, &is_closing)
                .await
            {
                Attempt::Over(forwarded) => return forwarded,
                Attempt::Again { error, reused } => {
                    last = error;
                    // That nobody could know that a kept connection was over isn't a failure; but
                    // it happens once, as the next one is new.
                    match reused && !is_pardoned {
                        true => is_pardoned = true,
                        false => left -= 1,
                    }
                    may_repeat_same = reused;
                    tried.push(endpoint);
                }
            }
        }
        Forwarded::Failed(last)
    }

    /// Chooses an endpoint that hasn't been tried: the one at which its client is, else any.
    fn choose(&self, worker: &Worker, tried: &[Arc<Endpoint>]) -> Option<&Arc<Endpoint>> {
        match &self.hold.seated {
            Some(seated) if tried.is_empty() => Some(&seated.endpoint),
            _ => {
                // The same draws, while nothing changes, lead to the same instances.
                let seed = self.hold.hash.unwrap_or_else(|| worker.random());
                self.pool.pick(self.balancer, seed, tried)
            }
        }
    }

    /// Makes the line that sets the cookie by which the client comes to this endpoint again, unless it
    /// has one.
    fn cookie(&self, worker: &Worker, endpoint: &Arc<Endpoint>) -> Option<String> {
        let extras = self.extras.as_deref()?;
        let sticky = extras.sticky.as_ref().filter(|one| one.cookie.is_some())?;
        let is_kept = |seated: &Seated| !seated.renews && Arc::ptr_eq(&seated.endpoint, endpoint);
        if self.hold.seated.as_ref().is_some_and(is_kept) {
            return None;
        }
        let (service, now) = (&self.pool.service, unix_seconds());
        Some(worker.with_sticky_keys(|keys| keys.set_cookie(sticky, service, &endpoint.id, now)))
    }

    /// Asks one endpoint; `fresh` forbids to use a connection that was used before.
    async fn attempt(
        &mut self,
        worker: &Rc<Worker>,
        client: &mut Client<'_>,
        endpoint: &Arc<Endpoint>,
        fresh: bool,
        is_closing: impl Fn() -> bool,
    ) -> Attempt {
        let in_flight = endpoint.begin();
        let (slot, begun) = self.ask(worker, endpoint);
        let kept = match fresh {
            false => slot.take(!self.is_repeatable()),
            true => None,
        };
        let reused = kept.is_some();
        let mut upstream = match kept {
            Some(stream) => stream,
            None => match self.connect(worker, client.timer, endpoint).await {
                Ok(stream) => stream,
                Err(error) => {
                    self.blame(worker, endpoint);
                    return Attempt::elsewhere(error);
                }
            },
        };
        match reused && self.attempts == 1 {
            true => client.timer.set_from(self.started, self.terms.request),
            false => client.timer.set(self.terms.request),
        }
        let (mut input, mut output) = (worker.buffer(), worker.output());
        let cookie = self.cookie(worker, endpoint);
        let (dropped, added) = changes(self.extras.as_deref(), cookie);
        let lines = Lines {
            client: client.stream,
            upstream: &mut upstream,
            from_client: client.input,
            from_upstream: &mut input,
            to_client: &mut output,
            changes: Changes {
                dropped,
                lines: &added,
            },
        };
        let outgoing = &mut self.outgoing;
        let done = exchange::run(lines, outgoing, self.terms, client.timer, is_closing).await;
        worker.give_output(output);
        if let Ok(reply) = &done {
            let outcome = Outcome::of(reply.status, reply.answered - begun);
            worker.observe(&self.pool.service, endpoint, outcome);
        }
        if let Ok(reply) = done
            && reply.status == 101
        {
            let switched = Switched {
                upstream,
                input,
                in_flight,
            };
            return Attempt::Over(Forwarded::Switched(reply, switched));
        }
        worker.give_buffer(input);
        match done {
            Ok(reply) => {
                if reply.keeps_upstream {
                    slot.put(upstream, reply.ended, self.upstream_idle_max);
                }
                Attempt::Over(Forwarded::Replied(reply))
            }
            Err(fault) => self.fault(fault, worker, endpoint, reused),
        }
    }

    /// Notes whom it is sent to now; returns what the worker keeps of them, and since when.
    fn ask(&mut self, worker: &Rc<Worker>, endpoint: &Arc<Endpoint>) -> (Rc<Slot>, Instant) {
        let slot = worker.slot(endpoint, &self.pool.service);
        self.asked = Some(Asked {
            endpoint: Arc::clone(endpoint),
            address: endpoint.address,
            slot: Rc::clone(&slot),
        });
        match self.attempts {
            1 => (slot, self.started),
            _ => {
                slot.tally.retries.add(1);
                (slot, Instant::now())
            }
        }
    }

    /// Decides what follows a fault.
    fn fault(&self, fault: Fault, worker: &Worker, endpoint: &Endpoint, reused: bool) -> Attempt {
        match fault {
            Fault::Unanswered { unsent } => {
                if !reused {
                    self.blame(worker, endpoint);
                }
                let error = Error::UpstreamReset;
                let may = self.is_repeatable() || (unsent && self.outgoing.is_repeatable);
                match may {
                    true => Attempt::Again { error, reused },
                    false => Attempt::Over(Forwarded::Failed(error)),
                }
            }
            Fault::Unwanted { status } => {
                self.blame(worker, endpoint);
                Attempt::elsewhere(Error::UpstreamStatus(status))
            }
            Fault::Failed(error) => {
                if error.status() >= 500 {
                    self.blame(worker, endpoint);
                }
                // The rest of the time is another one's.
                let goes_on = error == Error::UpstreamTimeout
                    && self.retries.per_try.is_some()
                    && self.is_repeatable()
                    && self.started.elapsed() < self.timeouts.request.get();
                match goes_on {
                    true => Attempt::elsewhere(error),
                    false => Attempt::Over(Forwarded::Failed(error)),
                }
            }
            Fault::Aborted {
                status,
                bytes,
                reset,
            } => Attempt::Over(Forwarded::Aborted {
                status,
                bytes,
                reset,
            }),
        }
    }

    /// Returns the statuses after which another endpoint can be asked, when `next` gives one.
    fn unwanted(
        &self,
        account: &Account,
        tried: &[Arc<Endpoint>],
        next: &Arc<Endpoint>,
    ) -> Statuses {
        if self.retries.statuses == Statuses::default() || !self.is_repeatable() {
            return Statuses::default();
        }
        let mut tried: SmallVec<[Arc<Endpoint>; 3]> = tried.into();
        tried.push(Arc::clone(next));
        let has_other = self.pool.pick(self.balancer, 0, &tried).is_some();
        match has_other && account.may_retry(Instant::now(), &self.retries) {
            true => self.retries.statuses,
            false => Statuses::default(),
        }
    }

    /// Tells whether it can be sent again, and means the same then.
    fn is_repeatable(&self) -> bool {
        self.outgoing.is_repeatable && (self.is_idempotent || self.retries.non_idempotent)
    }

    /// Counts a failure to respond.
    fn blame(&self, worker: &Worker, endpoint: &Endpoint) {
        endpoint.fail();
        worker.observe(&self.pool.service, endpoint, Outcome::Failure);
    }

    /// Connects to the first address of an endpoint at which somebody is.
    async fn connect(
        &mut self,
        worker: &Worker,
        timer: &Timer,
        endpoint: &Endpoint,
    ) -> Result<TcpStream, Error> {
        worker.counters.upstream_connects.add(1);
        let slot = self.asked.as_ref().map(|asked| Rc::clone(&asked.slot));
        let end = Instant::now() + self.timeouts.connect.get();
        let mut last = Error::UpstreamRefused;
        let addresses = endpoint.addresses();
        let all = addresses.len() as u32;
        for (left, address) in (1..=all).rev().zip(addresses) {
            // One that is silent leaves the others their share of the time.
            timer.set(end.saturating_duration_since(Instant::now()) / left);
            if let Some(asked) = &mut self.asked {
                asked.address = address;
            }
            match timer.guard(upstream::connect(address)).await {
                Ok(Ok(stream)) => {
                    if let Some(slot) = slot {
                        slot.tally.connections.add(1);
                    }
                    return Ok(stream);
                }
                Ok(Err(_)) => last = Error::UpstreamRefused,
                Err(Elapsed) => last = Error::ConnectTimeout,
            }
        }
        worker.counters.upstream_connect_failures.add(1);
        if let Some(slot) = slot {
            slot.tally.connect_failures.add(1);
        }
        Err(last)
    }
}

/// Lists the names of the header lines that responses lose, and the lines that they get.
fn changes(extras: Option<&Extras>, cookie: Option<String>) -> (&[Box<str>], Cow<'_, [u8]>) {
    let edits = extras.and_then(|extras| extras.response.as_ref());
    let dropped = edits.map_or(&[][..], |edits| edits.dropped());
    let lines = edits.map_or(&b""[..], |edits| edits.lines());
    let added = match cookie {
        Some(cookie) => Cow::Owned([lines, cookie.as_bytes()].concat()),
        None => Cow::Borrowed(lines),
    };
    (dropped, added)
}
