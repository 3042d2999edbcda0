//! Routes that are never used, as another one always comes before them.

use super::{routes::Routes, rule::Rule};
use crate::Config;

/// Tells of a route that is never used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Covered {
    /// The place of the route in the configuration.
    pub(crate) place: usize,
    /// The place of the one that is used in its stead.
    pub(crate) by: usize,
    /// Both match just the same, and nothing but their places says which one counts.
    pub(crate) is_twin: bool,
    /// The other one's priority is higher.
    pub(crate) by_priority: bool,
}

/// Finds the routes that are never used, as far as that is easy to tell, in the order of their places.
///
/// Routes with problems of their own are left out.
pub(crate) fn covered(config: &Config) -> Vec<Covered> {
    let routes = Routes::build(config, &[]);
    let rules = routes.rules();
    let mut found: Vec<_> = (0..)
        .zip(rules)
        .filter_map(|(rank, rule)| {
            let before = routes.covering(&rule.ports, &rule.host, &rule.path);
            let before = before.into_iter();
            let before = before
                .filter(|other| *other < rank)
                .map(|other| &rules[other as usize]);
            let other = before
                .filter(|other| includes(other, rule))
                .min_by_key(|one| one.order())?;
            Some(Covered {
                place: rule.place,
                by: other.place,
                is_twin: other.priority == rule.priority && is_same(other, rule),
                by_priority: other.priority > rule.priority,
            })
        })
        .collect();
    found.sort_by_key(|one| one.place);
    found
}

/// Tells whether the conditions of a rule hold wherever those of another do.
fn includes(rule: &Rule, other: &Rule) -> bool {
    let conditions = rule.conditions.as_deref();
    conditions.is_none_or(|one| one.follow_from(other.conditions.as_deref()))
}

fn is_same(a: &Rule, b: &Rule) -> bool {
    a.ports == b.ports
        && a.host == b.host
        && a.path == b.path
        && a.conditions_count() == b.conditions_count()
        && includes(a, b)
        && includes(b, a)
}
