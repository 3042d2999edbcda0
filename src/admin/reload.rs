//! `/v1/reload`.

use http::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::oneshot;

use super::{
    Admin,
    body::{self, Body, Problem},
};
use crate::reload::ReloadRequest;

#[derive(Serialize)]
struct Reloaded {
    result: &'static str,
}

/// Reads the configuration again, as the file's own change would; answers when it is in use.
pub(super) async fn reload(admin: &Admin) -> Result<Response<Body>, Problem> {
    if *admin.draining.borrow() {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the process is draining and about to end",
        ));
    }
    let unavailable = || Problem::from(registry::Stopped);
    let (answer, answered) = oneshot::channel();
    let request = ReloadRequest { answer };
    admin
        .reloads
        .send(request)
        .await
        .map_err(|_| unavailable())?;
    match answered.await.map_err(|_| unavailable())? {
        Ok(()) => Ok(body::json(StatusCode::OK, &Reloaded { result: "reloaded" })),
        Err(errors) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, errors)),
    }
}
