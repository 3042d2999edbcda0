//! What to do about a znode that stands where this agent's should.

use std::time::Duration;

use tokio::time::Instant;

/// Remembers whose znodes have stood in the way.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// The one that does now, by its creation, and since when.
    foreign: Option<(i64, Instant)>,
    /// Whether one was taken over.
    took_over: bool,
}

/// Says what to do about a znode in the way.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is left alone: it is persistent, and no agent makes such znodes.
    Persistent,
    /// It is left alone: somebody has made it anew after it was taken over, so there are two of this
    /// name alive, and they would go on for ever.
    Rival,
    /// Its owner may be alive, or its session about to end.
    Wait,
    /// It hasn't gone by itself in the time of a session.
    TakeOver,
}

impl Claim {
    /// Judges a znode of somebody else's, by its owner (0 for none) and its creation.
    pub(super) fn judge(
        &mut self,
        owner: i64,
        czxid: i64,
        session_timeout: Duration,
        now: Instant,
    ) -> Verdict {
        if owner == 0 {
            return Verdict::Persistent;
        }
        if self.took_over {
            return Verdict::Rival;
        }
        let since = match self.foreign {
            Some((seen, since)) if seen == czxid => since,
            _ => now,
        };
        self.foreign = Some((czxid, since));
        match now.duration_since(since) < session_timeout {
            true => Verdict::Wait,
            false => Verdict::TakeOver,
        }
    }

    /// Notes that a znode of somebody else's was removed.
    pub(super) fn took_over(&mut self) {
        self.took_over = true;
    }

    /// Notes that nothing stands in the way any more.
    pub(super) fn clear(&mut self) {
        self.foreign = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Duration = Duration::from_secs(10);

    #[test]
    fn a_strangers_znode_has_the_time_of_a_session_to_go() {
        let (mut claim, start) = (Claim::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(claim.judge(7, 1, SESSION, after(0)), Verdict::Wait);
        assert_eq!(claim.judge(7, 1, SESSION, after(9)), Verdict::Wait);
        // Made anew: its time begins again.
        assert_eq!(claim.judge(7, 2, SESSION, after(10)), Verdict::Wait);
        assert_eq!(claim.judge(7, 2, SESSION, after(19)), Verdict::Wait);
        assert_eq!(claim.judge(7, 2, SESSION, after(20)), Verdict::TakeOver);
    }

    #[test]
    fn what_is_undone_once_is_not_done_again() {
        let (mut claim, start) = (Claim::default(), Instant::now());
        claim.judge(7, 1, SESSION, start);
        assert_eq!(
            claim.judge(7, 1, SESSION, start + SESSION),
            Verdict::TakeOver
        );
        claim.took_over();
        claim.clear();
        for wait in [SESSION, SESSION * 100] {
            assert_eq!(claim.judge(7, 3, SESSION, start + wait), Verdict::Rival);
        }
    }

    #[test]
    fn a_persistent_znode_is_never_taken_over() {
        let (mut claim, start) = (Claim::default(), Instant::now());
        for wait in [Duration::ZERO, SESSION * 100] {
            assert_eq!(
                claim.judge(0, 1, SESSION, start + wait),
                Verdict::Persistent
            );
        }
    }
}
