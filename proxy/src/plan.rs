//! From the bytes of a head to where the request goes: all that is decided before anybody is asked.

mod hold;

use std::{borrow::Cow, sync::Arc};

use tokio::time::Instant;

pub(crate) use self::hold::{Hold, Seated, unix_seconds};
use crate::{
    Balancer, RouteTable, Worker, access_log,
    config::{RouteRetries, RouteTimeouts, Scheme, Statuses, Timeouts},
    error::Error,
    exchange::{Outgoing, Terms},
    forward::Stream,
    http::{
        Buffer, HEADERS_MAX, Malformed,
        answer::Answer,
        fields::{Field, Framing, tokens},
        forwarded::Sender,
        marks::{Added, Marks, RequestId},
        request::{Onward, Request, Target, slots},
        response::Asked,
    },
    mirror::Mirrored,
    pool::Pool,
    route::{
        Matched,
        action::{Action, Targets},
        extras::Extras,
        facets::Facets,
        path::normalize,
        redirect::From,
        rule::Rule,
    },
    shared::Bounds,
};

/// Holds what is known of a request when its head has been read.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) course: Course,
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

/// Says what a request is to come to.
enum Decision<'b> {
    Forward(Way<'b>),
    Answer(Answer),
}

/// Says where a request goes.
struct Way<'b> {
    /// The path that was routed.
    path: Cow<'b, str>,
    pool: Arc<Pool>,
    balancer: Balancer,
    timeouts: RouteTimeouts,
    retries: RouteRetries,
    extras: Option<Arc<Extras>>,
    hold: Hold,
    mirrored: Option<Mirrored>,
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
        if let Course::Forward(stream) = &mut plan.course {
            let outgoing = &mut stream.outgoing;
            if let Err(malformed) = outgoing.body.transfer(input, &mut outgoing.bytes) {
                plan.course = Course::Refuse(malformed.into());
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
                    course: Course::Refuse(malformed.into()),
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
        let (version, decision) =
            worker.with_table(|table| (table.version(), decide(table, &request, sender, worker)));
        let framing = request.fields.framing;
        let bodiless = matches!(framing, Framing::Unsaid | Framing::Length(0));
        Self {
            course: match decision {
                Ok(Decision::Forward(way)) => {
                    let mut bytes = worker.output();
                    worker.with_marks(|marks| {
                        encode(&mut request, &way, sender, marks, id.as_ref(), &mut bytes);
                    });
                    Course::Forward(stream(&request, way, bytes, &bounds, started))
                }
                Ok(Decision::Answer(answer)) => Course::Answer(answer),
                Err(error) => Course::Refuse(error),
            },
            asked: asked(&request),
            keep_alive: request.keeps_alive() && bodiless && request.method != "CONNECT",
            version,
            added,
            line,
        }
    }
}

impl<'b> Way<'b> {
    /// Leads to the service that the host names.
    fn plain(path: Cow<'b, str>, pool: &Arc<Pool>, balancer: Balancer) -> Self {
        Self {
            path,
            pool: Arc::clone(pool),
            balancer,
            timeouts: RouteTimeouts::default(),
            retries: RouteRetries::default(),
            extras: None,
            hold: Hold::default(),
            mirrored: None,
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

/// Decides what a request comes to.
fn decide<'b>(
    table: &RouteTable,
    request: &Request<'_, 'b>,
    sender: &Sender,
    worker: &Worker,
) -> Result<Decision<'b>, Error> {
    if request.method == "CONNECT" {
        return Err(Error::ConnectMethod);
    }
    let path = path(table, request.target).map_err(Malformed::Syntax)?;
    let facets = Facets::new(
        request.method,
        request.fields.headers,
        request.target.query(),
        sender.address,
        &table.routes().trusted_proxies,
    );
    let matched = table.find(request.host, &path, &facets);
    let rule = match matched.ok_or_else(|| unknown(table, Error::UnknownHost))? {
        Matched::Rule(rule) => rule,
        Matched::Named(pool) if pool.is_empty() => return Err(Error::NoInstance),
        Matched::Named(pool) => {
            let balancer = table.routes().default_balancer;
            return Ok(Decision::Forward(Way::plain(path, pool, balancer)));
        }
    };
    let targets = match &rule.action {
        Action::Forward(targets) => targets,
        Action::Redirect(location) => {
            let from = From {
                scheme: scheme(request, sender),
                authority: request.authority,
                path: &path,
                query: request.target.query(),
            };
            let answer = Answer::redirect(location.status(), location.of(from));
            return Ok(Decision::Answer(edited(answer, rule)));
        }
        Action::Respond(respond) => {
            return Ok(Decision::Answer(edited(Answer::fixed(respond), rule)));
        }
    };
    let extras = rule.extras.as_ref();
    let (pool, hold) = match extras.and_then(|extras| extras.sticky.as_ref()) {
        None => (pool(table, targets, || worker.random())?, Hold::default()),
        Some(sticky) => hold::find(table, targets, sticky, &facets, worker)?,
    };
    Ok(Decision::Forward(Way {
        path,
        pool: Arc::clone(pool),
        hold,
        mirrored: extras.and_then(|extras| mirrored(table, rule, extras, worker)),
        balancer: rule.balancer,
        timeouts: rule.timeouts,
        retries: rule.retries,
        extras: extras.map(Arc::clone),
    }))
}

/// Changes the headers of an answer as its route says.
fn edited(mut answer: Answer, rule: &Rule) -> Answer {
    let extras = rule.extras.as_ref();
    if let Some(edits) = extras.and_then(|extras| extras.response.as_ref()) {
        answer.change(edits.dropped(), edits.lines());
    }
    answer
}

/// Decides whether a copy of a request goes to the route's mirror.
fn mirrored(table: &RouteTable, rule: &Rule, extras: &Extras, worker: &Worker) -> Option<Mirrored> {
    let (target, percent) = extras.mirror.as_ref()?;
    if !percent.includes(worker.random()) {
        return None;
    }
    let pool = table.pool_of(target)?;
    Some(Mirrored {
        pool: Arc::clone(pool),
        balancer: rule.balancer,
    })
}

/// Draws among those targets of a route that have somebody to ask.
fn pool<'t>(
    table: &'t RouteTable,
    targets: &Targets,
    draw: impl FnOnce() -> u64,
) -> Result<&'t Arc<Pool>, Error> {
    let mut is_known = false;
    for target in targets.drawn(draw) {
        if let Some(pool) = table.pool_of(target) {
            if !pool.is_empty() {
                return Ok(pool);
            }
            is_known = true;
        }
    }
    match is_known {
        true => Err(Error::NoInstance),
        false => Err(unknown(table, Error::NoInstance)),
    }
}

/// Says that something isn't there, unless that can't be known yet.
fn unknown(table: &RouteTable, error: Error) -> Error {
    match table.is_unsynced() {
        true => Error::Unsynced,
        false => error,
    }
}

/// Returns the scheme that the client has used, as far as a trusted proxy says it.
fn scheme(request: &Request<'_, '_>, sender: &Sender) -> Scheme {
    let mut said = request.fields.values(Field::ForwardedProto);
    match said.next().and_then(|value| tokens(value).next()) {
        Some(first) if sender.trusted && first.eq_ignore_ascii_case(b"https") => Scheme::Https,
        _ => Scheme::Http,
    }
}

/// Returns the path in the form in which it is routed.
fn path<'b>(table: &RouteTable, target: Target<'b>) -> Result<Cow<'b, str>, &'static str> {
    match target {
        Target::Path(_) => normalize(target.path(), table.routes().path),
        Target::Asterisk => Ok(Cow::Borrowed("*")),
    }
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
    Stream {
        outgoing: Outgoing {
            bytes,
            body: request.body().at_most(bounds.limits.body_bytes_max()),
            is_repeatable: true,
            kept_bytes_max: retries.body_bytes.bytes(),
        },
        terms: Terms {
            asked: asked(request),
            keep_alive: request.keeps_alive(),
            expects_continue: request.expects_continue(),
            wants_upgrade: request.wants_upgrade(),
            request: retries
                .per_try
                .map_or(timeouts.request, |time| time.min(timeouts.request))
                .get(),
            stream_idle: timeouts.stream_idle.get(),
            header_bytes: bounds.limits.header_bytes.bytes(),
            headers: bounds.limits.headers.min(HEADERS_MAX),
            unwanted: Statuses::default(),
        },
        started,
        is_idempotent: request.is_idempotent(),
        pool: way.pool,
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
