//! What takes long, away from the thread that sources and registry share.

use std::sync::Arc;

use http::StatusCode;
use tokio::sync::Semaphore;

use super::body::Problem;

/// Looks at something of which there may be much, on a thread of its own.
pub(crate) async fn aside<T: Send + 'static>(
    look: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let looked = tokio::task::spawn_blocking(look).await;
    looked.map_err(|error| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("can't look at what is known: {error}"),
        )
    })
}

/// Looks at something when there is a place, and keeps the place until that is done, also when the
/// client goes away meanwhile.
pub(crate) async fn in_turn<T: Send + 'static>(
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
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;

    #[tokio::test]
    async fn what_takes_long_is_done_elsewhere() {
        let there = aside(|| thread::current().id()).await.ok();
        assert!(there.is_some_and(|there| there != thread::current().id()));
        let failed = aside(|| -> () { panic!("broken") }).await;
        let status = failed.err().map(|problem| problem.status);
        assert_eq!(status, Some(StatusCode::INTERNAL_SERVER_ERROR));
    }

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
