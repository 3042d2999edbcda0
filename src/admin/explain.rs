//! `/v1/explain/...`: how a name is answered, where a request goes, and why.

use std::sync::Arc;

use dns::Zones;
use http::{Response, StatusCode};
use proxy::{Explanation, Sample, Scheme, ServiceHealth};
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

/// Explains where a request for `host` and `path` goes; `method`, `query`, `header` (any number of them,
/// as `Name: value`), `client`, `port` and `scheme` say more of it.
pub(super) async fn route(admin: &Admin, query: &Query) -> Result<Response<Body>, Problem> {
    let sample = sample(query).map_err(Problem::bad_request)?;
    let snapshot = admin.controls.snapshot();
    let proxy = Arc::clone(admin.views.proxy());
    let route = aside(move || proxy.explain(&sample, &snapshot)).await?;
    let health = match &route.service {
        Some(service) => admin.health.show(service).await,
        None => None,
    };
    aside(move || body::json(StatusCode::OK, &Explained { route, health })).await
}

fn sample(query: &Query) -> Result<Sample, String> {
    let host = query
        .value("host")
        .ok_or("`host` is missing; give ?host=HOST&path=/PATH")?;
    let mut sample = Sample::new(host, query.value("path").unwrap_or("/"));
    if let Some(parameters) = query.value("query") {
        sample.path = format!("{}?{parameters}", sample.path);
    }
    if let Some(method) = query.value("method") {
        sample.method = method.to_owned();
    }
    for line in query.values("header") {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| format!("`{line}` is not a header such as `Name: value`"))?;
        let header = (name.trim().to_owned(), value.trim().to_owned());
        sample.headers.push(header);
    }
    if let Some(client) = query.value("client") {
        let address = client.parse();
        sample.client = address.map_err(|_| format!("`{client}` is not an address"))?;
    }
    if let Some(port) = query.value("port") {
        let number = port.parse();
        sample.port = number.map_err(|_| format!("`{port}` is not a port"))?;
    }
    sample.scheme = match query.value("scheme") {
        None | Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        Some(other) => return Err(format!("`{other}` is neither http nor https")),
    };
    Ok(sample)
}
