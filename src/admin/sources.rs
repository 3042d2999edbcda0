//! `/v1/sources`.

use http::{Response, StatusCode};

use super::{
    Admin,
    body::{self, Body, Problem},
};

/// Says how every source is, with the records it refused and why.
pub(super) async fn list(admin: &Admin) -> Result<Response<Body>, Problem> {
    let statuses = admin.controls.statuses().await?;
    Ok(body::json(StatusCode::OK, &statuses))
}
