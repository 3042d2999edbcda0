//! `/v1/explain/...`: how a name is answered, where a request goes, and why.

use http::{Response, StatusCode};

use super::{
    Admin,
    body::{self, Body, Problem},
    router::Query,
};

/// Explains the answers for a DNS name.
pub(super) fn name(admin: &Admin, name: &str) -> Result<Response<Body>, Problem> {
    match admin.views.zones().load().explain(name) {
        Some(explanation) => Ok(body::json(StatusCode::OK, &explanation)),
        None => Err(Problem::not_found(format!(
            "`{name}` is in none of the zones; a query for it is refused"
        ))),
    }
}

/// Explains where a request for `host` and `path` goes.
pub(super) fn route(admin: &Admin, query: &Query) -> Result<Response<Body>, Problem> {
    let host = query
        .value("host")
        .ok_or_else(|| Problem::bad_request("`host` is missing; give ?host=HOST&path=/PATH"))?;
    let path = query.value("path").unwrap_or("/");
    let snapshot = admin.controls.snapshot();
    let explanation = admin.views.proxy().table().explain(host, path, &snapshot);
    Ok(body::json(StatusCode::OK, &explanation))
}
