//! Holds answers back that are over the limit.

use std::{hash::RandomState, sync::Arc, time::Duration};

use crate::{
    CookieKind, Counters, Outcome, RateLimitConfig, Request, Zones,
    rate_limit::{Limiter, Verdict},
    respond::respond_truncated,
};

/// Limits the answers that leave by one socket, by what the configuration says at the time.
#[derive(Default)]
pub(super) struct Gate {
    config: Arc<RateLimitConfig>,
    /// `None` without a limit.
    limiter: Option<Limiter>,
    now: Duration,
}

impl Gate {
    /// Gets ready for a batch of queries, `now` after the gate was made.
    ///
    /// What is known of the networks is kept as long as the configuration stays the same.
    pub(super) fn open(&mut self, config: &Arc<RateLimitConfig>, now: Duration) {
        self.now = now;
        if Arc::ptr_eq(&self.config, config) {
            return;
        }
        if *self.config != **config {
            self.limiter = Limiter::new(config, RandomState::new());
        }
        self.config = Arc::clone(config);
    }

    /// Returns what becomes of an answer in `out`, which it may make an empty one.
    pub(super) fn pass(
        &mut self,
        zones: &Zones,
        request: &Request<'_>,
        outcome: Outcome,
        out: &mut [u8],
        counters: &Counters,
    ) -> Outcome {
        let (Some(limiter), Outcome::Answered { cookie, .. } | Outcome::Forwarded { cookie, .. }) =
            (&mut self.limiter, outcome)
        else {
            return outcome;
        };
        let verdict = limiter.check(request.client, cookie == CookieKind::Valid, self.now);
        counters.count_verdict(verdict);
        match verdict {
            Verdict::Send => outcome,
            Verdict::Slip => respond_truncated(zones, request, out),
            Verdict::Drop => Outcome::Dropped,
        }
    }
}
