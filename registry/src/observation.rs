//! What is seen of an instance, beside what its record says.

use std::fmt;

use serde::{Serialize, Serializer};

/// Says what is observed of an instance; the default is that nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Observation {
    /// Whether it answers.
    #[serde(skip_serializing_if = "Health::is_unknown")]
    pub health: Health,
    #[serde(skip_serializing_if = "Share::is_whole")]
    share: Share,
}

/// Holds a percentage, and in the highest bit whether DNS is to know nothing of the observation; in
/// one byte, as there are many instances.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Share(u8);

/// The bit of a [`Share`] by which DNS knows nothing of the observation.
const UNTOLD: u8 = 0x80;

impl Observation {
    /// The share of an instance that gets all that its weight says, in percent.
    pub const SHARE_WHOLE: u8 = 100;

    /// Creates an observation; `share` is the percentage of its weight that the instance gets, 1 to
    /// 100: less while it starts slowly.
    pub const fn new(health: Health, share: u8) -> Self {
        let share = match share {
            0 => 1,
            1..=Self::SHARE_WHOLE => share,
            _ => Self::SHARE_WHOLE,
        };
        Self {
            health,
            share: Share(share),
        }
    }

    /// Keeps DNS from knowing of it, so that only the proxy acts on it.
    #[must_use]
    pub const fn untold(self) -> Self {
        Self {
            health: self.health,
            share: Share(self.share.0 | UNTOLD),
        }
    }

    /// Tells whether DNS may know of it.
    pub const fn is_told(self) -> bool {
        self.share.0 & UNTOLD == 0
    }

    /// Returns the percentage of its weight that the instance gets, 1 to 100.
    pub const fn share(self) -> u8 {
        self.share.0 & !UNTOLD
    }

    /// Returns what DNS knows of it.
    #[must_use]
    pub fn told(self) -> Self {
        match self.is_told() {
            true => self,
            false => Self::default(),
        }
    }
}

impl Share {
    fn is_whole(&self) -> bool {
        self.0 & !UNTOLD == Observation::SHARE_WHOLE
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let untold = if self.0 & UNTOLD == 0 {
            ""
        } else {
            " (untold)"
        };
        write!(f, "{}{untold}", self.0 & !UNTOLD)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0 & !UNTOLD)
    }
}

impl Default for Observation {
    fn default() -> Self {
        Self::new(Health::Unknown, Self::SHARE_WHOLE)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_changes_nothing_for_dns() {
        let ejected = Observation::new(Health::Unhealthy(Reason::Ejected), 30);
        assert_eq!((ejected.told(), ejected.is_told()), (ejected, true));
        let untold = ejected.untold();
        assert_eq!((untold.share(), untold.health), (30, ejected.health));
        assert_eq!(untold.told(), Observation::default());
        assert_eq!(size_of::<Observation>(), 2);
        assert_eq!(Observation::new(Health::Healthy, 0).share(), 1);
        assert_eq!(Observation::new(Health::Healthy, 200).share(), 100);
    }
}
