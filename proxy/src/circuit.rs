//! How much a service is given at a time.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{CircuitLimits, error::Error, timer::Timer};

/// Bounds what is under way to one service; shared by all workers.
///
/// What is above is shed at once or has to wait, so that a service that is slow fills neither the
/// proxy nor itself.
#[derive(Debug)]
pub(crate) struct Circuit {
    limits: CircuitLimits,
    requests: Option<Arc<Semaphore>>,
    connections: Option<Arc<Semaphore>>,
    pending: Option<Arc<Semaphore>>,
}

/// Stands for one request among those that a service is given.
#[derive(Debug)]
pub(crate) struct Admission {
    _request: Option<OwnedSemaphorePermit>,
    _connection: Option<OwnedSemaphorePermit>,
    /// Whether it had to wait.
    pub(crate) has_waited: bool,
}

impl Circuit {
    /// Creates the circuit of a service, which is `previous` where the limits are the same; `None`
    /// without limits.
    pub(crate) fn of(limits: CircuitLimits, previous: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        if limits == CircuitLimits::default() {
            return None;
        }
        let same = previous.filter(|previous| previous.limits == limits);
        Some(same.map_or_else(|| Arc::new(Self::new(limits)), Arc::clone))
    }

    fn new(limits: CircuitLimits) -> Self {
        let permits = |limit: usize| Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        Self {
            limits,
            requests: limits.requests.map(permits),
            connections: limits.connections.map(permits),
            pending: limits.pending.map(permits),
        }
    }

    /// Lets a request in, if need be after some time: at most `patience` for a connection.
    ///
    /// # Errors
    ///
    /// Returns which limit has been reached.
    pub(crate) async fn enter(
        &self,
        timer: &Timer,
        patience: Duration,
    ) -> Result<Admission, Error> {
        let request = permit(self.requests.as_ref()).map_err(|()| Error::RequestsLimit)?;
        let (connection, has_waited) = match permit(self.connections.as_ref()) {
            Ok(connection) => (connection, false),
            Err(()) => (self.wait(timer, patience).await?, true),
        };
        Ok(Admission {
            _request: request,
            _connection: connection,
            has_waited,
        })
    }

    /// Lets a request in that doesn't wait; `None` when a limit has been reached.
    pub(crate) fn try_enter(&self) -> Option<Admission> {
        Some(Admission {
            _request: permit(self.requests.as_ref()).ok()?,
            _connection: permit(self.connections.as_ref()).ok()?,
            has_waited: false,
        })
    }

    /// Waits until a connection is free.
    async fn wait(
        &self,
        timer: &Timer,
        patience: Duration,
    ) -> Result<Option<OwnedSemaphorePermit>, Error> {
        let _place = permit(self.pending.as_ref()).map_err(|()| Error::PendingLimit)?;
        let Some(connections) = &self.connections else {
            return Ok(None);
        };
        timer.set(patience);
        match timer.guard(Arc::clone(connections).acquire_owned()).await {
            Ok(connection) => Ok(connection.ok()),
            Err(_) => Err(Error::PendingTimeout),
        }
    }
}

/// Takes a permit where there is a limit.
fn permit(limit: Option<&Arc<Semaphore>>) -> Result<Option<OwnedSemaphorePermit>, ()> {
    let Some(limit) = limit else {
        return Ok(None);
    };
    let permit = Arc::clone(limit).try_acquire_owned();
    permit.map(Some).map_err(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: CircuitLimits = CircuitLimits {
        connections: Some(1),
        pending: Some(1),
        requests: Some(3),
    };

    #[test]
    fn limits_that_are_the_same_keep_what_is_under_way() {
        assert!(Circuit::of(CircuitLimits::default(), None).is_none());
        let first = Circuit::of(LIMITS, None).unwrap();
        let held = first.try_enter();
        assert!(held.is_some());
        let same = Circuit::of(LIMITS, Some(&first)).unwrap();
        assert!(same.try_enter().is_none());
        let wider = CircuitLimits {
            connections: Some(2),
            ..LIMITS
        };
        let other = Circuit::of(wider, Some(&first)).unwrap();
        assert!(other.try_enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_connection_waits_in_a_line_of_limited_length() {
        let circuit = Circuit::of(LIMITS, None).unwrap();
        let timers = [(); 3].map(|()| Timer::new(Duration::ZERO));
        let patience = Duration::from_secs(1);
        let first = circuit.enter(&timers[0], patience).await.unwrap();
        let waiting = circuit.enter(&timers[1], patience);
        let third = async {
            // By now the second one waits.
            let refused = circuit.enter(&timers[2], patience).await.unwrap_err();
            drop(first);
            refused
        };
        let (second, refused) = tokio::join!(biased; waiting, third);
        assert_eq!(refused, Error::PendingLimit);
        let _second = second.unwrap();
        let late = circuit.enter(&timers[2], patience).await.unwrap_err();
        assert_eq!(late, Error::PendingTimeout);
    }

    #[tokio::test]
    async fn what_is_above_the_limit_of_requests_is_shed() {
        let limits = CircuitLimits {
            requests: Some(2),
            ..CircuitLimits::default()
        };
        let circuit = Circuit::of(limits, None).unwrap();
        let timer = Timer::new(Duration::ZERO);
        let enter = || circuit.enter(&timer, Duration::ZERO);
        let held = [enter().await.unwrap(), enter().await.unwrap()];
        assert_eq!(enter().await.unwrap_err(), Error::RequestsLimit);
        drop(held);
        assert!(enter().await.is_ok());
    }
}
