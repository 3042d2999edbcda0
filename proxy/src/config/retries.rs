//! The table `[proxy.retries]`.

use config::{Duration, Problem, Size};
use serde::{Deserialize, Serialize};

/// Configures what happens when an instance fails.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retries {
    /// How many instances are asked at most for one request, the first one included; 3.
    pub attempts: usize,
    /// The largest request body that is kept so that it can be sent again; 64 KiB.
    pub body_bytes: Size,
    /// How long one instance may take for the head of its response before another is asked; as long
    /// as `timeouts.request` when left out.
    pub per_try: Option<Duration>,
    /// The statuses of 5xx after which another instance is asked; none.
    pub statuses: Statuses,
    /// Whether requests are repeated that may mean something else a second time (POST, PATCH); not by
    /// default.
    pub non_idempotent: bool,
    /// The share of requests that may be repeated, of each service and worker; 0.2.
    pub budget: f64,
    /// How many requests may be repeated in each ten seconds whatever their share; 100.
    pub budget_min: u64,
}

/// Holds some of the statuses 500 to 599.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(try_from = "Vec<u16>", into = "Vec<u16>")]
pub struct Statuses(u128);

impl Statuses {
    /// Tells whether a status is one of them.
    pub fn contains(self, status: u16) -> bool {
        (500..600).contains(&status) && self.0 & (1 << (status - 500)) != 0
    }
}

impl TryFrom<Vec<u16>> for Statuses {
    type Error = String;

    fn try_from(statuses: Vec<u16>) -> Result<Self, String> {
        statuses
            .into_iter()
            .try_fold(Self(0), |all, status| match (500..600).contains(&status) {
                true => Ok(Self(all.0 | 1 << (status - 500))),
                false => Err(format!("`{status}` is not between 500 and 599")),
            })
    }
}

impl From<Statuses> for Vec<u16> {
    fn from(statuses: Statuses) -> Self {
        let all = 500..600;
        all.filter(|status| statuses.contains(*status)).collect()
    }
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 3,
            body_bytes: Size::from_bytes(64 << 10),
            per_try: None,
            statuses: Statuses::default(),
            non_idempotent: false,
            budget: 0.2,
            budget_min: 100,
        }
    }
}

impl Retries {
    pub(in crate::config) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.attempts == 0 {
            let reason = "`0` attempts would answer no request".to_owned();
            problems.push(Problem::new("retries.attempts", reason));
        }
        if self.per_try.is_some_and(|time| time.get().is_zero()) {
            problems.push(Problem::new("retries.per_try", "`0s` leaves no time"));
        }
        if !(0.0..=1.0).contains(&self.budget) {
            let reason = format!("`{}` is not between 0.0 and 1.0", self.budget);
            problems.push(Problem::new("retries.budget", reason));
        }
        problems
    }
}
