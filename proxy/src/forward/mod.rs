//! Takes one request to an endpoint, and to another one when the first fails it.

mod attempt;

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use smallvec::SmallVec;
use tokio::{net::TcpStream, select, time::Instant};

use crate::{
    Balancer, Endpoint, Retries, Worker, balancers,
    circuit::Admission,
    config::{Statuses, Timeouts},
    endpoint::InFlight,
    error::Error,
    exchange::{Fault, Outgoing, Reply, Terms, left},
    health::Outcome,
    http::{Buffer, marks::Added},
    ledger::Account,
    mirror::Mirrored,
    plan::Hold,
    pool::Pool,
    route::extras::Extras,
    timer::Timer,
    upstream::Slot,
};

/// Holds one request on its way: what is sent, where it may go, and what is known of it for the
/// log.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) outgoing: Outgoing,
    pub(crate) terms: Terms,
    /// When its head was there.
    pub(crate) started: Instant,
    /// When it had waited for others, if it had to.
    pub(crate) ready: Instant,
    pub(crate) is_idempotent: bool,
    pub(crate) pool: Arc<Pool>,
    /// What is counted for its service.
    pub(crate) account: Rc<Account>,
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
    /// Counts among what its service is given, where that is bounded.
    pub(crate) admission: Option<Admission>,
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
    /// What its responses get from us.
    pub(crate) added: &'a Added,
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
        error: Error,
    },
}

/// Says how one attempt has ended that wasn't a success.
enum Attempt {
    Over(Forwarded),
    /// Another one may follow.
    Again(Error, Cause),
}

/// Says what an attempt has failed of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The connection had been kept, and was over: that says nothing of the endpoint.
    Stale,
    /// The endpoint wasn't reached, and so has no work with the request.
    Unreached,
    /// The endpoint has failed it.
    Failed,
    /// The endpoint has answered that it fails it, and asking another one is paid for.
    Declined,
}

impl Attempt {
    /// Another endpoint may do better.
    fn elsewhere(error: Error) -> Self {
        Self::Again(error, Cause::Failed)
    }
}

impl Stream {
    /// Asks one endpoint after the other, as far as the request may be repeated.
    pub(crate) async fn forward(
        &mut self,
        worker: &Rc<Worker>,
        mut client: Client<'_>,
        is_closing: impl Fn() -> bool,
    ) -> Forwarded {
        if let Some(over) = self.enter(worker, &client).await {
            return over;
        }
        let mut tried: SmallVec<[Arc<Endpoint>; 3]> = SmallVec::new();
        let mut last = Error::NoInstance;
        let mut cause = None;
        let mut left = self.retries.attempts;
        let mut is_pardoned = false;
        while left > 0 {
            if cause.is_some() {
                self.renew(worker);
            }
            // An old connection says nothing of the endpoint: where it is the only one, or the client
            // belongs there, a new one may do.
            let is_stale = cause == Some(Cause::Stale);
            let same = || tried.last().filter(|_| is_stale);
            let own = same().filter(|_| self.hold.is_somewhere());
            let other = own.or_else(|| self.choose(worker, &tried));
            let Some(endpoint) = other.or_else(same).map(Arc::clone) else {
                break;
            };
            if let Some(cause) = cause {
                // What nobody had any work with doesn't multiply the load.
                let refused = &worker.counters.retries_refused;
                let allowance = self.account.allowance(&self.retries, refused);
                if cause == Cause::Failed && !allowance.take() {
                    break;
                }
                self.account.tally.retries.add(1);
                worker.counters.retries.add(1);
            }
            self.attempts += 1;
            self.terms.request = self.patience();
            self.terms.unwanted = match left > 1 {
                true => self.unwanted(&tried, &endpoint),
                false => Statuses::default(),
            };
            match self
                .attempt(worker, &mut client, &endpoint, is_stale, &is_closing)
                .await
            {
                Attempt::Over(forwarded) => return forwarded,
                Attempt::Again(error, why) => {
                    // What one has answered says more than that another one isn't there.
                    let has_answer = matches!(last, Error::UpstreamStatus(_));
                    if !(has_answer && why == Cause::Unreached) {
                        last = error;
                    }
                    // That nobody could know that a kept connection was over isn't a failure; but
                    // it happens once, as the next one is new.
                    match why == Cause::Stale && !is_pardoned {
                        true => is_pardoned = true,
                        false => left -= 1,
                    }
                    cause = Some(why);
                    tried.push(endpoint);
                }
            }
        }
        Forwarded::Failed(last)
    }

    /// Waits until it is let in, where its service is given so much at a time; returns what has become of
    /// it when it isn't.
    async fn enter(&mut self, worker: &Worker, client: &Client<'_>) -> Option<Forwarded> {
        let circuit = self.pool.circuit.as_ref()?;
        let patience = self.timeouts.connect.get();
        let entered = select! {
            biased;
            entered = circuit.enter(client.timer, patience) => entered,
            () = left(client.stream, self.terms.abort_on_close) => {
                return Some(Forwarded::Aborted {
                    status: None,
                    bytes: 0,
                    reset: false,
                    error: Error::ClientAborted,
                });
            }
        };
        let admission = match entered {
            Ok(admission) => admission,
            Err(error) => {
                self.account.tally.shed.add(1);
                return Some(Forwarded::Failed(error));
            }
        };
        if admission.has_waited {
            self.ready = Instant::now();
            self.renew(worker);
        }
        self.admission = Some(admission);
        None
    }

    /// Goes on with those who are there now: some may have come or left meanwhile.
    fn renew(&mut self, worker: &Worker) {
        let now = worker.with_table(|table| table.successor(&self.pool).map(Arc::clone));
        if let Some(pool) = now {
            self.pool = pool;
        }
        let pool = &self.pool;
        self.hold
            .seated
            .take_if(|seated| !pool.contains(&seated.endpoint));
    }

    /// Returns how long the next one has for the head of its response: less than all only where another
    /// one could be asked after it.
    fn patience(&self) -> Duration {
        let whole = self.timeouts.request.get();
        match self.retries.per_try {
            Some(per_try) if self.is_repeatable() => per_try.get().min(whole),
            _ => whole,
        }
    }

    /// Chooses an endpoint that hasn't been tried: the one at which its client is, else any.
    fn choose(&self, worker: &Worker, tried: &[Arc<Endpoint>]) -> Option<&Arc<Endpoint>> {
        match &self.hold.seated {
            Some(seated) if tried.is_empty() => Some(&seated.endpoint),
            _ => {
                let hash = self.hold.hash;
                let request = balancers::Request {
                    // The same draws, while nothing changes, lead to the same instances.
                    seed: hash.unwrap_or_else(|| worker.random()),
                    hash,
                    now: worker.millis(self.started),
                    tried,
                    ..balancers::Request::default()
                };
                self.pool.pick(self.balancer, request)
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
                    true if reused => Attempt::Again(error, Cause::Stale),
                    true if unsent => Attempt::Again(error, Cause::Unreached),
                    true => Attempt::elsewhere(error),
                    false => Attempt::Over(Forwarded::Failed(error)),
                }
            }
            Fault::Unwanted { status } => {
                self.blame(worker, endpoint);
                Attempt::Again(Error::UpstreamStatus(status), Cause::Declined)
            }
            Fault::Silent => {
                self.blame(worker, endpoint);
                // The rest of the time is another one's.
                let goes_on = self.retries.per_try.is_some()
                    && self.is_repeatable()
                    && self.ready.elapsed() < self.timeouts.request.get();
                match goes_on {
                    true => Attempt::elsewhere(Error::UpstreamTimeout),
                    false => Attempt::Over(Forwarded::Failed(Error::UpstreamTimeout)),
                }
            }
            Fault::Failed(error) => {
                if error.is_upstream() {
                    self.blame(worker, endpoint);
                }
                Attempt::Over(Forwarded::Failed(error))
            }
            Fault::Aborted {
                status,
                bytes,
                reset,
                error,
            } => {
                if error.is_upstream() {
                    self.blame(worker, endpoint);
                }
                Attempt::Over(Forwarded::Aborted {
                    status,
                    bytes,
                    reset,
                    error,
                })
            }
        }
    }

    /// Returns the statuses after which another endpoint can be asked, when `next` gives one.
    fn unwanted(&self, tried: &[Arc<Endpoint>], next: &Arc<Endpoint>) -> Statuses {
        if self.retries.statuses == Statuses::default() || !self.is_repeatable() {
            return Statuses::default();
        }
        let mut tried: SmallVec<[Arc<Endpoint>; 3]> = tried.into();
        tried.push(Arc::clone(next));
        let has_other = self.pool.has_other_than(&tried);
        match has_other && self.account.may_retry(&self.retries) {
            true => self.retries.statuses,
            false => Statuses::default(),
        }
    }

    /// Tells whether it can be sent again, and means the same then.
    fn is_repeatable(&self) -> bool {
        self.outgoing.is_repeatable && (self.is_idempotent || self.retries.non_idempotent)
    }

    /// Counts a response, and how long it took since the endpoint had been asked, which with a body that
    /// is slow to come is later than when it began.
    fn judge(&self, worker: &Worker, endpoint: &Endpoint, reply: &Reply, begun: Instant) {
        let begun = reply.sent.map_or(begun, |sent| sent.max(begun));
        let took = reply.answered.saturating_duration_since(begun);
        let (outcome, now) = (
            Outcome::of(reply.status, took),
            worker.millis(reply.answered),
        );
        match outcome {
            Outcome::Success(_) => endpoint.speed().observe(now, took),
            Outcome::Failure => endpoint.speed().hold(now, took),
        }
        worker.observe(&self.pool.service, endpoint, outcome);
    }

    /// Counts a failure to respond.
    fn blame(&self, worker: &Worker, endpoint: &Endpoint) {
        endpoint.fail(worker.millis(Instant::now()));
        worker.observe(&self.pool.service, endpoint, Outcome::Failure);
    }
}
