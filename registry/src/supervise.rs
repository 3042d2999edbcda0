//! Runs a source again whenever it fails.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use tokio::time::Instant;

use crate::{Backoff, Source, Updates, source::What};

/// Runs a source for ever: after each failure it waits and runs it again.
///
/// What the source said before stays; only what it says next changes anything. A panic in a source is a
/// failure of that source and of nothing else.
pub(crate) async fn supervise(mut source: Box<dyn Source>, updates: Updates, mut backoff: Backoff) {
    loop {
        let started = Instant::now();
        let run = AssertUnwindSafe(source.run(&updates)).catch_unwind().await;
        let reason = match run {
            Ok(Err(error)) => chain(&*error),
            Err(panic) => format!("the source panicked: {}", panic_text(&*panic)),
        };
        let wait = backoff.next(started.elapsed(), fastrand::f64());
        tracing::warn!(
            source = %updates.source(), error = %reason, retry_in = ?rounded(wait),
            "source failed; what it said before is still served"
        );
        updates.report(What::Failed(reason)).await;
        tokio::time::sleep(wait).await;
    }
}

fn rounded(wait: Duration) -> Duration {
    Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

/// Writes an error and what it was caused by in one line, each part once.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no reason given")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::future::BoxFuture;
    use tokio::sync::mpsc;

    use super::*;
    use crate::{Error, Update, source::Message};

    /// Fails, panics, and then stays.
    struct Unsteady(u32);

    impl Source for Unsteady {
        fn run<'a>(&'a mut self, updates: &'a Updates) -> BoxFuture<'a, Result<Infallible, Error>> {
            async move {
                self.0 += 1;
                match self.0 {
                    1 => Err("connection refused".into()),
                    2 => panic!("what a record"),
                    _ => {
                        updates.send(Update::reset(Vec::new())).await;
                        std::future::pending().await
                    }
                }
            }
            .boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_fails_or_panics_is_run_again() {
        let (sender, mut reports) = mpsc::channel(8);
        let updates = Updates::new("s".into(), 0, sender.downgrade());
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        tokio::spawn(supervise(Box::new(Unsteady(0)), updates, backoff));
        let mut next = async || match reports.recv().await {
            Some(Message::Report(report)) => report.what,
            other => panic!("{other:?}"),
        };
        let started = Instant::now();
        assert!(matches!(next().await, What::Failed(reason) if reason == "connection refused"));
        assert!(
            matches!(next().await, What::Failed(reason) if reason == "the source panicked: what a record")
        );
        assert!(matches!(next().await, What::Update(Update::Reset { .. })));
        let waited = started.elapsed();
        let (least, most) = (Duration::from_millis(150), Duration::from_millis(310));
        assert!(least <= waited && waited <= most, "{waited:?}");
    }
}
