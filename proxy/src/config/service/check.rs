//! How instances are asked whether they are well.

use std::{fmt, str::FromStr};

use config::{Duration, Problem};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::not_within;

/// Configures the health checks of a service's instances.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Check {
    /// How an instance is asked; by a GET over HTTP/1.1.
    #[serde(rename = "type")]
    pub kind: CheckKind,
    /// What is asked for over HTTP, a query included; `/`.
    pub path: String,
    /// The `Host` that is sent; the service's name when left out.
    pub host: Option<String>,
    /// The statuses of a good answer; 200 to 299.
    pub status: Vec<StatusRange>,
    /// What a good answer's body contains, within its first 64 KiB.
    pub body: Option<String>,
    /// Between the begins of two checks of an instance; 5 s.
    pub interval: Duration,
    /// How long a check may take as a whole; 1 s.
    pub timeout: Duration,
    /// The part of the interval by which it is longer or shorter at random; 0.1.
    pub jitter: f64,
    /// So many good checks in a row make an instance that fails a healthy one; 2.
    pub rise: u32,
    /// So many bad checks in a row make an instance fail; 3.
    pub fall: u32,
    /// The port that is asked, where it isn't the main one of the instance.
    pub port: Option<u16>,
}

/// Names a way to ask an instance whether it is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// A GET has to be answered well.
    #[default]
    Http,
    /// A connection has to come about.
    Tcp,
    /// It isn't asked, whatever the defaults say.
    None,
}

/// Holds statuses from one to another, both included; written `"200-299"` or `"204"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

/// The longest part of an interval that chance may take: checks shouldn't come without a pause.
const JITTER_MAX: f64 = 0.9;

impl Default for Check {
    fn default() -> Self {
        Self {
            kind: CheckKind::Http,
            path: "/".to_owned(),
            host: None,
            status: vec![StatusRange {
                first: 200,
                last: 299,
            }],
            body: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            jitter: 0.1,
            rise: 2,
            fall: 3,
            port: None,
        }
    }
}

impl Check {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !self.path.starts_with('/') {
            let reason = format!("`{}` does not begin with a slash", self.path);
            problems.push(Problem::new("path", reason));
        }
        let host = self.host.as_deref().unwrap_or("host");
        for (key, text) in [("path", self.path.as_str()), ("host", host)] {
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                let reason = "it has a space, a control character or a letter beyond ASCII";
                problems.push(Problem::new(key, reason));
            }
        }
        if self.status.is_empty() {
            let reason = "with no status every check would fail";
            problems.push(Problem::new("status", reason));
        }
        let unread = [("body", &self.body), ("host", &self.host)];
        for (key, _) in unread.into_iter().filter(|(_, value)| value.is_some()) {
            if self.kind == CheckKind::Tcp {
                problems.push(Problem::new(key, "a tcp check reads no answer"));
            }
        }
        for (key, time) in [("interval", self.interval), ("timeout", self.timeout)] {
            if time.get().is_zero() {
                problems.push(Problem::new(key, "`0s` leaves no time"));
            }
        }
        for (key, results) in [("rise", self.rise), ("fall", self.fall)] {
            if results == 0 {
                problems.push(Problem::new(key, "`0` results would decide nothing"));
            }
        }
        problems.extend(not_within("jitter", self.jitter, 0.0, JITTER_MAX));
        if self.port == Some(0) {
            problems.push(Problem::new("port", "`0` is no port"));
        }
        problems
    }

    /// Tells whether an answer of this status is a good one.
    pub fn expects(&self, status: u16) -> bool {
        let mut ranges = self.status.iter();
        ranges.any(|range| (range.first..=range.last).contains(&status))
    }
}

impl FromStr for StatusRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let status = |text: &str| text.parse().ok().filter(|code| (200..600).contains(code));
        match (status(first), status(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(format!(
                "`{text}` is neither a status from 200 to 599 nor a range such as \"200-299\""
            )),
        }
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl<'de> Deserialize<'de> for StatusRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl Serialize for StatusRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_or_a_range() {
        let check = |text: &str| -> Result<Check, _> { toml::from_str(text) };
        let some = check("status = ['200-204', '302']").unwrap();
        for (status, good) in [
            (199, false),
            (200, true),
            (204, true),
            (205, false),
            (302, true),
        ] {
            assert_eq!(some.expects(status), good, "{status}");
        }
        assert_eq!(some.status[0].to_string(), "200-204");
        for wrong in ["", "2xx", "100", "600", "204-200", "200-", "1-2-3"] {
            let error = check(&format!("status = ['{wrong}']")).unwrap_err();
            assert!(error.to_string().contains("such as \"200-299\""), "{wrong}");
        }
    }
}
