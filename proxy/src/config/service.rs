//! The tables `[proxy.defaults]` and `[proxy.services.NAME]`: what holds for a service's instances.

mod check;
mod ejection;

use config::{Duration, Problem};
use serde::{Deserialize, Serialize};

pub use self::{
    check::{Check, CheckKind, StatusRange},
    ejection::Ejection,
};

/// Configures how a service's instances are watched and what they may take.
///
/// In `[proxy.defaults]` it holds for each service. A key of `[proxy.services.NAME]` takes the
/// place of the same key of the defaults as a whole.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceOptions {
    /// How instances are asked whether they are well; they aren't by default.
    pub check: Option<Check>,
    /// When an instance is ejected for what it does to requests; never by default.
    pub ejection: Option<Ejection>,
    /// How long an instance that is new or has recovered takes to get its whole weight; 0 s, which
    /// gives it at once.
    pub slow_start: Option<Duration>,
    /// The share of the instances, 0 to 1, of which fewer healthy ones mean that health is not
    /// believed and all are asked; 0.5. With 0 that never happens.
    pub fail_open: Option<f64>,
    /// How much the service is given at a time; without limits by default.
    pub limits: Option<CircuitLimits>,
    /// What DNS is told of what the proxy sees; everything by default.
    pub dns: Option<Told>,
}

/// Configures how much a service is given at a time; what has no limit may be any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CircuitLimits {
    /// The most connections to all its instances.
    pub connections: Option<usize>,
    /// The most requests that wait for a connection.
    pub pending: Option<usize>,
    /// The most requests under way.
    pub requests: Option<usize>,
}

/// Configures what DNS is told of what the proxy sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Told {
    /// Whether instances that are unhealthy leave DNS; true.
    pub health: bool,
    /// Whether the weights in SRV records are those of the slow start; true.
    pub slow_start: bool,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            health: true,
            slow_start: true,
        }
    }
}

/// Holds what holds for one service, after defaults and its own options.
#[derive(Debug, Clone, PartialEq)]
pub struct ServicePolicy {
    /// How its instances are asked whether they are well; `None` when they aren't.
    pub check: Option<Check>,
    /// When an instance is ejected; `None` for never.
    pub ejection: Option<Ejection>,
    /// How long an instance takes to get its whole weight.
    pub slow_start: std::time::Duration,
    /// The share of healthy instances below which health is not believed.
    pub fail_open: f64,
    /// How much the service is given at a time.
    pub limits: CircuitLimits,
    /// What DNS is told.
    pub dns: Told,
}

/// The share of healthy instances below which health is not believed, where nothing is said.
const FAIL_OPEN: f64 = 0.5;

impl ServicePolicy {
    pub(super) fn new(defaults: &ServiceOptions, own: Option<&ServiceOptions>) -> Self {
        let none = ServiceOptions::default();
        let own = own.unwrap_or(&none);
        let slow_start = own.slow_start.or(defaults.slow_start).unwrap_or_default();
        let check = own.check.as_ref().or(defaults.check.as_ref());
        let ejection = own.ejection.as_ref().or(defaults.ejection.as_ref());
        Self {
            check: check.filter(|check| check.kind != CheckKind::None).cloned(),
            ejection: ejection.filter(|ejection| ejection.enabled).copied(),
            slow_start: slow_start.get(),
            fail_open: own.fail_open.or(defaults.fail_open).unwrap_or(FAIL_OPEN),
            limits: own.limits.or(defaults.limits).unwrap_or_default(),
            dns: own.dns.or(defaults.dns).unwrap_or_default(),
        }
    }

    /// Tells whether anything of the service's instances is to be watched.
    pub fn watches(&self) -> bool {
        self.check.is_some() || self.ejection.is_some() || !self.slow_start.is_zero()
    }
}

impl ServiceOptions {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(check) = &self.check {
            let found = check.problems().into_iter();
            problems.extend(found.map(|problem| problem.within("check")));
        }
        if let Some(ejection) = &self.ejection {
            let found = ejection.problems().into_iter();
            problems.extend(found.map(|problem| problem.within("ejection")));
        }
        if let Some(share) = self.fail_open {
            problems.extend(not_within("fail_open", share, 0.0, 1.0));
        }
        if let Some(limits) = &self.limits {
            // Of those that wait there may be none.
            let all = [
                ("connections", limits.connections),
                ("requests", limits.requests),
            ];
            let zero = all.into_iter().filter(|(_, limit)| *limit == Some(0));
            problems.extend(zero.map(|(key, _)| {
                Problem::new(format!("limits.{key}"), "`0` would let nothing pass")
            }));
        }
        problems
    }
}

/// Finds a number that is not between two others, nor one of them.
fn not_within(key: &str, value: f64, least: f64, most: f64) -> Option<Problem> {
    let reason = || format!("`{value}` is not between {least} and {most}");
    // Also for what isn't a number.
    (!(least..=most).contains(&value)).then(|| Problem::new(key, reason()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    fn problems(text: &str) -> Vec<String> {
        let problems = config(text).problems();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn by_default_nothing_is_watched_and_nothing_limited() {
        let policy = config("").service("web");
        assert!(!policy.watches());
        assert_eq!(policy.fail_open, 0.5);
        assert_eq!(policy.limits, CircuitLimits::default());
        assert!(policy.dns.health && policy.dns.slow_start);
    }

    #[test]
    fn a_key_of_a_service_takes_the_place_of_the_default_as_a_whole() {
        let config = config(
            "[defaults]\nslow_start = '9s'\ncheck = { path = '/a', rise = 7 }\nejection = {}\n\
             [services.web]\ncheck = { fall = 1 }\nejection = { enabled = false }\n\
             [services.\"app.prod\"]\ncheck = { type = 'none' }\nfail_open = 0.0",
        );
        let (web, other) = (config.service("web"), config.service("other"));
        let (check, all) = (web.check.unwrap(), other.check.unwrap());
        assert_eq!((check.path.as_str(), check.rise, check.fall), ("/", 2, 1));
        assert_eq!((all.path.as_str(), all.rise, all.fall), ("/a", 7, 3));
        assert_eq!(
            (web.ejection, other.ejection.unwrap().consecutive_failures),
            (None, 5)
        );
        assert_eq!((web.slow_start.as_secs(), web.fail_open), (9, 0.5));
        let app = config.service("app.prod");
        assert_eq!((app.check, app.fail_open), (None, 0.0));
    }

    #[test]
    fn what_can_not_be_is_found_with_its_key() {
        assert_eq!(
            problems(
                "[defaults]\nfail_open = 1.5\nlimits = { requests = 0 }\n\
                 [services.web]\ncheck = { path = 'health', rise = 0, jitter = 2.0 }\n\
                 ejection = { failure_ratio = 0.0, base_time = '9m' }"
            ),
            [
                "defaults.fail_open: `1.5` is not between 0 and 1",
                "defaults.limits.requests: `0` would let nothing pass",
                "services.web.check.path: `health` does not begin with a slash",
                "services.web.check.rise: `0` results would decide nothing",
                "services.web.check.jitter: `2` is not between 0 and 0.9",
                "services.web.ejection.failure_ratio: `0` would eject whoever is asked",
                "services.web.ejection.max_time: `5m` is shorter than base_time, `9m`",
            ]
        );
        let path = "[services.web]\ncheck = { path = \"/a b\", host = \"x\\r\\ny\", status = [] }";
        assert_eq!(
            problems(path),
            [
                "services.web.check.path: it has a space, a control character or a letter beyond ASCII",
                "services.web.check.host: it has a space, a control character or a letter beyond ASCII",
                "services.web.check.status: with no status every check would fail",
            ]
        );
        let tcp = "[defaults]\ncheck = { type = 'tcp', body = 'ok' }";
        assert_eq!(
            problems(tcp),
            ["defaults.check.body: a tcp check reads no answer"]
        );
        assert!(toml::from_str::<Config>("[services.\"a b\"]\n").is_err());
    }
}
