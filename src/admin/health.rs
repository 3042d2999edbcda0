//! `/healthz` and `/readyz`.

use http::{Response, StatusCode};
use serde::Serialize;

use super::{
    Admin,
    body::{self, Body, Problem},
};

/// Says whether clients should be sent to this signpost, and what speaks against it.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    version: u64,
    /// What it waits for.
    waiting: Vec<Part>,
    /// What it serves from memory because the store is away; no reason to send clients elsewhere.
    stale: Vec<Part>,
}

#[derive(Debug, Serialize)]
struct Part {
    part: String,
    reason: String,
}

/// Says that the process runs and its control plane answers.
pub(super) fn alive() -> Response<Body> {
    body::with_type(StatusCode::OK, "text/plain; charset=utf-8", "ok\n")
}

/// Says whether everything has been read once, and lists what hasn't.
pub(super) async fn ready(admin: &Admin) -> Result<Response<Body>, Problem> {
    let snapshot = admin.controls.snapshot();
    let (mut waiting, mut stale) = (Vec::new(), Vec::new());
    for status in admin.controls.statuses().await? {
        let error = status.last_error.map(|error| error.reason);
        let part = format!("source {}", status.name);
        // Names are denied after the start deadline, but clients are better served elsewhere.
        if !status.synced {
            let reason = error.unwrap_or_else(|| "has not synced yet".to_owned());
            waiting.push(Part { part, reason });
        } else if status.stale_since.is_some() {
            let reason = error.unwrap_or_else(|| "its store is away".to_owned());
            stale.push(Part { part, reason });
        }
    }
    if *admin.draining.borrow() {
        waiting.push(Part {
            part: "process".to_owned(),
            reason: "is draining and about to end".to_owned(),
        });
    }
    if admin.views.version() < snapshot.version() {
        waiting.push(Part {
            part: "views".to_owned(),
            reason: "the newest snapshot is being published".to_owned(),
        });
    }
    let readiness = Readiness {
        ready: waiting.is_empty(),
        version: snapshot.version(),
        waiting,
        stale,
    };
    let status = match readiness.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok(body::json(status, &readiness))
}
