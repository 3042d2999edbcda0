//! One attempt: a request on its way to one endpoint.

use std::{borrow::Cow, rc::Rc, sync::Arc};

use tokio::{net::TcpStream, time::Instant};

use super::{Asked, Attempt, Cause, Client, Forwarded, Stream, Switched};
use crate::{
    Endpoint, Worker,
    error::Error,
    exchange::{self, Changes, Lines},
    http::marks::Added,
    plan::{Seated, unix_seconds},
    route::extras::Extras,
    timer::{Elapsed, Timer},
    upstream::{self, Slot, is_local},
};

impl Stream {
    /// Asks one endpoint; `fresh` forbids to use a connection that was used before.
    pub(super) async fn attempt(
        &mut self,
        worker: &Rc<Worker>,
        client: &mut Client<'_>,
        endpoint: &Arc<Endpoint>,
        fresh: bool,
        is_closing: impl Fn() -> bool,
    ) -> Attempt {
        let in_flight = endpoint.begin();
        let (slot, begun) = self.ask(worker, endpoint);
        let opened = self
            .open(worker, client.timer, endpoint, &slot, fresh)
            .await;
        let (mut upstream, reused) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                if error != Error::ResourcesExhausted {
                    self.blame(worker, endpoint);
                }
                return Attempt::Again(error, Cause::Unreached);
            }
        };
        let (mut input, mut output) = (worker.buffer(), worker.output());
        let cookie = self.cookie(worker, endpoint);
        let more = more_lines(self.extras.as_deref(), cookie);
        let lines = Lines {
            client: client.stream,
            upstream: &mut upstream,
            endpoint,
            from_client: client.input,
            from_upstream: &mut input,
            to_client: &mut output,
            pipes: &worker.pipes,
            changes: changes(self.extras.as_deref(), &more, client.added),
            allowance: self
                .account
                .allowance(&self.retries, &worker.counters.retries_refused),
        };
        let outgoing = &mut self.outgoing;
        let done = exchange::run(lines, outgoing, self.terms, client.timer, is_closing).await;
        worker.give_output(output);
        if let Ok(reply) = &done {
            self.judge(worker, endpoint, reply, begun);
        }
        match done {
            Ok(reply) if reply.status == 101 => {
                let switched = Switched {
                    upstream,
                    input,
                    in_flight,
                };
                Attempt::Over(Forwarded::Switched(reply, switched))
            }
            Ok(reply) => {
                worker.give_buffer(input);
                if reply.keeps_upstream {
                    slot.put(upstream, reply.ended, self.upstream_idle_max);
                }
                Attempt::Over(Forwarded::Replied(reply))
            }
            Err(fault) => {
                worker.give_buffer(input);
                self.fault(fault, worker, endpoint, reused)
            }
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
            1 => (slot, self.ready),
            _ => {
                slot.tally.retries.add(1);
                (slot, Instant::now())
            }
        }
    }

    /// Takes a connection that is kept, or makes one; returns whether it was used before.
    ///
    /// The time for the response begins with that.
    async fn open(
        &mut self,
        worker: &Worker,
        timer: &Timer,
        endpoint: &Endpoint,
        slot: &Slot,
        fresh: bool,
    ) -> Result<(TcpStream, bool), Error> {
        let kept = match fresh {
            // A body that is yet to come may grow too large to be sent twice.
            false => slot.take(!self.is_repeatable() || !self.outgoing.is_whole()),
            true => None,
        };
        let Some(stream) = kept else {
            let stream = self.connect(worker, timer, endpoint, slot).await?;
            timer.set(self.terms.request);
            return Ok((stream, false));
        };
        match self.attempts {
            1 => timer.set_from(self.ready, self.terms.request),
            _ => timer.set(self.terms.request),
        }
        Ok((stream, true))
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

    /// Connects to the first address of an endpoint at which somebody is.
    async fn connect(
        &mut self,
        worker: &Worker,
        timer: &Timer,
        endpoint: &Endpoint,
        slot: &Slot,
    ) -> Result<TcpStream, Error> {
        worker.counters.upstream_connects.add(1);
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
                    slot.tally.connections.add(1);
                    return Ok(stream);
                }
                Ok(Err(error)) if is_local(&error) => last = Error::ResourcesExhausted,
                Ok(Err(_)) => last = Error::UpstreamRefused,
                Err(Elapsed) => last = Error::ConnectTimeout,
            }
        }
        worker.counters.upstream_connect_failures.add(1);
        if last != Error::ResourcesExhausted {
            slot.tally.connect_failures.add(1);
        }
        Err(last)
    }
}

/// Returns the lines that responses get besides those of the endpoint.
fn more_lines(extras: Option<&Extras>, cookie: Option<String>) -> Cow<'_, [u8]> {
    let edits = extras.and_then(|extras| extras.response.as_ref());
    let lines = edits.map_or(&b""[..], |edits| edits.lines());
    match cookie {
        Some(cookie) => Cow::Owned([lines, cookie.as_bytes()].concat()),
        None => Cow::Borrowed(lines),
    }
}

/// Says what the client gets in another way, and which `lines` more.
fn changes<'a>(extras: Option<&'a Extras>, lines: &'a [u8], added: &'a Added) -> Changes<'a> {
    let edits = extras.and_then(|extras| extras.response.as_ref());
    Changes {
        dropped: edits.map_or(&[], |edits| edits.dropped()),
        lines,
        location: extras.and_then(|extras| extras.location.as_ref()),
        added,
    }
}
