//! The table `[compat.bamboo]`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use ::config::{Problem, Secret};
use registry::sources;
use serde::Deserialize;

use crate::http_server::Access;

/// Configures what Bamboo does, beside its rules, which a source `bamboo` tells.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The address of the API and of the page; there is neither without it.
    pub listen: Option<SocketAddr>,
    /// The source that tells the rules, which are written there, too; the only one of its kind when left
    /// out.
    pub source: Option<String>,
    /// A file with the token that clients must send to change a rule (`Authorization: Bearer`).
    pub token_file: Option<PathBuf>,
    /// The names by which clients may ask where there is no token.
    pub hosts: Vec<String>,
    /// Whether an app without a rule gets the requests whose paths begin with its id.
    pub default_rules: bool,
}

impl Config {
    /// Finds what is wrong beyond what the types can say.
    pub(crate) fn problems(&self, sources: &BTreeMap<String, sources::Config>) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Err(reason) = self.access() {
            problems.push(Problem::new("token_file", reason));
        }
        if let (Some(_), Err(reason)) = (self.listen, self.source(sources)) {
            problems.push(Problem::new("source", reason));
        }
        problems
    }

    /// Returns where the rules are; none where no source tells any.
    ///
    /// # Errors
    ///
    /// Returns in words why it can't be told which source is meant.
    pub(super) fn source<'s>(
        &self,
        sources: &'s BTreeMap<String, sources::Config>,
    ) -> Result<Option<&'s sources::bamboo::Config>, String> {
        let bamboo = |config: &'s sources::Config| match config {
            sources::Config::Bamboo(config) => Some(config),
            _ => None,
        };
        if let Some(name) = &self.source {
            let config = sources
                .get(name)
                .ok_or_else(|| format!("no source is called `{name}`"))?;
            let config = bamboo(config);
            return match config {
                Some(_) => Ok(config),
                None => Err(format!("`{name}` is no source of kind bamboo")),
            };
        }
        let mut all = sources.values().filter_map(bamboo);
        match (all.next(), all.next()) {
            (Some(_), Some(_)) => Err("is missing; there are several sources `bamboo`".to_owned()),
            (one, _) => Ok(one),
        }
    }

    /// Returns who may change something.
    ///
    /// # Errors
    ///
    /// Returns in words why the token can't be read.
    pub(crate) fn access(&self) -> Result<Access, String> {
        let token = self.token_file.as_deref().map(Secret::load).transpose()?;
        let nowhere = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let listen = self.listen.map_or(nowhere, |listen| listen.ip());
        Ok(Access::new(token, listen).at(self.hosts.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(config: &str, sources: &str) -> Result<Option<String>, String> {
        let config: Config = toml::from_str(config).unwrap();
        let sources = toml::from_str(sources).unwrap();
        let found = config.source(&sources)?;
        Ok(found.map(|one| one.zk.clone()))
    }

    #[test]
    fn the_only_source_of_rules_needs_no_name() {
        let one = "[a.bamboo]\nzk = 'zk://a/x'\n[f.file]\npath = 'x'\n";
        let two = format!("{one}[b.bamboo]\nzk = 'zk://b/x'\n");
        assert_eq!(source("", one).unwrap().as_deref(), Some("zk://a/x"));
        assert_eq!(source("", "[f.file]\npath = 'x'").unwrap(), None);
        assert_eq!(
            source("source = 'b'", &two).unwrap().as_deref(),
            Some("zk://b/x")
        );
        assert!(source("", &two).unwrap_err().contains("several"));
        assert!(
            source("source = 'f'", one)
                .unwrap_err()
                .contains("`f` is no source")
        );
        assert!(source("source = 'g'", one).unwrap_err().contains("`g`"));
    }
}
