//! The list of sources: one file and one line each.

pub mod bamboo;
pub mod file;
pub mod marathon;
pub mod mesos;
pub mod store;
pub mod zookeeper;

use config::Problem;
use serde::Deserialize;

use crate::Source;

/// Makes, of a list of `Variant => module`, the configuration of any source and what makes a source of it.
///
/// Each module has a `Config` with `problems()` and a type that is `From<Config>` and a [`Source`].
macro_rules! sources {
    ($($name:ident => $module:ident,)*) => {
        /// Configures one source: the table `[sources.NAME.KIND]`.
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Config {
            $(
                #[doc = concat!("A source of kind `", stringify!($module), "`.")]
                $name($module::Config),
            )*
        }

        impl Config {
            /// Returns the word that stands for the kind in the configuration.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($module),)*
                }
            }

            /// Lists what is wrong beyond what the types can tell; keys are relative to the source.
            pub fn problems(&self) -> Vec<Problem> {
                let problems = match self {
                    $(Self::$name(config) => config.problems(),)*
                };
                problems.into_iter().map(|problem| problem.within(self.kind())).collect()
            }

            /// Makes the source; nothing is opened or connected before it runs.
            pub fn build(self) -> Box<dyn Source> {
                match self {
                    $(Self::$name(config) => Box::new($module::$name::from(config)),)*
                }
            }
        }
    };
}

sources! {
    Bamboo => bamboo,
    File => file,
    Marathon => marathon,
    Mesos => mesos,
    Store => store,
    Zookeeper => zookeeper,
}

impl Config {
    /// Tells whether only one process at a time can have the store open.
    pub fn is_exclusive(&self) -> bool {
        matches!(self, Self::Store(_))
    }

    /// Returns the embedded store in `signpost-data`, the source of a signpost without configuration.
    pub fn embedded() -> Self {
        Self::Store(store::Config::default())
    }
}
