//! From the bytes of a head to where the request goes: all that is decided before anybody is asked.

use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    Balancer, RouteTable, Worker, access_log,
    config::{RouteTimeouts, Timeouts},
    error::Error,
    exchange::{Outgoing, Terms},
    forward::Stream,
    http::{
        Buffer, HEADERS_MAX, Malformed,
        fields::Framing,
        forwarded::Sender,
        marks::{Added, RequestId},
        request::{Request, slots},
        response::Asked,
    },
    pool::Pool,
    shared::Bounds,
};

/// Holds what is known of a request when its head has been read.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The way it goes, or why it goes none.
    pub(crate) stream: Result<Stream, Error>,
    pub(crate) asked: Asked,
    /// Another request can follow even when this one is refused.
    pub(crate) keep_alive: bool,
    /// The version of the route table.
    pub(crate) version: u64,
    /// What the responses get from us.
    pub(crate) added: Added,
    /// What the access log says of the request.
    pub(crate) line: Vec<u8>,
}

/// Says where a request goes.
struct Way {
    pool: Arc<Pool>,
    balancer: Balancer,
    timeouts: RouteTimeouts,
}

impl Plan {
    /// Reads the head at the front of `input`, and what there is of the body behind it.
    pub(crate) fn new(
        worker: &Worker,
        sender: &Sender,
        input: &mut Buffer,
        head: usize,
        started: Instant,
    ) -> Self {
        let mut plan = Self::read(worker, sender, &input.filled()[..head], started);
        input.consume(head);
        if let Ok(stream) = &mut plan.stream {
            let outgoing = &mut stream.outgoing;
            if let Err(malformed) = outgoing.body.transfer(input, &mut outgoing.bytes) {
                plan.stream = Err(malformed.into());
                plan.keep_alive = false;
            }
        }
        plan
    }

    fn read(worker: &Worker, sender: &Sender, head: &[u8], started: Instant) -> Self {
        let bounds = worker.bounds();
        let mut slots = slots();
        let headers = bounds.limits.headers.min(HEADERS_MAX);
        let mut request = match Request::parse(head, &mut slots[..headers]) {
            Ok(request) => request,
            Err(malformed) => {
                return Self {
                    stream: Err(malformed.into()),
                    asked: Asked::default(),
                    keep_alive: false,
                    version: worker.with_table(RouteTable::version),
                    added: Added::default(),
                    line: Vec::new(),
                };
            }
        };
        let id = request_id(worker, sender, &mut request);
        let added = worker.with_marks(|marks| Added::new(marks, id.as_ref()));
        let mut line = Vec::new();
        if worker.logs() {
            line = worker.output();
            access_log::begin(&request, id.as_ref(), &mut line);
        }
        let (version, way) = worker.with_table(|table| (table.version(), way(table, &request)));
        let framing = request.fields.framing;
        let bodiless = matches!(framing, Framing::Unsaid | Framing::Length(0));
        Self {
            stream: way.map(|way| {
                let mut bytes = worker.output();
                worker.with_marks(|marks| {
                    let nameless = way.pool.service.as_str();
                    request.encode(sender, marks, id.as_ref(), nameless, &mut bytes);
                });
                stream(&request, way, bytes, &bounds, started)
            }),
            asked: asked(&request),
            keep_alive: request.keeps_alive() && bodiless && request.method != "CONNECT",
            version,
            added,
            line,
        }
    }
}

/// Finds or makes the id of a request, where requests have ids.
fn request_id<'b>(
    worker: &Worker,
    sender: &Sender,
    request: &mut Request<'_, 'b>,
) -> Option<RequestId<'b>> {
    worker.with_marks(|marks| {
        let name = marks.request_id_header.as_str();
        if name.is_empty() {
            return None;
        }
        let found = RequestId::find(name, sender.trusted, &mut request.fields);
        Some(found.unwrap_or_else(|| worker.request_id()))
    })
}

/// Finds where a request goes.
fn way(table: &RouteTable, request: &Request<'_, '_>) -> Result<Way, Error> {
    if request.method == "CONNECT" {
        return Err(Error::ConnectMethod);
    }
    let unsynced = |error| match table.is_unsynced() {
        true => Error::Unsynced,
        false => error,
    };
    if table.refuses(request.target.path()) {
        return Err(Malformed::Syntax("the path has dot segments").into());
    }
    let matched = table
        .find(request.host, request.target.path())
        .ok_or_else(|| unsynced(Error::UnknownHost))?;
    let pool = matched.pool.ok_or_else(|| unsynced(Error::NoInstance))?;
    if pool.is_empty() {
        return Err(Error::NoInstance);
    }
    Ok(Way {
        pool: Arc::clone(pool),
        balancer: matched.balancer,
        timeouts: matched.timeouts,
    })
}

fn asked(request: &Request<'_, '_>) -> Asked {
    Asked {
        head: request.method == "HEAD",
        version: request.version,
    }
}

fn stream(
    request: &Request<'_, '_>,
    way: Way,
    bytes: Vec<u8>,
    bounds: &Bounds,
    started: Instant,
) -> Stream {
    let timeouts = Timeouts {
        connect: way.timeouts.connect.unwrap_or(bounds.timeouts.connect),
        request: way.timeouts.request.unwrap_or(bounds.timeouts.request),
        stream_idle: way
            .timeouts
            .stream_idle
            .unwrap_or(bounds.timeouts.stream_idle),
        ..bounds.timeouts
    };
    Stream {
        outgoing: Outgoing {
            bytes,
            body: request.body().at_most(bounds.limits.body_bytes_max()),
            is_repeatable: true,
            kept_bytes_max: bounds.retries.body_bytes.bytes(),
        },
        terms: Terms {
            asked: asked(request),
            keep_alive: request.keeps_alive(),
            expects_continue: request.expects_continue(),
            wants_upgrade: request.wants_upgrade(),
            request: timeouts.request.get(),
            stream_idle: timeouts.stream_idle.get(),
            header_bytes: bounds.limits.header_bytes.bytes(),
            headers: bounds.limits.headers.min(HEADERS_MAX),
        },
        started,
        is_idempotent: request.is_idempotent(),
        pool: way.pool,
        balancer: way.balancer,
        timeouts,
        attempts_max: bounds.retries.attempts,
        upstream_idle_max: bounds.limits.upstream_idle,
        attempts: 0,
        endpoint: None,
    }
}
