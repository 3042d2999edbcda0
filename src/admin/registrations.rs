//! `/v1/services/{service}/instances/{id}`: the embedded store's side of the API.

use std::time::Duration;

use config::Duration as Ttl;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use registry::{InstanceId, Place, Registration, ServiceName, WriteError, Writer, Written};
use serde::Serialize;
use serde_json::Value;

use super::{
    Admin,
    body::{self, Body, Problem},
};

/// Shorter leases would make a heartbeat that is a little late look like a death.
const TTL_MIN: Duration = Duration::from_secs(1);

/// Longer ones are as good as none.
const TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an answer waits for DNS and proxy to have the change.
pub(super) const PUBLISH_WAIT: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Done<'a> {
    service: &'a ServiceName,
    id: &'a InstanceId,
    result: &'static str,
    version: u64,
}

/// Registers an instance, or says again how it is; with a `ttl` it has to be said again in time.
pub(super) async fn put(
    admin: &Admin,
    service: &str,
    id: &str,
    body: Incoming,
) -> Result<Response<Body>, Problem> {
    let place = place(service, id)?;
    let (registration, ttl) = parse(&body::read(body).await?)?;
    let writer = writer(admin).await?;
    let written = writer.put(place.clone(), registration, ttl).await;
    done(admin, place, written).await
}

/// Removes an instance.
pub(super) async fn remove(
    admin: &Admin,
    service: &str,
    id: &str,
) -> Result<Response<Body>, Problem> {
    let place = place(service, id)?;
    let written = writer(admin).await?.remove(place.clone()).await;
    done(admin, place, written).await
}

/// Starts an instance's lease again.
pub(super) async fn renew(
    admin: &Admin,
    service: &str,
    id: &str,
) -> Result<Response<Body>, Problem> {
    let place = place(service, id)?;
    let written = writer(admin).await?.renew(place.clone()).await;
    done(admin, place, written).await
}

/// Reads the names in a path.
pub(super) fn place(service: &str, id: &str) -> Result<Place, Problem> {
    let bad = |error: registry::NameError| Problem::bad_request(error.to_string());
    Ok(Place {
        service: service.parse().map_err(bad)?,
        id: id.parse().map_err(bad)?,
    })
}

fn parse(body: &[u8]) -> Result<(Registration, Option<Duration>), Problem> {
    let bad =
        |error: serde_json::Error| Problem::bad_request(format!("not a registration: {error}"));
    let mut value: Value = serde_json::from_slice(body).map_err(bad)?;
    let ttl = value.as_object_mut().and_then(|table| table.remove("ttl"));
    let ttl = ttl
        .filter(|ttl| !ttl.is_null())
        .map(parse_ttl)
        .transpose()?;
    let registration = serde_json::from_value(value).map_err(bad)?;
    Ok((registration, ttl))
}

fn parse_ttl(value: Value) -> Result<Duration, Problem> {
    let ttl: Ttl = serde_json::from_value(value)
        .map_err(|error| Problem::bad_request(format!("ttl: {error}")))?;
    if !(TTL_MIN..=TTL_MAX).contains(&ttl.get()) {
        let (min, max) = (Ttl::from(TTL_MIN), Ttl::from(TTL_MAX));
        return Err(Problem::bad_request(format!(
            "ttl {ttl} is not between {min} and {max}"
        )));
    }
    Ok(ttl.get())
}

async fn writer(admin: &Admin) -> Result<Writer, Problem> {
    admin.controls.writer(None).await?.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "no source takes registrations; configure an embedded store: `[sources.NAME.store]`",
        )
    })
}

/// Answers when DNS and proxy have the change, so that who registered can use the name at once.
async fn done(
    admin: &Admin,
    place: Place,
    written: Result<Written, WriteError>,
) -> Result<Response<Body>, Problem> {
    let written = written.map_err(problem)?;
    let version = admin.controls.flush().await?;
    admin.views.wait_for(version, PUBLISH_WAIT).await;
    let (status, result) = match written {
        Written::Created => (StatusCode::CREATED, "created"),
        Written::Replaced => (StatusCode::OK, "replaced"),
        Written::Removed => (StatusCode::OK, "removed"),
        Written::Renewed => (StatusCode::OK, "renewed"),
    };
    let done = Done {
        service: &place.service,
        id: &place.id,
        result,
        version,
    };
    Ok(body::json(status, &done))
}

fn problem(error: WriteError) -> Problem {
    let status = match error {
        WriteError::Invalid(_) => StatusCode::BAD_REQUEST,
        WriteError::NotFound(_) => StatusCode::NOT_FOUND,
        WriteError::NoLease(_) => StatusCode::CONFLICT,
        WriteError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
        WriteError::HandedOver | WriteError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Problem::new(status, error.to_string())
}
