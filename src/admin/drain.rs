//! `/v1/services/{service}/instances/{id}/drain`: an operator's wish, and how far it has come.

use http::{Response, StatusCode};
use proxy::DrainState;
use registry::{InstanceId, Place, ServiceName, State};
use serde::Serialize;

use super::{
    Admin,
    body::{self, Body, Problem},
    registrations::{PUBLISH_WAIT, place},
};

/// Says how far an instance that leaves has come.
#[derive(Serialize)]
struct Progress<'a> {
    service: &'a ServiceName,
    id: &'a InstanceId,
    /// Nothing when the instance is gone.
    state: Option<State>,
    /// Whether an operator wishes that it drains.
    drained: bool,
    /// What it has to do; nothing while it doesn't drain.
    drain: Option<DrainState>,
}

/// Has an instance drain, or no longer; answers when DNS and proxy know.
pub(super) async fn set(
    admin: &Admin,
    service: &str,
    id: &str,
    drained: bool,
) -> Result<Response<Body>, Problem> {
    let place = place(service, id)?;
    let (service, id) = (place.service.clone(), place.id.clone());
    let version = admin.controls.drain(service, id, drained).await?;
    let version = version.ok_or_else(|| unknown(&place))?;
    admin.views.wait_for(version, PUBLISH_WAIT).await;
    progress(admin, &place)
}

/// Shows how far an instance has come.
pub(super) fn show(admin: &Admin, service: &str, id: &str) -> Result<Response<Body>, Problem> {
    progress(admin, &place(service, id)?)
}

fn progress(admin: &Admin, place: &Place) -> Result<Response<Body>, Problem> {
    let snapshot = admin.controls.snapshot();
    let service = snapshot.service(place.service.as_str());
    let instance = service.and_then(|service| service.instance(&place.id));
    let drain = admin.views.drains(&place.service).remove(&place.id);
    if instance.is_none() && drain.is_none() {
        return Err(unknown(place));
    }
    let progress = Progress {
        service: &place.service,
        id: &place.id,
        state: instance.map(|instance| instance.state),
        drained: instance.is_some_and(|instance| instance.drained),
        drain,
    };
    Ok(body::json(StatusCode::OK, &progress))
}

fn unknown(place: &Place) -> Problem {
    Problem::not_found(format!(
        "service `{}` has no instance `{}`",
        place.service, place.id
    ))
}
