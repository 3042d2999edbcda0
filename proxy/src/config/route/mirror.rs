//! Where copies of a route's requests go.

use config::Problem;
use registry::ServiceName;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Route, Subset};

/// Configures a service that gets copies of requests, whose responses nobody sees.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// The service.
    pub service: ServiceName,
    /// Only these of its instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset: Option<Subset>,
    /// How many of a hundred requests are copied; 100.
    #[serde(default)]
    pub percent: Percent,
}

/// Holds a share in millionths, written as a number of a hundred: `0.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(u32);

/// What all is in millionths.
const WHOLE: u32 = 1_000_000;

impl Percent {
    /// Tells whether a request with these random bits belongs to the share.
    pub(crate) fn includes(self, random: u64) -> bool {
        (u128::from(random) * u128::from(WHOLE)) >> 64 < u128::from(self.0)
    }
}

impl Default for Percent {
    fn default() -> Self {
        Self(WHOLE)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let percent = f64::deserialize(deserializer)?;
        match (0.0..=100.0).contains(&percent) {
            true => Ok(Self((percent * f64::from(WHOLE / 100)).round() as u32)),
            false => Err(de::Error::custom(format!(
                "`{percent}` is not between 0 and 100"
            ))),
        }
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / f64::from(WHOLE / 100))
    }
}

impl Route {
    pub(super) fn mirror_problems(&self) -> Vec<Problem> {
        let Some(mirror) = &self.mirror else {
            return Vec::new();
        };
        let subset = mirror.subset.as_ref().and_then(Subset::problem);
        let mut problems: Vec<_> = subset
            .map(|one| one.within("mirror.subset"))
            .into_iter()
            .collect();
        if self.redirect.is_some() || self.respond.is_some() {
            let reason = "no instance gets the requests of this route, and no mirror either";
            problems.push(Problem::new("mirror", reason));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_drawn_as_large_as_it_is_written() {
        let percent = |text: &str| {
            let mirror = toml::from_str::<Mirror>(&format!("service = 'x'\npercent = {text}"));
            mirror.map(|mirror| mirror.percent)
        };
        let tenth = percent("0.1").unwrap();
        let included = (0..100_000_u64).filter(|n| tenth.includes(n * (u64::MAX / 100_000)));
        assert!((99..=101).contains(&included.count()));
        assert!(percent("100").unwrap().includes(u64::MAX));
        assert!(!percent("0").unwrap().includes(0));
        assert!(percent("101").is_err() && percent("-1").is_err() && percent("nan").is_err());
    }
}
