//! What is done with a request that a route is for.

use std::sync::Arc;

use registry::ServiceName;
use smallvec::SmallVec;

use super::redirect::Location;
use crate::{
    balancers::mix,
    config::{self, Respond, Subset},
};

/// Says what is done.
#[derive(Debug)]
pub(crate) enum Action {
    Forward(Targets),
    Redirect(Box<Location>),
    Respond(Arc<Respond>),
}

/// Holds the services between which requests are split; mostly there is one.
#[derive(Debug)]
pub(crate) struct Targets {
    all: SmallVec<[Target; 1]>,
    /// The sums of the weights up to and with each target; empty when there is one.
    sums: Box<[u64]>,
}

/// Names a service, or some of its instances.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) service: ServiceName,
    pub(crate) subset: Option<Arc<Subset>>,
    /// The place of the subset among those that the service's pool is asked for.
    pub(super) place: usize,
    pub(crate) weight: u32,
}

impl Action {
    /// Prepares the action of a route, whose path prefix in its normal form is `prefix`; `None` when it
    /// has none.
    pub(super) fn of(route: &config::Route, prefix: &str) -> Option<Self> {
        if let Some(service) = &route.service {
            let target = Target::new(service, route.subset.as_ref(), 1);
            return Some(Self::Forward(Targets::new([target])));
        }
        if let Some(redirect) = &route.redirect {
            let location = Location::new(redirect.clone(), prefix);
            return Some(Self::Redirect(Box::new(location)));
        }
        if let Some(respond) = &route.respond {
            return Some(Self::Respond(Arc::new(respond.clone())));
        }
        let shares = route.split.iter().filter(|share| share.weight > 0);
        let targets =
            shares.map(|share| Target::new(&share.service, share.subset.as_ref(), share.weight));
        let targets = Targets::new(targets);
        (!targets.all.is_empty()).then_some(Self::Forward(targets))
    }

    /// Lists the targets to which it leads.
    pub(crate) fn targets(&self) -> &[Target] {
        match self {
            Self::Forward(targets) => &targets.all,
            Self::Redirect(_) | Self::Respond(_) => &[],
        }
    }

    pub(super) fn targets_mut(&mut self) -> &mut [Target] {
        match self {
            Self::Forward(targets) => &mut targets.all,
            Self::Redirect(_) | Self::Respond(_) => &mut [],
        }
    }
}

impl Targets {
    fn new(targets: impl IntoIterator<Item = Target>) -> Self {
        let all: SmallVec<[Target; 1]> = targets.into_iter().collect();
        let sums = all.iter().scan(0, |sum, target| {
            *sum += u64::from(target.weight);
            Some(*sum)
        });
        Self {
            sums: match all.len() {
                0 | 1 => Box::default(),
                _ => sums.collect(),
            },
            all,
        }
    }

    /// Lists all targets that get requests.
    pub(crate) fn all(&self) -> &[Target] {
        &self.all
    }

    /// Draws a target by weight among those for which `find` finds something; returns that, and `None`
    /// when it finds nothing for any. `draw` returns random bits, and is asked only where there is a choice.
    ///
    /// The share of one without goes to the others by their weights.
    pub(crate) fn drawn<'t, T>(
        &'t self,
        draw: impl FnOnce() -> u64,
        find: impl Fn(&'t Target) -> Option<T>,
    ) -> Option<T> {
        let Some(total) = self.sums.last() else {
            return self.all.first().and_then(find);
        };
        let bits = draw();
        let point = |bits: u64, total: u64| (u128::from(bits) * u128::from(total)) >> 64;
        let drawn = point(bits, *total);
        let first = self.sums.partition_point(|sum| u128::from(*sum) <= drawn);
        let found = self.all.get(first).and_then(&find);
        if found.is_some() {
            return found;
        }
        let others = || {
            self.all
                .iter()
                .filter_map(|one| Some((one.weight, find(one)?)))
        };
        let total = others().map(|(weight, _)| u64::from(weight)).sum();
        // The same bits would favour those near the one that was drawn.
        let mut left = point(mix(bits), total);
        let drawn = others().find(|(weight, _)| {
            let weight = u128::from(*weight);
            let is_here = left < weight;
            left = left.saturating_sub(weight);
            is_here
        });
        // All of them may have weight 0.
        drawn.or_else(|| others().next()).map(|(_, found)| found)
    }
}

impl Target {
    pub(super) fn new(service: &ServiceName, subset: Option<&Subset>, weight: u32) -> Self {
        Self {
            service: service.clone(),
            subset: subset.map(|subset| Arc::new(subset.clone())),
            place: 0,
            weight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(weights: &[u32]) -> Targets {
        let target = |(n, weight): (usize, &u32)| {
            Target::new(&format!("s{n}").parse().unwrap(), None, *weight)
        };
        Targets::new(weights.iter().enumerate().map(target))
    }

    #[test]
    fn requests_are_split_by_weight() {
        let targets = targets(&[90, 9, 1]);
        let mut counts = [0; 3];
        for n in 0..10_000_u64 {
            let drawn = targets.drawn(|| n * (u64::MAX / 10_000), Some).unwrap();
            let at = targets.all.iter().position(|one| std::ptr::eq(one, drawn));
            counts[at.unwrap()] += 1;
        }
        for (count, expected) in counts.into_iter().zip([9000_i32, 900, 100]) {
            assert!((count - expected).abs() <= 1, "{counts:?}");
        }
    }

    #[test]
    fn the_share_of_one_that_has_nobody_goes_to_the_others_by_weight() {
        let targets = targets(&[90, 1, 9, 0]);
        let mut counts = [0_i32; 4];
        for n in 0..10_000_u64 {
            let has = |target| Some(target).filter(|one: &&Target| one.service.as_str() != "s0");
            let drawn = targets.drawn(|| n * (u64::MAX / 10_000), has).unwrap();
            let at = targets.all.iter().position(|one| std::ptr::eq(one, drawn));
            counts[at.unwrap()] += 1;
        }
        assert!((counts[1] - 1_000).abs() < 100, "{counts:?}");
        assert_eq!(
            (counts[0], counts[3], counts.iter().sum::<i32>()),
            (0, 0, 10_000)
        );
        let only = |wanted: &str| {
            let name = |target: &Target| target.service.as_str().to_owned();
            targets.drawn(
                || 7,
                |target| Some(name(target)).filter(|one| one == wanted),
            )
        };
        assert_eq!((only("s3"), only("none")), (Some("s3".to_owned()), None));
    }

    #[test]
    fn where_there_is_one_nothing_is_drawn() {
        let targets = targets(&[5]);
        assert!(targets.drawn(|| unreachable!(), Some).is_some());
    }
}
