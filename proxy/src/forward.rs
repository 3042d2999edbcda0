//! Takes one request to an endpoint, and to another one when the first fails it.

use std::{net::SocketAddr, rc::Rc, sync::Arc};

use registry::InstanceId;
use smallvec::SmallVec;
use tokio::{net::TcpStream, time::Instant};

use crate::{
    Balancer, Endpoint, Worker,
    config::Timeouts,
    endpoint::InFlight,
    error::Error,
    exchange::{self, Fault, Lines, Outgoing, Reply, Terms},
    http::{Buffer, marks::Added},
    pool::Pool,
    timer::{Elapsed, Timer},
    upstream,
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
    pub(crate) attempts_max: usize,
    pub(crate) upstream_idle_max: usize,
    /// How many times it was sent or tried to be.
    pub(crate) attempts: usize,
    /// Whom it was sent to last.
    pub(crate) endpoint: Option<(InstanceId, SocketAddr)>,
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

impl Stream {
    /// Asks one endpoint after the other, as far as the request may be repeated.
    pub(crate) async fn forward(
        &mut self,
        worker: &Rc<Worker>,
        mut client: Client<'_>,
        is_closing: impl Fn() -> bool,
    ) -> Forwarded {
        let mut tried: SmallVec<[Arc<Endpoint>; 3]> = SmallVec::new();
        let mut last = Error::NoInstance;
        let mut may_repeat_same = false;
        let mut left = self.attempts_max;
        let mut is_pardoned = false;
        while left > 0 {
            let other = self.pool.pick(self.balancer, worker.random(), &tried);
            // An old connection says nothing of the endpoint: where it is the only one, a new one
            // may do.
            let same = || tried.last().filter(|_| may_repeat_same);
            let Some(endpoint) = other.or_else(same).map(Arc::clone) else {
                break;
            };
            if self.attempts > 0 {
                worker.counters.retries.add(1);
            }
            self.attempts += 1;
            self.endpoint = Some((endpoint.id.clone(), endpoint.address));
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
        let kept = match fresh {
            false => worker.upstreams.take(endpoint),
            true => None,
        };
        let reused = kept.is_some();
        let mut upstream = match kept {
            Some(stream) => stream,
            None => match self.connect(worker, client.timer, endpoint).await {
                Ok(stream) => stream,
                Err(error) => {
                    endpoint.fail();
                    return Attempt::Again {
                        error,
                        reused: false,
                    };
                }
            },
        };
        match reused && self.attempts == 1 {
            true => client.timer.set_from(self.started, self.terms.request),
            false => client.timer.set(self.terms.request),
        }
        let (mut input, mut output) = (worker.buffer(), worker.output());
        let lines = Lines {
            client: client.stream,
            upstream: &mut upstream,
            from_client: client.input,
            from_upstream: &mut input,
            to_client: &mut output,
            added: client.added,
        };
        let outgoing = &mut self.outgoing;
        let done = exchange::run(lines, outgoing, self.terms, client.timer, is_closing).await;
        worker.give_output(output);
        if let Ok(reply) = done
            && reply.status == 101
        {
            return Attempt::Over(Forwarded::Switched(
                reply,
                Switched {
                    upstream,
                    input,
                    in_flight,
                },
            ));
        }
        worker.give_buffer(input);
        match done {
            Ok(reply) => {
                if reply.keeps_upstream {
                    self.keep(worker, endpoint, upstream);
                }
                Attempt::Over(Forwarded::Replied(reply))
            }
            Err(fault) => self.fault(fault, endpoint, reused),
        }
    }

    /// Decides what follows a fault.
    fn fault(&self, fault: Fault, endpoint: &Endpoint, reused: bool) -> Attempt {
        match fault {
            Fault::Unanswered { unsent } => {
                if !reused {
                    endpoint.fail();
                }
                let error = Error::UpstreamReset;
                match self.outgoing.is_repeatable && (self.is_idempotent || unsent) {
                    true => Attempt::Again { error, reused },
                    false => Attempt::Over(Forwarded::Failed(error)),
                }
            }
            Fault::Failed(error) => {
                if error.status() >= 500 {
                    endpoint.fail();
                }
                Attempt::Over(Forwarded::Failed(error))
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

    /// Connects to the first address of an endpoint at which somebody is.
    async fn connect(
        &mut self,
        worker: &Worker,
        timer: &Timer,
        endpoint: &Endpoint,
    ) -> Result<TcpStream, Error> {
        worker.counters.upstream_connects.add(1);
        let end = Instant::now() + self.timeouts.connect.get();
        let mut last = Error::UpstreamRefused;
        let addresses = endpoint.addresses();
        let all = addresses.len() as u32;
        for (left, address) in (1..=all).rev().zip(addresses) {
            // One that is silent leaves the others their share of the time.
            timer.set(end.saturating_duration_since(Instant::now()) / left);
            self.endpoint = Some((endpoint.id.clone(), address));
            match timer.guard(upstream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(_)) => last = Error::UpstreamRefused,
                Err(Elapsed) => last = Error::ConnectTimeout,
            }
        }
        worker.counters.upstream_connect_failures.add(1);
        Err(last)
    }

    /// Keeps a connection for later, while its endpoint may still be asked.
    fn keep(&self, worker: &Worker, endpoint: &Arc<Endpoint>, stream: TcpStream) {
        let service = &self.pool.service;
        if worker.with_table(|table| table.contains(service, endpoint)) {
            let (now, most) = (Instant::now(), self.upstream_idle_max);
            worker.upstreams.put(endpoint, service, stream, now, most);
        }
    }
}
