//! What a bamboo source is configured by.

use config::{Duration, Problem};
use serde::Deserialize;

use crate::{
    ServiceName, election,
    sources::zookeeper::{Auth, Ensemble},
};

/// Configures a source that follows the rules of a Bamboo.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the rules are: `zk://h1:2181,h2:2181/marathon-haproxy/state`.
    pub zk: String,
    /// Who to log in as; anybody by default.
    pub auth: Option<Auth>,
    /// What stands behind an app's labels in the name of its service, as in the source `marathon`.
    #[serde(default = "suffix")]
    pub suffix: ServiceName,
    /// How long to look for a server that answers, before the run is given up.
    #[serde(default = "timeout")]
    pub timeout: Duration,
    /// How many rules are read at the most.
    #[serde(default = "rules_max")]
    pub rules_max: usize,
}

impl Config {
    /// Finds what is wrong beyond what the types can say.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Err(reason) = self.place() {
            problems.push(Problem::new("zk", reason));
        }
        let least = Duration::from_secs(1);
        if self.timeout < least {
            let reason = format!("{} is less than {least}", self.timeout);
            problems.push(Problem::new("timeout", reason));
        }
        if self.rules_max == 0 {
            problems.push(Problem::new("rules_max", "0 leaves nothing to read"));
        }
        problems
    }

    /// Returns where the rules are: the servers and how to log in, and the znode.
    ///
    /// # Errors
    ///
    /// Returns in words what is wrong with `zk`.
    pub fn place(&self) -> Result<(Ensemble, String), String> {
        let (mut ensemble, path) = election::place_of(&self.zk, "/marathon-haproxy/state")?;
        ensemble.auth.clone_from(&self.auth);
        ensemble.connect_timeout = self.timeout.get();
        Ok((ensemble, path))
    }
}

fn suffix() -> ServiceName {
    "app".parse().expect("it is a name")
}

fn timeout() -> Duration {
    Duration::from_secs(10)
}

fn rules_max() -> usize {
    100_000
}
