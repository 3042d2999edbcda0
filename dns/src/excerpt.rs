//! What a zone tells of a service.

use std::{borrow::Cow, sync::Arc};

use registry::{Instance, Observation, Service, State};

use crate::{config::AllDown, zone::Words};

/// Holds a service as a zone has it.
#[derive(Debug, Clone)]
pub(crate) struct Excerpt<'a> {
    pub(crate) service: Cow<'a, Service>,
    /// Whether no instance is available, and those are told that may yet answer.
    ///
    /// They are up and not unhealthy in the excerpt: so their names answer as well, and they are seen
    /// to have changed when this does.
    pub(crate) last_resort: bool,
}

impl Words {
    /// Tells whether the zone has instances of a source.
    pub(crate) fn takes(&self, source: &str) -> bool {
        let sources = self.sources.as_ref();
        sources.is_none_or(|sources| sources.iter().any(|one| one == source))
    }

    /// Returns what the zone tells of a service; `None` where that is nothing.
    pub(crate) fn excerpt<'a>(&self, service: &'a Service) -> Option<Excerpt<'a>> {
        let service = self.own(service)?;
        let mut all = service.instances.iter();
        let nobody = self.all_down == AllDown::All && all.all(|one| self.exclusion(one).is_some());
        let last_resort = nobody && service.instances.iter().any(|one| self.may_answer(one));
        let service = match last_resort {
            true => Cow::Owned(self.with_last_resort(&service)),
            false => service,
        };
        Some(Excerpt {
            service,
            last_resort,
        })
    }

    /// Returns a service with the instances of the zone's sources, if there are any.
    fn own<'a>(&self, service: &'a Service) -> Option<Cow<'a, Service>> {
        if self.sources.is_none() {
            return Some(Cow::Borrowed(service));
        }
        let own = |instance: &&Arc<Instance>| self.takes(&instance.origin.source);
        let instances: Vec<_> = service.instances.iter().filter(own).cloned().collect();
        match instances.len() {
            0 => None,
            count if count == service.instances.len() => Some(Cow::Borrowed(service)),
            _ => Some(Cow::Owned(Service {
                instances,
                ..service.clone()
            })),
        }
    }

    /// Tells whether a client could be sent to an instance when there is no better one.
    ///
    /// One that drains is there and has asked for no more.
    fn may_answer(&self, instance: &Instance) -> bool {
        self.is_somewhere(instance) && instance.state != State::Draining
    }

    fn with_last_resort(&self, service: &Service) -> Service {
        let instances = service.instances.iter().map(|instance| {
            if !self.may_answer(instance) {
                return Arc::clone(instance);
            }
            Arc::new(Instance {
                state: State::Up,
                observation: Observation::default(),
                ..Instance::clone(instance)
            })
        });
        Service {
            instances: instances.collect(),
            ..service.clone()
        }
    }
}
