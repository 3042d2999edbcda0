//! What is known of a service's instances, and who of them is kept away.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use registry::{Instance, InstanceId, Observation, Service};
use tokio::time::Instant;

use super::{Condition, InstanceState, Why, instance::Place};
use crate::{
    config::{Ejection, ServicePolicy},
    health::outcomes::Sample,
};

/// How much slower than the others, in microseconds, an instance must be for its latency to
/// count: below it, multiples are noise.
const SLOWER_MICROS_MIN: u64 = 1000;

/// How many instances must have a latency for one of them to be slower than the others.
const LATENCIES_MIN: usize = 3;

/// Holds what is known of one service.
#[derive(Debug)]
pub(in crate::health) struct ServiceState {
    policy: Arc<ServicePolicy>,
    instances: BTreeMap<InstanceId, InstanceState>,
    fail_open: bool,
    counts: Counts,
}

/// Counts what has happened to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::health) struct Counts {
    pub(in crate::health) checks_passed: u64,
    pub(in crate::health) checks_failed: u64,
    /// Checks for which this machine had no room.
    pub(in crate::health) checks_left_out: u64,
    /// In the order of [`Why::ALL`].
    pub(in crate::health) ejections: [u64; Why::ALL.len()],
    /// Ejections that would have been too many at a time.
    pub(in crate::health) suppressed: u64,
    /// How many are kept away now, or would be: by checks, and as ejected.
    pub(in crate::health) failing: u64,
    pub(in crate::health) ejected: u64,
}

impl ServiceState {
    /// Knows nothing of a service yet, whose instances are all as old as it is.
    pub(in crate::health) fn new(
        service: &Service,
        policy: Arc<ServicePolicy>,
        now: Instant,
    ) -> Self {
        let state = |instance: &Arc<Instance>| InstanceState::new(instance, now);
        let instances = service.instances.iter();
        Self {
            policy,
            instances: instances
                .map(|instance| (instance.id.clone(), state(instance)))
                .collect(),
            fail_open: false,
            counts: Counts::default(),
        }
    }

    /// Takes the instances that there are now.
    ///
    /// One that is new, or was not in use, starts slowly where there are others that can do its
    /// part meanwhile; `is_complete` says that everything was known before, so that it isn't only new to
    /// us. Costs what there is of the service.
    pub(in crate::health) fn update(&mut self, service: &Service, is_complete: bool, now: Instant) {
        let may_be_slow = !self.policy.slow_start.is_zero()
            && self.instances.values().any(|one| one.place.is_eligible());
        self.instances
            .retain(|id, _| service.instance(id).is_some());
        for instance in &service.instances {
            let place = Place::of(instance);
            let known = self.instances.get_mut(&instance.id);
            if let Some(known) = known.filter(|known| known.place.goes_on_at(&place)) {
                // What the registry says counts: it forgets what it knew when an instance goes,
                // also when that one is back before we have seen that it was away.
                known.reported = instance.observation;
                if known.is_out && place.is_eligible() {
                    known.is_out = false;
                    known.slow_since = may_be_slow.then_some(now);
                }
                known.place = place;
                continue;
            }
            let before = self.instances.get(&instance.id);
            let is_new = match before {
                None => is_complete,
                // That its host's address has been found makes it no newer.
                Some(before) if before.place.is_nowhere() => before.is_late,
                Some(_) => true,
            };
            let mut new = InstanceState::new(instance, now);
            new.is_late = before.map_or(is_complete, |before| before.is_late);
            new.slow_since = (may_be_slow && is_new && place.is_eligible()).then_some(now);
            self.instances.insert(instance.id.clone(), new);
        }
    }

    /// Tells whether there are instances that drain.
    pub(in crate::health) fn has_draining(&self) -> bool {
        let mut states = self.instances.values();
        states.any(|state| state.place.is_draining())
    }

    /// Notes which of those that drain get no requests any more: they start anew when they are back.
    pub(in crate::health) fn note_use(&mut self, is_used: impl Fn(&InstanceId) -> bool) {
        for (id, state) in &mut self.instances {
            // One that is unwell gets none for that reason.
            if state.place.is_draining() && !state.condition.is_bad() {
                state.is_out |= !is_used(id);
            }
        }
    }

    /// Goes on by another policy; what it doesn't ask for is forgotten.
    pub(in crate::health) fn set_policy(&mut self, policy: Arc<ServicePolicy>) {
        let other_check = self.policy.check != policy.check;
        for state in self.instances.values_mut() {
            if other_check {
                state.turn = None;
            }
            if policy.check.is_none() {
                state.checked = Default::default();
                state.trouble = None;
            }
            if policy.ejection.is_none() {
                state.ejected = Default::default();
                state.window = Default::default();
            }
            if policy.slow_start.is_zero() {
                state.slow_since = None;
            }
        }
        self.policy = policy;
    }

    pub(in crate::health) fn policy(&self) -> &Arc<ServicePolicy> {
        &self.policy
    }

    /// Tells whether health is not believed, as too few would be left.
    pub(in crate::health) fn fail_open(&self) -> bool {
        self.fail_open
    }

    pub(in crate::health) fn counts(&self) -> Counts {
        self.counts
    }

    pub(in crate::health) fn instances(&self) -> &BTreeMap<InstanceId, InstanceState> {
        &self.instances
    }

    /// Tells whether time alone will change something.
    pub(in crate::health) fn depends_on_time(&self) -> bool {
        let mut states = self.instances.values();
        states.any(|state| state.ejected.is().is_some() || state.slow_since.is_some())
    }

    /// Lists the instances that are to be checked and aren't yet, each with a turn of its own, of
    /// which `turns` counts all.
    pub(in crate::health) fn plan(&mut self, turns: &mut u64) -> Vec<(InstanceId, u64)> {
        let Some(check) = &self.policy.check else {
            return Vec::new();
        };
        let mut planned = Vec::new();
        for (id, state) in &mut self.instances {
            if state.turn.is_none() && !state.targets(check).is_empty() {
                *turns += 1;
                state.turn = Some(*turns);
                planned.push((id.clone(), *turns));
            }
        }
        planned
    }

    /// Returns where an instance is to be checked, unless this turn is over.
    pub(in crate::health) fn begin_check(
        &self,
        id: &InstanceId,
        turn: u64,
    ) -> Option<Vec<SocketAddr>> {
        let state = self.instances.get(id)?;
        let targets = state.targets(self.policy.check.as_ref()?);
        Some(targets).filter(|targets| state.turn == Some(turn) && !targets.is_empty())
    }

    /// Takes the result of a check; returns whether it has decided something.
    pub(in crate::health) fn check(
        &mut self,
        id: &InstanceId,
        turn: u64,
        result: Result<(), String>,
        now: Instant,
    ) -> bool {
        let state = self.instances.get_mut(id);
        let Some((check, state)) = self.policy.check.as_ref().zip(state) else {
            return false;
        };
        if state.turn != Some(turn) {
            return false;
        }
        match result {
            Ok(()) => self.counts.checks_passed += 1,
            Err(_) => self.counts.checks_failed += 1,
        }
        let was_bad = state.checked.passes() == Some(false);
        let decided = state.checked.take(result.is_ok(), check);
        if decided && was_bad {
            state.recover(&self.policy, now);
        }
        state.trouble = result.err();
        decided
    }

    /// Counts a check that wasn't made, and so says nothing.
    pub(in crate::health) fn leave_check_out(&mut self) {
        self.counts.checks_left_out += 1;
    }

    /// Takes what endpoints have counted; ejects those that do badly, as far as it may. Returns
    /// whether there were any.
    pub(in crate::health) fn sample<'s>(
        &mut self,
        samples: impl Iterator<Item = (&'s InstanceId, Sample)>,
        now: Instant,
    ) -> bool {
        let Some(ejection) = self.policy.ejection else {
            return false;
        };
        let window = ejection.window.get();
        let mut bad = Vec::new();
        for (id, sample) in samples {
            let Some(state) = self.instances.get_mut(id) else {
                continue;
            };
            let new_failures = state.window.take(sample, window, now);
            if let Some(why) = state.failing(&ejection, sample, new_failures) {
                bad.push((id.clone(), why));
            }
        }
        if let Some(factor) = ejection.latency {
            bad.extend(self.slow(&ejection, factor));
        }
        let any = !bad.is_empty();
        if any {
            self.release(now);
        }
        for (id, why) in bad {
            self.eject(&ejection, &id, why, now);
        }
        any
    }

    /// Lets time pass; returns what has changed for the registry.
    pub(in crate::health) fn settle(&mut self, now: Instant) -> Vec<(InstanceId, Observation)> {
        self.release(now);
        self.trim(now);
        let policy = Arc::clone(&self.policy);
        let (mut eligible, mut bad) = (0_usize, 0_usize);
        (self.counts.failing, self.counts.ejected) = (0, 0);
        for state in self.instances.values_mut() {
            let condition = state.current();
            if condition != state.condition {
                state.condition = condition;
                state.since = now;
            }
            if !state.place.is_eligible() {
                continue;
            }
            eligible += 1;
            bad += usize::from(condition.is_bad());
            self.counts.failing += u64::from(condition == Condition::CheckFailed);
            self.counts.ejected += u64::from(condition == Condition::Ejected);
        }
        let healthy = (eligible - bad) as f64;
        self.fail_open = bad > 0 && healthy < policy.fail_open * eligible as f64;
        let mut changes = Vec::new();
        for (id, state) in &mut self.instances {
            let observation = state.observation(self.fail_open, &policy, now);
            if state
                .slow_since
                .is_some_and(|since| now.saturating_duration_since(since) >= policy.slow_start)
            {
                state.slow_since = None;
            }
            if observation != state.reported {
                state.reported = observation;
                changes.push((id.clone(), observation));
            }
        }
        changes
    }

    /// Takes back all that the registry was told, before this is forgotten.
    pub(in crate::health) fn retract(self) -> Vec<(InstanceId, Observation)> {
        let nothing = Observation::default();
        let told = self.instances.into_iter();
        told.filter(|(_, state)| state.reported != nothing)
            .map(|(id, _)| (id, nothing))
            .collect()
    }

    /// Takes those back whose time is over.
    fn release(&mut self, now: Instant) {
        for state in self.instances.values_mut() {
            if state.ejected.is_over(now) {
                state.ejected.release(now);
                state.recover(&self.policy, now);
            }
        }
    }

    /// Takes back who was ejected first while there are more than there may be, as when others have
    /// gone.
    fn trim(&mut self, now: Instant) {
        let Some(ejection) = self.policy.ejection else {
            return;
        };
        let room = self.room(&ejection);
        let mut ejected: Vec<_> = self
            .instances
            .values_mut()
            .filter(|state| state.place.is_eligible())
            .filter_map(|state| Some((state.ejected.is()?.0, state)))
            .collect();
        ejected.sort_by_key(|(until, _)| *until);
        let many = ejected.len().saturating_sub(room);
        for (_, state) in ejected.into_iter().take(many) {
            state.ejected.release(now);
            state.recover(&self.policy, now);
        }
    }

    fn eject(&mut self, ejection: &Ejection, id: &InstanceId, why: Why, now: Instant) {
        let away = self
            .instances
            .values()
            .filter(|state| state.place.is_eligible() && state.ejected.is().is_some());
        let has_room = away.count() < self.room(ejection);
        let Some(state) = self.instances.get_mut(id) else {
            return;
        };
        if !state.place.is_watched() || state.ejected.is().is_some() {
            return;
        }
        // One that drains is about to be missed anyway.
        if !has_room && state.place.is_eligible() {
            self.counts.suppressed += 1;
            return;
        }
        state.ejected.eject(ejection, why, now);
        state.window.clear();
        self.counts.ejections[why as usize] += 1;
    }

    /// Returns how many may be ejected at a time.
    fn room(&self, ejection: &Ejection) -> usize {
        let eligible = self.instances.values();
        let eligible = eligible.filter(|state| state.place.is_eligible()).count();
        (eligible as f64 * ejection.max_share) as usize
    }

    /// Lists who takes too long, compared with the others.
    fn slow(&self, ejection: &Ejection, factor: f64) -> Vec<(InstanceId, Why)> {
        let mut latencies: Vec<(u64, &InstanceId)> = self
            .instances
            .iter()
            // Of the others nothing new is known.
            .filter(|(_, state)| !state.condition.is_bad() && !state.is_out)
            .filter_map(|(id, state)| {
                let sum = state.window.sum();
                let enough = sum.requests() >= u64::from(ejection.min_requests);
                Some((sum.latency().filter(|_| enough)?, id))
            })
            .collect();
        if latencies.len() < LATENCIES_MIN {
            return Vec::new();
        }
        latencies.sort_unstable();
        // Of an even number the lower one: half of them being slow is not the rule.
        let median = latencies[(latencies.len() - 1) / 2].0;
        let bound = (median as f64 * factor).max((median + SLOWER_MICROS_MIN) as f64);
        let slow = latencies.into_iter().rev();
        slow.take_while(|(latency, _)| *latency as f64 > bound)
            .map(|(_, id)| (id.clone(), Why::Latency))
            .collect()
    }
}

impl InstanceState {
    /// Tells whether it fails too many requests.
    fn failing(&self, ejection: &Ejection, sample: Sample, new_failures: u64) -> Option<Why> {
        // Without a new failure this is an old story.
        if new_failures == 0 {
            return None;
        }
        let limit = ejection.consecutive_failures;
        if limit != 0 && sample.consecutive >= limit {
            return Some(Why::ConsecutiveFailures);
        }
        let sum = self.window.sum();
        let enough = sum.requests() >= u64::from(ejection.min_requests);
        let most = ejection.failure_ratio * sum.requests() as f64;
        (enough && sum.failures as f64 >= most).then_some(Why::FailureRatio)
    }

    /// Begins to use it again.
    fn recover(&mut self, policy: &ServicePolicy, now: Instant) {
        self.window.clear();
        self.slow_since = (!policy.slow_start.is_zero()).then_some(now);
    }
}

#[cfg(test)]
mod tests;
