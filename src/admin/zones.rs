//! `/v1/zones` and `/v1/zones/{domain}`.

use std::sync::Arc;

use dns::Zones;
use http::{Response, StatusCode};

use super::{
    Admin,
    body::{self, Body, Problem},
};
use crate::http_server::aside::in_turn;

/// The type of master files (RFC 4027).
const MASTER_FILE: &str = "text/dns";

/// Lists the zones, with how much there is in each.
pub(super) async fn list(admin: &Admin) -> Result<Response<Body>, Problem> {
    let summaries = look(admin, |zones| zones.summaries()).await?;
    Ok(body::json(StatusCode::OK, &summaries))
}

/// Shows a zone as a master file.
pub(super) async fn show(admin: &Admin, domain: &str) -> Result<Response<Body>, Problem> {
    let wanted = domain.to_owned();
    match look(admin, move |zones| zones.export(&wanted)).await? {
        Some(file) => Ok(body::with_type(StatusCode::OK, MASTER_FILE, file)),
        None => Err(Problem::not_found(format!(
            "`{domain}` is no zone's domain"
        ))),
    }
}

/// Looks at everything in the zones, one client after another: each look takes memory for all names.
async fn look<T: Send + 'static>(
    admin: &Admin,
    look: impl FnOnce(&Zones) -> T + Send + 'static,
) -> Result<T, Problem> {
    // They are loaded when it is their turn, and not held while waiting.
    let zones = Arc::clone(admin.views.zones());
    in_turn(&admin.whole_zones, move || look(&zones.load_full())).await
}
