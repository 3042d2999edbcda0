//! What is seen of an instance, beside what its record says.

use std::fmt;

use serde::Serialize;

/// Says what is observed of an instance; the default is that nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Observation {
    /// Whether it answers.
    #[serde(skip_serializing_if = "Health::is_unknown")]
    pub health: Health,
    /// The percentage of its weight that clients are told, 1 to 100: less while it starts slowly.
    ///
    /// Whoever observes a service whose clients should be told the whole weight says 100.
    #[serde(skip_serializing_if = "is_whole")]
    pub share: u8,
}

impl Observation {
    /// The share of an instance that gets all that its weight says, in percent.
    pub const SHARE_WHOLE: u8 = 100;
}

impl Default for Observation {
    fn default() -> Self {
        Self {
            health: Health::Unknown,
            share: Self::SHARE_WHOLE,
        }
    }
}

fn is_whole(share: &u8) -> bool {
    *share == Observation::SHARE_WHOLE
}

/// Says whether an instance answers, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Nobody looks, or nobody has seen enough.
    #[default]
    Unknown,
    /// It answers.
    Healthy,
    /// It doesn't, and clients shouldn't be sent to it.
    Unhealthy(Reason),
}

impl Health {
    fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}

/// Says why an instance is taken for unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its health check fails.
    CheckFailed,
    /// It was ejected for what it did to requests.
    Ejected,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CheckFailed => "its health check fails",
            Self::Ejected => "it is ejected for failed requests",
        })
    }
}
