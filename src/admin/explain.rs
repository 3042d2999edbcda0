//! `/v1/explain/...`: how a name is answered, where a request goes, and why.

use std::sync::Arc;

use dns::Zones;
use http::{Response, StatusCode};
use proxy::Sample;

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

/// Explains where a request for `host` and `path` goes; `method`, `query`, `header` (any number of them,
/// as `Name: value`) and `client` say more of it.
pub(super) async fn route(admin: &Admin, query: &Query) -> Result<Response<Body>, Problem> {
    let sample = sample(query).map_err(Problem::bad_request)?;
    let snapshot = admin.controls.snapshot();
    let table = admin.views.proxy().table();
    aside(move || {
        let explanation = table.explain(&sample, &snapshot);
        body::json(StatusCode::OK, &explanation)
    })
    .await
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
    Ok(sample)
}
