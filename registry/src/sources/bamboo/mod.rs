//! Bamboo's rules in ZooKeeper: which requests an app is to get.
//!
//! The children of one znode are rules, called as their apps with everything escaped that isn't a letter
//! or a digit (`%2Fgroup%2Fapp`); how the data looks is in `rule`. They say something of the service of
//! the app, which has its instances from a source `marathon`.

mod config;
mod rule;

use std::{convert::Infallible, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};

use self::rule::Rules;
pub use self::{
    config::Config,
    rule::{check_id, rule_data, rule_name},
};
use super::zookeeper::{self, Layout, Records, Tree};
use crate::{Error, Source, Updates};

/// About how often everything is read again, to count what had been missed.
const AUDIT_INTERVAL: Duration = Duration::from_secs(120);

/// Follows the rules below one znode.
#[derive(Debug)]
pub struct Bamboo {
    config: Config,
    tree: Tree,
}

impl From<Config> for Bamboo {
    fn from(config: Config) -> Self {
        let tree = Tree::new(Duration::ZERO, config.rules_max);
        Self { config, tree }
    }
}

impl Bamboo {
    async fn run_once(&mut self, updates: &Updates) -> Result<Infallible, Error> {
        let (ensemble, path) = self.config.place()?;
        let client = ensemble.connect().await?;
        let rules = Rules {
            source: updates.source().clone(),
            suffix: self.config.suffix.clone(),
        };
        let records = Records::Others(Box::new(rules));
        let layout = Layout::new(updates.source().clone(), &path, ensemble.chroot(), records);
        zookeeper::follow(client, layout, &mut self.tree, AUDIT_INTERVAL, updates).await
    }
}

impl Source for Bamboo {
    fn run<'a>(&'a mut self, updates: &'a Updates) -> BoxFuture<'a, Result<Infallible, Error>> {
        self.run_once(updates).boxed()
    }
}
