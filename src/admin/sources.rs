//! `/v1/sources`.

use http::{Response, StatusCode};
use registry::{Key, REFUSALS_LISTED_MAX, Refusal};

use super::{
    Admin,
    body::{self, Body, Problem},
};

/// Says how every source is, with the records it refused and why.
pub(super) async fn list(admin: &Admin) -> Result<Response<Body>, Problem> {
    let mut statuses = admin.controls.statuses().await?;
    // What can't be made of records that could be read.
    for one in &admin.dynamic.load().refused {
        let mut statuses = statuses.iter_mut();
        if let Some(status) = statuses.find(|status| *status.name == *one.source) {
            status.refused += 1;
            if status.refusals.len() < REFUSALS_LISTED_MAX {
                status.refusals.push(Refusal {
                    key: Key::new(one.path.as_str()),
                    reason: one.reason.clone(),
                });
            }
        }
    }
    Ok(body::json(StatusCode::OK, &statuses))
}
