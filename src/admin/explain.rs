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
    let health = admin.health.clone();
    let explained = aside(move || {
        let answer = zones.explain(&wanted)?;
        let told = answer
            .records
            .iter()
            .filter_map(|record| record.instance.as_ref());
        let mut fail_open: Vec<_> = told.map(|instance| instance.service.clone()).collect();
        fail_open.sort();
        fail_open.dedup();
        fail_open.retain(|service| health.fail_open(service));
        Some(body::json(
            StatusCode::OK,
            &ExplainedName { answer, fail_open },
        ))
    });
    explained.await?.ok_or_else(|| {
        Problem::not_found(format!(
            "`{name}` is in none of the zones; a query for it is refused"
        ))
    })
}

/// How a name is answered, with what isn't believed of the instances.
#[derive(Serialize)]
struct ExplainedName {
    #[serde(flatten)]
    answer: dns::Explanation,
    /// The services of which so many instances are unhealthy that all are told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fail_open: Vec<String>,
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
