//! A route of the configuration, ready for use.

use std::{cmp::Reverse, sync::Arc};

use super::{
    action::{Action, Target},
    conditions::Conditions,
    extras::Extras,
    facets::Facets,
    guard::Guard,
    pattern::{HostPattern, PathPattern},
};
use crate::{
    Balancer,
    config::{self, PathRules, RouteLimits, RouteRetries, RouteTimeouts},
};

/// Holds one route.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Its place in the configuration.
    pub(crate) place: usize,
    /// What it is called in metrics and logs: its name, or its place such as `routes[3]`.
    pub(crate) label: Arc<str>,
    pub(crate) priority: i32,
    /// The ports that it is for; all when there are none.
    pub(crate) ports: Box<[u16]>,
    pub(crate) host: HostPattern,
    pub(crate) path: PathPattern,
    pub(crate) conditions: Option<Box<Conditions>>,
    pub(crate) guard: Option<Box<Guard>>,
    pub(crate) action: Action,
    /// The proxy's where the route has none of its own.
    pub(crate) balancer: Balancer,
    pub(crate) timeouts: RouteTimeouts,
    pub(crate) retries: RouteRetries,
    pub(crate) limits: RouteLimits,
    pub(crate) extras: Option<Arc<Extras>>,
}

impl Rule {
    /// Prepares a route; `None` when it has problems.
    pub(super) fn of(
        place: usize,
        route: &config::Route,
        rules: PathRules,
        balancer: Balancer,
    ) -> Option<Self> {
        let path = PathPattern::of(route, rules).ok()?;
        let prefix = match &path {
            PathPattern::Prefix(prefix) => prefix,
            _ => "",
        };
        let extras = Extras::of(route, prefix).map(Arc::new);
        Some(Self {
            place,
            label: match &route.name {
                Some(name) => name.as_str().into(),
                None => format!("routes[{place}]").into(),
            },
            priority: route.priority,
            ports: route.ports.as_slice().into(),
            host: HostPattern::of(route),
            conditions: Conditions::of(route, rules).ok()?,
            guard: route.auth.as_ref().map(|auth| Box::new(Guard::new(auth))),
            action: Action::of(route, prefix)?,
            path,
            balancer: route.balancer.unwrap_or(balancer),
            timeouts: route.timeouts,
            retries: route.retries,
            limits: route.limits,
            extras,
        })
    }

    /// Lists all to which its requests may be sent.
    pub(super) fn targets_mut(&mut self) -> impl Iterator<Item = &mut Target> {
        // Nobody else has them yet.
        let extras = self.extras.as_mut().and_then(Arc::get_mut);
        let mirror = extras.and_then(|extras| extras.mirror.as_mut());
        let targets = self.action.targets_mut().iter_mut();
        targets.chain(mirror.map(|(target, _)| target))
    }

    /// Returns what the rule that is used rather than another one has less of: first the priority
    /// counts, then whether it is for some ports, the host, the path, the number of conditions, and the
    /// place.
    pub(super) fn order(&self) -> impl Ord + use<> {
        (Reverse(self.priority), self.specificity(), self.place)
    }

    /// Tells whether only the places say which of two is used.
    pub(crate) fn is_as_specific_as(&self, other: &Self) -> bool {
        let order = |rule: &Self| (rule.priority, rule.specificity());
        order(self) == order(other)
    }

    fn specificity(&self) -> impl Ord + use<> {
        let conditions = Reverse(self.conditions_count());
        let for_all = self.ports.is_empty();
        (for_all, self.host.order(), self.path.order(), conditions)
    }

    pub(super) fn conditions_count(&self) -> usize {
        let conditions = self.conditions.as_ref();
        conditions.map_or(0, |conditions| conditions.count())
    }

    /// Tells whether it is for requests that come to a port.
    pub(crate) fn is_at(&self, port: u16) -> bool {
        self.ports.is_empty() || self.ports.contains(&port)
    }

    /// Tells whether its further conditions hold.
    pub(crate) fn holds(&self, host: &str, path: &str, facets: &Facets<'_>) -> bool {
        let conditions = self.conditions.as_deref();
        conditions.is_none_or(|conditions| conditions.hold(host, path, facets))
    }
}
