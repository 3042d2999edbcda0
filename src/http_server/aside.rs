//! What takes long, away from the thread that sources and registry share.

use http::StatusCode;

use super::body::Problem;

/// Looks at something of which there may be much, on a thread of its own.
pub(super) async fn aside<T: Send + 'static>(
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

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn what_takes_long_is_done_elsewhere() {
        let there = aside(|| thread::current().id()).await.ok();
        assert!(there.is_some_and(|there| there != thread::current().id()));
        let failed = aside(|| -> () { panic!("broken") }).await;
        let status = failed.err().map(|problem| problem.status);
        assert_eq!(status, Some(StatusCode::INTERNAL_SERVER_ERROR));
    }
}
