//! `/v1/zones` and `/v1/zones/{domain}`.

use std::sync::Arc;

use dns::Zones;
use http::{Response, StatusCode};
use tokio::sync::Semaphore;

use super::{
    Admin,
    aside::aside,
    body::{self, Body, Problem},
};

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

/// Looks at something when there is a place, and keeps the place until that is done, also when the
/// client goes away meanwhile.
async fn in_turn<T: Send + 'static>(
    places: &Arc<Semaphore>,
    look: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    // The semaphore is never closed: there is a place in the end.
    let place = Arc::clone(places).acquire_owned().await;
    aside(move || {
        let _place = place;
        look()
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    #[tokio::test]
    async fn one_looks_at_a_time_even_if_nobody_waits_for_it() {
        let places = Arc::new(Semaphore::new(1));
        let (started, has_started) = mpsc::channel();
        let (finish, may_finish) = mpsc::channel::<()>();
        let held = Arc::clone(&places);
        let first = tokio::spawn(async move {
            let look = move || {
                started.send(()).unwrap();
                may_finish.recv().unwrap();
            };
            in_turn(&held, look).await.ok()
        });
        while has_started.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        first.abort();
        assert!(first.await.is_err());
        let mut second = Box::pin(in_turn(&places, || 2));
        let early = tokio::time::timeout(Duration::from_millis(50), &mut second).await;
        assert!(early.is_err(), "the first still looks");
        finish.send(()).unwrap();
        assert_eq!(second.await.ok(), Some(2));
    }
}
