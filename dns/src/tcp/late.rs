//! Answers that others make, and that come by and by.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Stream as _, stream::FuturesUnordered};
use tokio::sync::oneshot;

use super::scratch::Answers;

/// The most answers that a connection waits for; what it sends meanwhile isn't read.
const AWAITED_MAX: usize = 64;

/// The answers that a connection waits for; nothing while it waits for none.
#[derive(Default)]
pub(super) struct Late(Option<Box<FuturesUnordered<oneshot::Receiver<Vec<u8>>>>>);

impl Late {
    /// Tells whether there is one to wait for.
    pub(super) fn is_awaited(&self) -> bool {
        self.0.is_some()
    }

    /// Returns how many are waited for.
    pub(super) fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |awaited| awaited.len())
    }

    /// Tells whether no more may be waited for.
    pub(super) fn is_full(&self) -> bool {
        self.count() >= AWAITED_MAX
    }

    /// Waits for one more; returns where it is to be sent.
    pub(super) fn expect(&mut self) -> oneshot::Sender<Vec<u8>> {
        let (sender, receiver) = oneshot::channel();
        self.0.get_or_insert_default().push(receiver);
        sender
    }

    /// Takes those that have come, as far as there is room; `Pending` when there is none of them.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, answers: &mut Answers) -> Poll<()> {
        let Some(awaited) = &mut self.0 else {
            return Poll::Pending;
        };
        while answers.have_room() {
            match Pin::new(&mut **awaited).poll_next(context) {
                Poll::Ready(Some(Ok(answer))) => answers.append_made(&answer),
                // Nobody will say anything.
                Poll::Ready(Some(Err(_))) => {}
                Poll::Ready(None) => {
                    self.0 = None;
                    return Poll::Ready(());
                }
                Poll::Pending if answers.count() == 0 => return Poll::Pending,
                Poll::Pending => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }
}
