//! From the bytes of a head to where the request goes: all that is decided before anybody is asked.

mod decision;
mod hold;

use std::rc::Rc;

use tokio::time::Instant;

use self::decision::{Decision, Way, decide};
pub(crate) use self::hold::{Hold, Seated, unix_seconds};
use crate::{
    RouteTable, Worker, access_log,
    config::{Statuses, Timeouts},
    error::Error,
    exchange::{Outgoing, Terms},
    forward::Stream,
    http::{
        Buffer, HEADERS_MAX,
        answer::Answer,
        fields::Framing,
        forwarded::Sender,
        marks::{Added, Marks, RequestId},
        request::{Onward, Request, slots},
        response::Asked,
    },
    ledger::{Account, RouteAccount},
    passwords::{Digest, Unverified},
    shared::Bounds,
};

/// Holds what is known of a request when its head has been read.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) course: Course,
    /// The route that it is for, if it is one's.
    pub(crate) route: Option<Rc<RouteAccount>>,
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

/// Says what becomes of a request.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all are forwarded, and a box would cost each an allocation"
)]
pub(crate) enum Course {
    /// An instance is asked.
    Forward(Stream),
    /// Its route answers it.
    Answer(Answer),
    /// It is refused.
    Refuse(Error),
}

impl Plan {
    /// Reads the head at the front of `input`, and what there is of the body behind it.
    ///
    /// A password that is `wrong` was compared already.
    ///
    /// # Errors
    ///
    /// Leaves all as it is when a password has to be compared first.
    pub(crate) fn new(
        worker: &Worker,
        sender: &Sender,
        input: &mut Buffer,
        head: usize,
        started: Instant,
        wrong: Option<&Digest>,
    ) -> Result<Self, Unverified> {
        let mut plan = Self::read(worker, sender, &input.filled()[..head], started, wrong)?;
        input.consume(head);
        if let Course::Forward(stream) = &mut plan.course {
            let outgoing = &mut stream.outgoing;
            if let Err(malformed) = outgoing.body.transfer(input, &mut outgoing.bytes) {
                plan.course = Course::Refuse(malformed.into());
                plan.keep_alive = false;
            }
        }
        Ok(plan)
    }

    fn read(
        worker: &Worker,
        sender: &Sender,
        head: &[u8],
        started: Instant,
        wrong: Option<&Digest>,
    ) -> Result<Self, Unverified> {
        let bounds = worker.bounds();
        let mut slots = slots();
        let headers = bounds.limits.headers.min(HEADERS_MAX);
        let mut request = match Request::parse(head, &mut slots[..headers]) {
            Ok(request) => request,
            Err(malformed) => {
                return Ok(Self {
                    course: Course::Refuse(malformed.into()),
                    route: None,
                    asked: Asked::default(),
                    keep_alive: false,
                    version: worker.with_table(RouteTable::version),
                    added: Added::default(),
                    line: Vec::new(),
                });
            }
        };
        let id = request_id(worker, sender, &mut request);
        let added = worker.with_marks(|marks| Added::new(marks, id.as_ref()));
        let mut line = Vec::new();
        if worker.logs() {
            line = worker.output();
            access_log::begin(&request, id.as_ref(), &mut line);
        }
        let (version, (route, decision)) = worker.with_table(|table| {
            (
                table.version(),
                decide(table, &request, sender, worker, wrong),
            )
        });
        let framing = request.fields.framing;
        let bodiless = matches!(framing, Framing::Unsaid | Framing::Length(0));
        Ok(Self {
            route,
            course: match decision {
                Ok(Decision::Forward(way)) => {
                    let mut bytes = worker.output();
                    worker.with_marks(|marks| {
                        encode(&mut request, &way, sender, marks, id.as_ref(), &mut bytes);
                    });
                    let account = worker.account(&way.pool.service);
                    Course::Forward(stream(&request, way, account, bytes, &bounds, started))
                }
                Ok(Decision::Answer(answer)) => Course::Answer(answer),
                Ok(Decision::Verify(unverified)) => {
                    worker.give_output(line);
                    return Err(unverified);
                }
                Err(error) => Course::Refuse(error),
            },
            asked: asked(&request),
            keep_alive: request.keeps_alive() && bodiless && request.method != "CONNECT",
            version,
            added,
            line,
        })
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

/// Writes the head that an instance gets.
fn encode(
    request: &mut Request<'_, '_>,
    way: &Way<'_>,
    sender: &Sender,
    marks: &Marks,
    id: Option<&RequestId<'_>>,
    out: &mut Vec<u8>,
) {
    let extras = way.extras.as_deref();
    let rewritten = extras.and_then(|extras| extras.rewritten(&way.path));
    let edits = extras.and_then(|extras| extras.request.as_ref());
    if let Some(edits) = edits {
        request.fields.leave_out(edits.dropped());
    }
    let onward = Onward {
        path: rewritten.as_deref().unwrap_or(&way.path),
        nameless: way.pool.service.as_str(),
        host: extras.and_then(|extras| extras.host.as_deref()),
        lines: edits.map_or(b"", |edits| edits.lines()),
    };
    request.encode(sender, marks, id, onward, out);
}

fn asked(request: &Request<'_, '_>) -> Asked {
    Asked {
        head: request.method == "HEAD",
        version: request.version,
    }
}

fn stream(
    request: &Request<'_, '_>,
    way: Way<'_>,
    account: Rc<Account>,
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
    let retries = way.retries.over(bounds.retries);
    let limits = way.limits.over(bounds.limits);
    Stream {
        outgoing: Outgoing {
            bytes,
            body: request.body().at_most(limits.body_bytes_max()),
            is_repeatable: true,
            kept_bytes_max: retries.body_bytes.bytes(),
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
            abort_on_close: bounds.abort_on_close,
            unwanted: Statuses::default(),
        },
        started,
        ready: started,
        is_idempotent: request.is_idempotent(),
        pool: way.pool,
        account,
        balancer: way.balancer,
        timeouts,
        retries,
        upstream_idle_max: bounds.limits.upstream_idle,
        extras: way.extras,
        hold: way.hold,
        mirrored: way.mirrored,
        admission: None,
        attempts: 0,
        asked: None,
    }
}
