//! A length of time as it is written in a configuration.

use std::{fmt, str::FromStr, time};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Holds a length of time, written `"30s"`, `"1m30s"` or `"250ms"`.
///
/// A number without a unit is refused: seconds and milliseconds are too easily confused. More than a
/// hundred years ([`Duration::MAX`]) is refused, too: no clock could add it to the time that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(time::Duration);

impl Duration {
    /// The longest that a configuration may say, a hundred years.
    pub const MAX: Self = Self::from_secs(100 * 365 * 24 * 3600);

    /// Creates a duration of `seconds` seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(time::Duration::from_secs(seconds))
    }

    /// Creates a duration of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(time::Duration::from_millis(millis))
    }

    /// Returns the standard library's duration.
    pub const fn get(self) -> time::Duration {
        self.0
    }

    /// Returns whole seconds, cut off at `u32::MAX`: a DNS TTL.
    pub fn as_ttl(self) -> u32 {
        u32::try_from(self.0.as_secs()).unwrap_or(u32::MAX)
    }
}

impl From<time::Duration> for Duration {
    fn from(duration: time::Duration) -> Self {
        Self(duration)
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let duration = humantime::parse_duration(text).map(Self).map_err(|error| {
            format!("`{text}` is not a duration such as \"30s\" or \"1m30s\": {error}")
        })?;
        match duration > Self::MAX {
            true => Err(format!(
                "`{text}` is more than a hundred years (\"36500d\")"
            )),
            false => Ok(duration),
        }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_units_and_sums_of_units() {
        assert_eq!("1m30s".parse(), Ok(Duration::from_secs(90)));
        assert_eq!("250ms".parse(), Ok(Duration::from_millis(250)));
        assert_eq!(Duration::from_secs(90).to_string(), "1m 30s");
    }

    #[test]
    fn refuses_what_no_clock_could_add() {
        assert_eq!("36500d".parse(), Ok(Duration::MAX));
        for long in ["36501d", "500000000000y"] {
            let error = long.parse::<Duration>().unwrap_err();
            assert!(error.contains("more than a hundred years"), "{error}");
        }
    }

    #[test]
    fn refuses_a_number_without_a_unit() {
        let error = "30".parse::<Duration>().unwrap_err();
        assert!(
            error.starts_with("`30` is not a duration such as"),
            "{error}"
        );
    }
}
