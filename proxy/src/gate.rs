//! The connections of one listener, and the end of them.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    task::Waker,
};

use foldhash::fast::RandomState;
use tokio::sync::Notify;

use crate::metrics::Tally;

/// Knows the connections that one listener has accepted on one worker.
#[derive(Debug)]
pub(crate) struct Gate {
    tally: Arc<Tally>,
    closing: Cell<bool>,
    next: Cell<u64>,
    /// What wakes each connection, once it has waited for a request.
    connections: RefCell<HashMap<u64, Option<Waker>, RandomState>>,
    left: Notify,
}

/// Stands for one connection as long as it lasts.
#[derive(Debug)]
pub(crate) struct Ticket {
    gate: Rc<Gate>,
    number: u64,
    registered: Cell<bool>,
}

impl Gate {
    /// Creates the gate of a listener that `tally` counts for.
    pub(crate) fn new(tally: Arc<Tally>) -> Self {
        Self {
            tally,
            closing: Cell::default(),
            next: Cell::default(),
            connections: RefCell::default(),
            left: Notify::default(),
        }
    }

    /// Lets a connection in.
    pub(crate) fn enter(self: &Rc<Self>) -> Ticket {
        self.tally.connections.add(1);
        let number = self.next.get();
        self.next.set(number + 1);
        self.connections.borrow_mut().insert(number, None);
        Ticket {
            gate: Rc::clone(self),
            number,
            registered: Cell::new(false),
        }
    }

    /// Asks all connections to end: the idle ones at once, the others after their request.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.wake();
    }

    /// Has all connections look again at what has changed.
    pub(crate) fn wake(&self) {
        for waker in self.connections.borrow().values().flatten() {
            waker.wake_by_ref();
        }
    }

    /// Waits until the last connection has gone.
    pub(crate) async fn empty(&self) {
        while !self.connections.borrow().is_empty() {
            self.left.notified().await;
        }
    }
}

impl Ticket {
    /// Returns what counts for the listener.
    pub(crate) fn tally(&self) -> &Tally {
        &self.gate.tally
    }

    /// Tells whether the connection should end.
    pub(crate) fn is_closing(&self) -> bool {
        self.gate.closing.get()
    }

    /// Takes the waker of the connection's task, which is the same for all its life.
    pub(crate) fn register(&self, waker: &Waker) {
        if !self.registered.replace(true) {
            let mut connections = self.gate.connections.borrow_mut();
            connections.insert(self.number, Some(waker.clone()));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.gate.connections.borrow_mut().remove(&self.number);
        self.gate.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_gate_is_empty_when_the_last_one_has_left() {
        let gate = Rc::new(Gate::new(Arc::default()));
        let (one, two) = (gate.enter(), gate.enter());
        assert!(!one.is_closing());
        gate.close();
        assert!(one.is_closing() && two.is_closing());
        drop(one);
        let emptied = gate.empty();
        tokio::pin!(emptied);
        assert!(futures_poll(emptied.as_mut()).is_none());
        drop(two);
        emptied.await;
    }

    fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut std::task::Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
