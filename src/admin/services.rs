//! `/v1/services` and `/v1/services/{service}`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::{HeaderValue, Response, StatusCode};
use proxy::{DrainState, ServiceHealth};
use registry::{Instance, InstanceId, Service, ServiceName, Snapshot, State};
use serde::Serialize;

use super::{
    Admin,
    body::{self, Body, Problem, too_many},
    router::Query,
};

/// The header with the version that an answer is about.
const INDEX: &str = "x-signpost-index";

/// The longest that a client may wait for a change.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// How long a client waits that says from which index, and not how long.
const WAIT_DEFAULT: Duration = Duration::from_secs(300);

#[derive(Serialize)]
struct List<'a> {
    version: u64,
    services: Vec<Summary<'a>>,
    /// Services that no source knows any more, with how many instances still have something to do.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    gone: BTreeMap<ServiceName, usize>,
}

#[derive(Serialize)]
struct Summary<'a> {
    name: &'a str,
    instances: usize,
    available: usize,
    /// Those that drain, and those that are gone and have something to do.
    draining: usize,
    /// Health is not believed, as too few would be left.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    fail_open: bool,
}

/// Shows a service with what is seen of its instances, and what they still have to do.
#[derive(Serialize)]
struct Detail<'a> {
    name: &'a ServiceName,
    instances: Vec<DetailedInstance<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    left_out: usize,
    version: u64,
    /// The instances that are gone and have something to do.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    gone: BTreeMap<InstanceId, DrainState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<ServiceHealth>,
}

#[derive(Serialize)]
struct DetailedInstance<'a> {
    #[serde(flatten)]
    instance: &'a Instance,
    /// How far it has come with draining.
    #[serde(skip_serializing_if = "Option::is_none")]
    drain: Option<DrainState>,
}

impl<'a> Detail<'a> {
    fn new(
        service: &'a Service,
        mut drains: BTreeMap<InstanceId, DrainState>,
        health: Option<ServiceHealth>,
    ) -> Self {
        let instances = service.instances.iter();
        let instances = instances.map(|instance| DetailedInstance {
            drain: drains.remove(&instance.id),
            instance,
        });
        Self {
            name: &service.name,
            instances: instances.collect(),
            left_out: service.left_out,
            version: service.version,
            gone: drains,
            health,
        }
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Lists all services.
pub(super) fn list(admin: &Admin) -> Response<Body> {
    let snapshot = admin.controls.snapshot();
    let services = snapshot.services().values();
    let mut gone = admin.views.gone();
    let drain = |instance: &&Arc<Instance>| instance.state == State::Draining;
    let list = List {
        version: snapshot.version(),
        services: services
            .map(|service| Summary {
                name: service.name.as_str(),
                instances: service.instances.len(),
                available: service.available().count(),
                draining: service.instances.iter().filter(drain).count()
                    + gone.remove(&service.name).unwrap_or_default(),
                fail_open: admin.health.fail_open(service.name.as_str()),
            })
            .collect(),
        gone,
    };
    indexed(body::json(StatusCode::OK, &list), snapshot.version())
}

/// Shows one service; with `index` it waits until the service is newer than that.
pub(super) async fn show(
    admin: &Admin,
    name: &str,
    query: &Query,
) -> Result<Response<Body>, Problem> {
    let snapshot = match query.value("index") {
        None => admin.controls.snapshot(),
        Some(index) => {
            let index = index
                .parse()
                .map_err(|_| Problem::bad_request(format!("index `{index}` is not a number")))?;
            newer(admin, name, index, wait(query)?).await?
        }
    };
    let response = match snapshot.service(name) {
        Some(service) => {
            let health = admin.health.show(&service.name).await;
            let drains = admin.views.drains(&service.name);
            body::json(StatusCode::OK, &Detail::new(service, drains, health))
        }
        None if snapshot.unsynced().is_empty() => {
            Problem::not_found(format!("no source knows service `{name}`")).response()
        }
        None => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("service `{name}` is not known yet, and not every source has synced"),
        )
        .response(),
    };
    Ok(indexed(response, snapshot.version()))
}

fn wait(query: &Query) -> Result<Duration, Problem> {
    let Some(text) = query.value("wait") else {
        return Ok(WAIT_DEFAULT);
    };
    let wait: config::Duration = text.parse().map_err(Problem::bad_request)?;
    Ok(wait.get().min(WAIT_MAX))
}

/// Waits until the service is newer than `index`, or missing in something newer, or the time is over.
async fn newer(
    admin: &Admin,
    name: &str,
    index: u64,
    wait: Duration,
) -> Result<Arc<Snapshot>, Problem> {
    let Ok(_place) = admin.long_polls.try_acquire() else {
        return Err(too_many());
    };
    let mut snapshots = admin.controls.snapshots();
    let is_newer = |snapshot: &Arc<Snapshot>| match snapshot.service(name) {
        Some(service) => service.version > index,
        // It may have gone in any version since then.
        None => snapshot.version() > index,
    };
    let mut draining = admin.draining.clone();
    let newer = tokio::select! {
        newer = tokio::time::timeout(wait, snapshots.wait_for(is_newer)) => newer,
        // The process is about to end; the client comes back to another one.
        _ = draining.wait_for(|draining| *draining) => return Ok(admin.controls.snapshot()),
    };
    match newer {
        Ok(Ok(snapshot)) => Ok(Arc::clone(&snapshot)),
        Ok(Err(_)) => Err(registry::Stopped.into()),
        // Over time: the client is told how it is, and may ask again.
        Err(_) => Ok(admin.controls.snapshot()),
    }
}

fn indexed(mut response: Response<Body>, version: u64) -> Response<Body> {
    response
        .headers_mut()
        .insert(INDEX, HeaderValue::from(version));
    response
}
