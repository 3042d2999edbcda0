//! Copies of requests for services whose responses nobody sees.
//!
//! A copy is sent when the request itself was answered, so it neither delays nor fails it. It is sent at
//! most once.

use std::{cell::Cell, io, mem, rc::Rc, sync::Arc};

use smallvec::SmallVec;
use tokio::{net::TcpStream, time::Instant};

use crate::{
    Balancer, Endpoint, Worker, balancers,
    circuit::Admission,
    exchange::Terms,
    forward::Stream,
    http::{Body, Buffer, Malformed, Scan, head::scan, request::slots, response::Response},
    metrics::Mirroring,
    pool::Pool,
    socket::{read, write_all},
    timer::Timer,
    upstream,
};

/// Counts the copies of one worker that are on their way.
#[derive(Debug, Default)]
pub(crate) struct Mirrors(Cell<usize>);

/// Says where the copy of a request goes.
#[derive(Debug)]
pub(crate) struct Mirrored {
    pub(crate) pool: Arc<Pool>,
    pub(crate) balancer: Balancer,
}

/// Holds a copy on its way.
struct Copy {
    worker: Rc<Worker>,
    pool: Arc<Pool>,
    endpoint: Arc<Endpoint>,
    bytes: Vec<u8>,
    terms: Terms,
    upstream_idle_max: usize,
    _admission: Option<Admission>,
}

/// Sends the copy of a request that was answered, if it is to have one and was kept whole.
pub(crate) fn send(worker: &Rc<Worker>, stream: &mut Stream) {
    let Some(Mirrored { pool, balancer }) = stream.mirrored.take() else {
        return;
    };
    let counts = &worker.counters.mirrored;
    if stream.terms.wants_upgrade || !stream.outgoing.is_whole() {
        counts[Mirroring::NotWhole as usize].add(1);
        return;
    }
    if worker.mirrors.0.get() >= worker.bounds().limits.mirrored {
        counts[Mirroring::Busy as usize].add(1);
        return;
    }
    let Some(endpoint) = choose(worker, &pool, balancer, stream.started) else {
        counts[Mirroring::Failed as usize].add(1);
        return;
    };
    let Some(admission) = pool
        .circuit
        .as_ref()
        .map_or(Some(None), |circuit| circuit.try_enter().map(Some))
    else {
        counts[Mirroring::Busy as usize].add(1);
        return;
    };
    worker.mirrors.0.set(worker.mirrors.0.get() + 1);
    let copy = Copy {
        worker: Rc::clone(worker),
        pool,
        endpoint,
        bytes: mem::take(&mut stream.outgoing.bytes),
        terms: stream.terms,
        upstream_idle_max: stream.upstream_idle_max,
        _admission: admission,
    };
    tokio::task::spawn_local(copy.run());
}

/// Chooses who gets a copy, among those that are still there: the request may have taken long.
fn choose(
    worker: &Worker,
    pool: &Pool,
    balancer: Balancer,
    started: Instant,
) -> Option<Arc<Endpoint>> {
    let mut tried: SmallVec<[Arc<Endpoint>; 1]> = SmallVec::new();
    loop {
        let request = balancers::Request {
            seed: worker.random(),
            now: worker.millis(started),
            tried: &tried,
            ..balancers::Request::default()
        };
        let chosen = Arc::clone(pool.pick(balancer, request)?);
        if worker.with_table(|table| table.contains(&pool.service, &chosen)) {
            return Some(chosen);
        }
        tried.push(chosen);
    }
}

impl Copy {
    async fn run(mut self) {
        let in_flight = self.endpoint.begin();
        let timer = Timer::new(self.terms.request);
        let mut input = self.worker.buffer();
        let sent = timer.guard(self.exchange(&mut input)).await;
        self.worker.give_buffer(input);
        let result = match sent {
            Ok(Ok(())) => Mirroring::Sent,
            _ => Mirroring::Failed,
        };
        drop(in_flight);
        self.worker.counters.mirrored[result as usize].add(1);
    }

    /// Sends the request, reads the response to its end and keeps the connection if it can.
    async fn exchange(&mut self, input: &mut Buffer) -> io::Result<()> {
        let slot = self.worker.slot(&self.endpoint, &self.pool.service);
        let mut upstream = match slot.take(true) {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        write_all(&mut upstream, &self.bytes).await?;
        let keeps = self.discard(&mut upstream, input).await?;
        if keeps && input.is_empty() {
            slot.put(upstream, Instant::now(), self.upstream_idle_max);
        }
        Ok(())
    }

    /// Connects to the first address at which somebody is.
    async fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::ErrorKind::AddrNotAvailable.into();
        for address in self.endpoint.addresses() {
            match upstream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Reads a head: the body that follows, and whether the connection can take another request after
    /// it; `None` for an interim response.
    fn read_head(&self, head: &[u8]) -> io::Result<Option<(Body, bool)>> {
        let mut slots = slots();
        let response = Response::parse(head, &mut slots[..self.terms.headers]);
        let response = response.map_err(malformed)?;
        if response.is_interim() {
            return Ok(None);
        }
        let body = response.body(self.terms.asked);
        let keeps = response.keeps_alive() && !body.ends_by_close();
        Ok(Some((body, keeps)))
    }

    /// Reads a response and forgets it; returns whether the connection can take another request.
    async fn discard(&mut self, upstream: &mut TcpStream, input: &mut Buffer) -> io::Result<bool> {
        let (mut body, keeps) = loop {
            if let Scan::Complete(head) = scan(input.filled(), 0).map_err(malformed)? {
                let read = self.read_head(&input.filled()[..head])?;
                input.consume(head);
                match read {
                    Some(read) => break read,
                    None => continue,
                }
            }
            if input.filled().len() > self.terms.header_bytes {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if input.spare().is_empty() {
                input.grow(input.capacity() * 2);
            }
            if read(upstream, input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        loop {
            self.bytes.clear();
            body.transfer(input, &mut self.bytes).map_err(malformed)?;
            if body.is_done() {
                return Ok(keeps);
            }
            if read(upstream, input).await? == 0 && !body.end(&mut self.bytes) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let mirrors = &self.worker.mirrors.0;
        mirrors.set(mirrors.get() - 1);
        self.worker.give_output(mem::take(&mut self.bytes));
    }
}

fn malformed(_: Malformed) -> io::Error {
    io::ErrorKind::InvalidData.into()
}
