//! What a zookeeper source is configured by.

use std::path::PathBuf;

use config::{Duration, Problem};
use serde::Deserialize;

use super::Ensemble;
use crate::formats::Format;

/// Configures a source that reads `path/<service>/<instance>` from ZooKeeper.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The servers and, after them, the chroot: `h1:2181,h2:2181/x`.
    pub connect: String,
    /// The znode whose children are services; it need not exist yet.
    pub path: String,
    /// How the instances' znodes say where they are.
    #[serde(default)]
    pub format: Format,
    /// Who to log in as; anybody by default.
    pub auth: Option<Auth>,
    /// How long the servers wait for a lost client; they may grant another time.
    #[serde(default = "session_timeout")]
    pub session_timeout: Duration,
    /// How long to look for a server that answers, before the run is given up.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Duration,
    /// How long an instance stays after its znode has gone: many clients re-register by delete and
    /// create.
    #[serde(default = "removal_delay")]
    pub removal_delay: Duration,
    /// About how often everything is read again, to count what had been missed.
    #[serde(default = "audit_interval")]
    pub audit_interval: Duration,
    /// How many znodes are read at most, services and instances together.
    #[serde(default = "records_max")]
    pub records_max: usize,
}

/// Says who to log in as.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// How to log in.
    #[serde(default)]
    pub scheme: AuthScheme,
    /// The user's name.
    pub user: String,
    /// The file that holds the password; read at each connect, so that it can be changed.
    pub password_file: PathBuf,
}

/// Names a way to log in to ZooKeeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthScheme {
    /// User and password; a wrong password shows as znodes that can't be read.
    #[default]
    Digest,
}

impl Config {
    /// Creates the configuration that names nothing but servers and path.
    pub fn new(connect: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            connect: connect.into(),
            path: path.into(),
            format: Format::Auto,
            auth: None,
            session_timeout: session_timeout(),
            connect_timeout: connect_timeout(),
            removal_delay: removal_delay(),
            audit_interval: audit_interval(),
            records_max: records_max(),
        }
    }

    /// Finds what is wrong beyond what the types can say.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut report = |key: &str, reason: String| problems.push(Problem::new(key, reason));
        if let Err(reason) = self.ensemble() {
            report("connect", reason);
        }
        if let Err(reason) = check_path(&self.path) {
            report("path", reason);
        }
        for (key, value, least, most) in [
            ("session_timeout", self.session_timeout, 1, 600),
            ("connect_timeout", self.connect_timeout, 1, 600),
            ("removal_delay", self.removal_delay, 0, 600),
            ("audit_interval", self.audit_interval, 60, 300),
        ] {
            let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
            if !(least..=most).contains(&value) {
                report(key, format!("{value} is not between {least} and {most}"));
            }
        }
        if self.records_max == 0 {
            report("records_max", "0 leaves nothing to read".to_owned());
        }
        problems
    }

    /// Returns where the servers are and how to log in.
    ///
    /// # Errors
    ///
    /// Returns in words what is wrong with `connect`.
    pub fn ensemble(&self) -> Result<Ensemble, String> {
        let mut ensemble: Ensemble = self.connect.parse()?;
        ensemble.auth.clone_from(&self.auth);
        ensemble.session_timeout = self.session_timeout.get();
        ensemble.connect_timeout = self.connect_timeout.get();
        Ok(ensemble)
    }
}

/// Checks that a text is a znode's path, as the servers would.
pub(super) fn check_path(path: &str) -> Result<(), String> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err(format!("`{path}` doesn't start with `/`"));
    };
    let odd = |part: &str| matches!(part, "" | "." | "..") || part.contains(char::is_control);
    match rest.is_empty() || !rest.split('/').any(odd) {
        true => Ok(()),
        false => Err(format!("`{path}` is no znode's path")),
    }
}

fn session_timeout() -> Duration {
    Duration::from_secs(10)
}

fn connect_timeout() -> Duration {
    Duration::from_secs(10)
}

fn removal_delay() -> Duration {
    Duration::from_secs(1)
}

fn audit_interval() -> Duration {
    Duration::from_secs(120)
}

fn records_max() -> usize {
    1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_are_enough() {
        let config: Config =
            toml::from_str("connect = \"h1:2181,h2/x\"\npath = \"/service/business\"").unwrap();
        assert_eq!(config, Config::new("h1:2181,h2/x", "/service/business"));
        assert_eq!(config.problems(), []);
    }

    #[test]
    fn every_key_can_be_set() {
        let config: Config = toml::from_str(
            "connect = \"h\"\npath = \"/\"\nformat = \"kazoo_list\"\nsession_timeout = \"4s\"\n\
             connect_timeout = \"2s\"\nremoval_delay = \"0s\"\naudit_interval = \"1m\"\n\
             records_max = 5\nauth = { user = \"u\", password_file = \"/p\" }\n",
        )
        .unwrap();
        assert_eq!(config.problems(), []);
        assert_eq!(config.format, Format::KazooList);
        assert_eq!(config.auth.unwrap().scheme, AuthScheme::Digest);
    }

    #[test]
    fn problems_have_a_key_and_a_reason() {
        let mut config = Config::new("h1:x", "service");
        config.audit_interval = Duration::from_secs(1);
        config.records_max = 0;
        let problems: Vec<_> = config.problems().iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "connect: `h1:x` is no server such as `host:2181`",
                "path: `service` doesn't start with `/`",
                "audit_interval: 1s is not between 1m and 5m",
                "records_max: 0 leaves nothing to read",
            ]
        );
    }

    #[test]
    fn a_path_is_checked_as_the_servers_would() {
        for good in ["/", "/a", "/a/b.c"] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        for bad in ["", "a", "/a/", "//a", "/a/../b", "/a/.", "/a\n"] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }
}
