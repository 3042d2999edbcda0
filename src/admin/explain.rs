//! `/v1/explain/...`: how a name is answered, where a request goes, and why.

use std::sync::Arc;

use dns::Zones;
use http::{Response, StatusCode};
use proxy::{Explanation, ServiceHealth};
use serde::Serialize;

use super::{
    Admin,
    aside::aside,
    body::{self, Body, Problem},
    router::Query,
};

/// Explains the answers for a DNS name.
pub(super) async fn name(admin: &Admin, name: &str) -> Result<Response<Body>, Problem> {
    let zones: Arc<Zones> = admin.views.zones().load_full();
    let wanted = name.to_owned();
    let explained = aside(move || {
        let explanation = zones.explain(&wanted)?;
        Some(body::json(StatusCode::OK, &explanation))
    });
    explained.await?.ok_or_else(|| {
        Problem::not_found(format!(
            "`{name}` is in none of the zones; a query for it is refused"
        ))
    })
}

/// Where a request goes, with what is seen of the instances that could get it.
#[derive(Serialize)]
struct Explained {
    #[serde(flatten)]
    route: Explanation,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<ServiceHealth>,
}

/// Explains where a request for `host` and `path` goes.
pub(super) async fn route(admin: &Admin, query: &Query) -> Result<Response<Body>, Problem> {
    let host = query
        .value("host")
        .ok_or_else(|| Problem::bad_request("`host` is missing; give ?host=HOST&path=/PATH"))?;
    let (host, path) = (
        host.to_owned(),
        query.value("path").unwrap_or("/").to_owned(),
    );
    let snapshot = admin.controls.snapshot();
    let table = admin.views.proxy().table();
    let route = aside(move || table.explain(&host, &path, &snapshot)).await?;
    let health = match &route.service {
        Some(service) => admin.health.show(service).await,
        None => None,
    };
    aside(move || body::json(StatusCode::OK, &Explained { route, health })).await
}
