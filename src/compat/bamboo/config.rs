//! The table `[compat.bamboo]`.

use serde::Deserialize;

/// Configures what Bamboo does, beside its rules, which a source `bamboo` tells.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether an app without a rule gets the requests whose paths begin with its id.
    pub default_rules: bool,
}
