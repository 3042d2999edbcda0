//! The table `[proxy.locality]`.

use config::Problem;
use registry::Instance;
use serde::{Deserialize, Serialize};

/// Configures where this signpost stands, so that instances near it are preferred.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Locality {
    /// The larger area, such as `eu-west-1`; instances in others are far away.
    pub region: Option<String>,
    /// The part of it that fails as one, such as a data centre; instances there are near.
    pub zone: Option<String>,
    /// How many times their share of the requests those near may get: with 1.4, they get all as long as
    /// seven in ten of them are well; then the rest spills over.
    pub overprovisioning: f64,
}

/// Says how near an instance is; the nearer come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// In the same zone.
    SameZone,
    /// In the same region.
    SameRegion,
    /// Anywhere else.
    Elsewhere,
}

impl Distance {
    /// Every distance, the nearest first.
    pub(crate) const ALL: [Self; 3] = [Self::SameZone, Self::SameRegion, Self::Elsewhere];
}

impl Default for Locality {
    fn default() -> Self {
        Self {
            region: None,
            zone: None,
            overprovisioning: 1.4,
        }
    }
}

impl Locality {
    /// Tells whether nobody is preferred.
    pub(crate) fn is_nowhere(&self) -> bool {
        self.region.is_none() && self.zone.is_none()
    }

    /// Returns how far away an instance is.
    ///
    /// Of an instance that doesn't say where it is, nothing near is believed.
    pub(crate) fn distance(&self, instance: &Instance) -> Distance {
        let theirs = instance.locality.as_deref();
        let region = theirs.and_then(|theirs| theirs.region.as_deref());
        let zone = theirs.and_then(|theirs| theirs.zone.as_deref());
        let is_same = |own: &Option<String>, other: Option<&str>| match own {
            Some(own) => other == Some(own),
            None => true,
        };
        match (is_same(&self.region, region), is_same(&self.zone, zone)) {
            (true, true) => Distance::SameZone,
            // Without a region there is nothing between the zone and the rest.
            (true, false) if self.region.is_some() => Distance::SameRegion,
            _ => Distance::Elsewhere,
        }
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let least = 1.0;
        let is_good = (least..=100.0).contains(&self.overprovisioning);
        let reason = || format!("`{}` is not between 1.0 and 100.0", self.overprovisioning);
        let problem = (!is_good).then(|| Problem::new("locality.overprovisioning", reason()));
        problem.into_iter().collect()
    }
}
