//! What a request is to come to, as the route table says.

use std::{borrow::Cow, rc::Rc, sync::Arc};

use super::hold::{self, Hold};
use crate::{
    Balancer, RouteTable, Worker,
    config::{RouteLimits, RouteRetries, RouteTimeouts},
    error::Error,
    http::{
        Malformed,
        answer::Answer,
        forwarded::Sender,
        request::{Request, Target},
    },
    ledger::RouteAccount,
    mirror::Mirrored,
    passwords::{Digest, Unverified, Verdict},
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
};

/// Says what a request is to come to.
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all are forwarded, and a box would cost each an allocation"
)]
pub(super) enum Decision<'b> {
    Forward(Way<'b>),
    Answer(Answer),
    /// The password has to be compared first.
    Verify(Unverified),
}

/// Says where a request goes.
pub(super) struct Way<'b> {
    /// The path that was routed.
    pub(super) path: Cow<'b, str>,
    pub(super) pool: Arc<Pool>,
    pub(super) balancer: Balancer,
    pub(super) timeouts: RouteTimeouts,
    pub(super) retries: RouteRetries,
    pub(super) limits: RouteLimits,
    pub(super) extras: Option<Arc<Extras>>,
    pub(super) hold: Hold,
    pub(super) mirrored: Option<Mirrored>,
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
            limits: RouteLimits::default(),
            extras: None,
            hold: Hold::default(),
            mirrored: None,
        }
    }
}

/// Decides what a request comes to, and by which route; a password that is `wrong` was compared.
pub(super) fn decide<'b>(
    table: &RouteTable,
    request: &Request<'_, 'b>,
    sender: &Sender,
    worker: &Worker,
    wrong: Option<&Digest>,
) -> (Option<Rc<RouteAccount>>, Result<Decision<'b>, Error>) {
    if request.method == "CONNECT" {
        return (None, Err(Error::ConnectMethod));
    }
    let path = match path(table, request.target) {
        Ok(path) => path,
        Err(why) => return (None, Err(Malformed::Syntax(why).into())),
    };
    let facets = Facets::new(
        request.method,
        request.fields.headers,
        request.target.query(),
        sender.address,
        &table.routes().trusted_proxies,
    )
    .at_port(sender.port)
    .trusted(sender.trusted);
    match table.find(request.host, &path, &facets) {
        None => (None, Err(unknown(table, Error::UnknownHost))),
        Some(Matched::Named(pool)) if pool.is_empty() => (None, Err(Error::NoInstance)),
        Some(Matched::Named(pool)) => {
            let way = Way::plain(path, pool, table.routes().default_balancer);
            (None, Ok(Decision::Forward(way)))
        }
        Some(Matched::Rule(rule)) => {
            let route = worker.route(rule);
            if let Some(guard) = &rule.guard {
                let headers = request.fields.headers;
                match worker.passwords.judge(&guard.auth, headers, wrong) {
                    Verdict::Right => {}
                    Verdict::Wrong => {
                        let answer = edited(guard.refusal(), rule);
                        return (Some(route), Ok(Decision::Answer(answer)));
                    }
                    Verdict::Unknown(unverified) => {
                        return (Some(route), Ok(Decision::Verify(unverified)));
                    }
                }
            }
            let decision = match &rule.action {
                Action::Forward(targets) => way(table, rule, targets, path, &facets, worker),
                Action::Redirect(location) => {
                    let from = From {
                        scheme: facets.scheme(),
                        authority: request.authority,
                        path: &path,
                        query: request.target.query(),
                    };
                    let answer = Answer::redirect(location.status(), location.of(from));
                    Ok(Decision::Answer(edited(answer, rule)))
                }
                Action::Respond(respond) => {
                    Ok(Decision::Answer(edited(Answer::fixed(respond), rule)))
                }
            };
            (Some(route), decision)
        }
    }
}

/// Finds where a route leads.
fn way<'b>(
    table: &RouteTable,
    rule: &Rule,
    targets: &Targets,
    path: Cow<'b, str>,
    facets: &Facets<'_>,
    worker: &Worker,
) -> Result<Decision<'b>, Error> {
    let extras = rule.extras.as_ref();
    let (pool, hold) = match extras.and_then(|extras| extras.sticky.as_ref()) {
        None => (pool(table, targets, || worker.random())?, Hold::default()),
        Some(sticky) => hold::find(table, targets, sticky, facets, worker)?,
    };
    Ok(Decision::Forward(Way {
        path,
        pool: Arc::clone(pool),
        hold,
        mirrored: extras.and_then(|extras| mirrored(table, rule, extras, worker)),
        balancer: rule.balancer,
        timeouts: rule.timeouts,
        retries: rule.retries,
        limits: rule.limits,
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
pub(super) fn pool<'t>(
    table: &'t RouteTable,
    targets: &Targets,
    draw: impl FnOnce() -> u64,
) -> Result<&'t Arc<Pool>, Error> {
    let drawn = targets.drawn(draw, |target| {
        table.pool_of(target).filter(|pool| !pool.is_empty())
    });
    if let Some(pool) = drawn {
        return Ok(pool);
    }
    let mut all = targets.all().iter();
    match all.any(|target| table.pool_of(target).is_some()) {
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

/// Returns the path in the form in which it is routed.
fn path<'b>(table: &RouteTable, target: Target<'b>) -> Result<Cow<'b, str>, &'static str> {
    match target {
        Target::Path(_) => normalize(target.path(), table.routes().path),
        Target::Asterisk => Ok(Cow::Borrowed("*")),
    }
}
