//! What lies over the instances of a service: what is observed of them, and what operators wish.

use std::{collections::BTreeMap, sync::Arc};

use crate::{Instance, InstanceId, Observation, Service, State};

/// Holds what is known of a service's instances beside their records; those of which nothing is
/// known aren't in it.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    notes: BTreeMap<InstanceId, Note>,
}

/// What is known of one instance.
#[derive(Debug, Default)]
struct Note {
    observation: Observation,
    /// An operator wishes that it drains.
    drained: bool,
    /// The instance that this was last laid over, and what came of it: as long as both are the same,
    /// so is the result.
    made: Option<(Arc<Instance>, Arc<Instance>)>,
}

impl Overlay {
    /// Takes an observation; returns whether it is another one than before.
    pub(super) fn observe(&mut self, id: InstanceId, observation: Observation) -> bool {
        self.change(id, |note| note.observation = observation)
    }

    /// Takes the wish that an instance drains, or no longer does; returns whether it is a new one.
    pub(super) fn drain(&mut self, id: InstanceId, drained: bool) -> bool {
        self.change(id, |note| note.drained = drained)
    }

    /// Tells whether nothing is known of any instance.
    pub(super) fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// Lays what is known over a service; what is known of instances that aren't there is forgotten.
    ///
    /// Costs what is known.
    pub(super) fn lay_over(&mut self, service: &mut Service) {
        self.notes.retain(|id, note| {
            let at = service.instances.binary_search_by(|one| one.id.cmp(id));
            at.map(|at| note.lay_over(&mut service.instances[at]))
                .is_ok()
        });
    }

    fn change(&mut self, id: InstanceId, change: impl FnOnce(&mut Note)) -> bool {
        let note = self.notes.entry(id.clone()).or_default();
        let before = (note.observation, note.drained);
        change(note);
        let after = (note.observation, note.drained);
        let changed = before != after;
        if changed {
            note.made = None;
        }
        if after == (Observation::default(), false) {
            self.notes.remove(&id);
        }
        changed
    }
}

impl Note {
    fn lay_over(&mut self, instance: &mut Arc<Instance>) {
        if let Some((base, made)) = &self.made
            && Arc::ptr_eq(base, instance)
        {
            *instance = Arc::clone(made);
            return;
        }
        let base = Arc::clone(instance);
        let mut new = Instance::clone(instance);
        new.observation = self.observation;
        new.drained = self.drained;
        // One that isn't up gets nothing new anyway.
        if self.drained && new.state == State::Up {
            new.state = State::Draining;
        }
        *instance = match &self.made {
            Some((_, made)) if **made == new => Arc::clone(made),
            _ => Arc::new(new),
        };
        self.made = Some((base, Arc::clone(instance)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Health, testing};

    const HEALTHY: Observation = Observation::new(Health::Healthy, 100);

    fn id(text: &str) -> InstanceId {
        InstanceId::from_text(text)
    }

    #[test]
    fn an_instance_that_has_not_changed_is_the_same_one_again() {
        let record = testing::service("web", &[("a", 1), ("b", 1)]);
        let mut overlay = Overlay::default();
        assert!(overlay.observe(id("a"), HEALTHY));
        let lay = |overlay: &mut Overlay| {
            let mut service = record.clone();
            overlay.lay_over(&mut service);
            service
        };
        let (one, two) = (lay(&mut overlay), lay(&mut overlay));
        assert!(Arc::ptr_eq(&one.instances[0], &two.instances[0]));
        assert!(Arc::ptr_eq(&one.instances[1], &record.instances[1]));
        assert!(!overlay.observe(id("a"), HEALTHY));
        assert!(overlay.drain(id("a"), true));
        assert_eq!(lay(&mut overlay).instances[0].state, State::Draining);
    }

    #[test]
    fn nothing_is_kept_of_those_who_are_gone_or_of_whom_nothing_is_known() {
        let mut overlay = Overlay::default();
        overlay.observe(id("gone"), HEALTHY);
        overlay.lay_over(&mut testing::service("web", &[("a", 1)]));
        assert!(overlay.is_empty());
        overlay.drain(id("a"), true);
        assert!(!overlay.drain(id("a"), true) && overlay.drain(id("a"), false));
        assert!(!overlay.drain(id("a"), false) && overlay.is_empty());
    }
}
