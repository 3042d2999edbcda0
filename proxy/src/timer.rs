//! One deadline at a time, without a timer for each.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Holds a connection's deadline, which moves with every step of a request.
///
/// Moving it later, as nearly always happens, is a store: the runtime's timer is only moved when it
/// fires too early.
#[derive(Debug)]
pub(crate) struct Timer {
    deadline: Cell<Instant>,
    sleep: RefCell<Pin<Box<Sleep>>>,
}

/// Says that the deadline has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elapsed;

impl Timer {
    /// Creates a timer that fires after `timeout`.
    pub(crate) fn new(timeout: Duration) -> Self {
        let deadline = later(Instant::now(), timeout);
        Self {
            deadline: Cell::new(deadline),
            sleep: RefCell::new(Box::pin(sleep_until(deadline))),
        }
    }

    /// Moves the deadline to `timeout` from now.
    pub(crate) fn set(&self, timeout: Duration) {
        self.set_from(Instant::now(), timeout);
    }

    /// Moves the deadline to `timeout` from `now`.
    pub(crate) fn set_from(&self, now: Instant, timeout: Duration) {
        self.deadline.set(later(now, timeout));
    }

    /// Is ready when the deadline has passed.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Elapsed> {
        let mut sleep = self.sleep.borrow_mut();
        loop {
            let deadline = self.deadline.get();
            if sleep.deadline() > deadline {
                sleep.as_mut().reset(deadline);
            }
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(Elapsed);
            }
            sleep.as_mut().reset(deadline);
        }
    }

    /// Runs a future until the deadline, wherever it is moved meanwhile.
    pub(crate) async fn guard<T>(&self, future: impl Future<Output = T>) -> Result<T, Elapsed> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            self.poll(cx).map(Err)
        })
        .await
    }
}

/// Adds without overflow: what a configuration calls "never" may be beyond the clock.
fn later(now: Instant, timeout: Duration) -> Instant {
    const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
    now + timeout.min(FOREVER)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_deadline_moves_both_ways() {
        let timer = Timer::new(Duration::from_secs(60));
        let begin = Instant::now();
        timer.set(Duration::from_secs(1));
        assert_eq!(timer.guard(pending::<()>()).await, Err(Elapsed));
        assert_eq!(begin.elapsed().as_secs(), 1);
        timer.set(Duration::from_secs(5));
        assert_eq!(timer.guard(pending::<()>()).await, Err(Elapsed));
        assert_eq!(begin.elapsed().as_secs(), 6);
        timer.set(Duration::MAX);
        assert_eq!(timer.guard(async { 7 }).await, Ok(7));
    }
}
