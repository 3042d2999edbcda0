//! ZooKeeper: services are the children of one znode, instances are theirs.
//!
//! No update is lost: a run sets one recursive watch, then reads everything, and only then says so.
//! Events merely mark paths, which are read again (`tree`, without I/O); a lost connection ends in
//! a new watch and another reading of everything (`run`), an expired session in the end of the run.
//! An audit reads everything again now and then and counts what had been missed.
//!
//! [`Ensemble::connect`] is for others too that want a session.

mod config;
mod ensemble;
mod layout;
mod run;
mod scan;
mod session;
mod tree;

use std::{convert::Infallible, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use zookeeper_client::Client;

use self::run::Run;
pub use self::{
    config::{Auth, AuthScheme, Config},
    ensemble::{ConnectError, Ensemble},
};
pub(crate) use self::{
    layout::{Layout, Parse, Records},
    tree::Tree,
};
use crate::{Error, Source, Updates};

/// Watches the services below one znode.
#[derive(Debug)]
pub struct Zookeeper {
    config: Config,
    /// Outlives a run, so that what vanishes between two of them has its delay, too.
    tree: Tree,
}

impl From<Config> for Zookeeper {
    fn from(config: Config) -> Self {
        let tree = Tree::new(config.removal_delay.get(), config.records_max);
        Self { config, tree }
    }
}

impl Zookeeper {
    async fn run_once(&mut self, updates: &Updates) -> Result<Infallible, Error> {
        let config = &self.config;
        let ensemble = config.ensemble()?;
        let client = ensemble.connect().await?;
        let layout = Layout::new(
            updates.source().clone(),
            &config.path,
            ensemble.chroot(),
            Records::Instances(config.format),
        );
        let audit_interval = config.audit_interval.get();
        follow(client, layout, &mut self.tree, audit_interval, updates).await
    }
}

/// Reads all records of a layout and follows them, until the session ends; `tree` outlives runs.
pub(crate) async fn follow(
    client: Client,
    layout: Layout,
    tree: &mut Tree,
    audit_interval: Duration,
    updates: &Updates,
) -> Result<Infallible, Error> {
    tree.restart();
    let run = Run::start(client, layout, tree, audit_interval, updates).await?;
    Ok(run.run().await?)
}

impl Source for Zookeeper {
    fn run<'a>(&'a mut self, updates: &'a Updates) -> BoxFuture<'a, Result<Infallible, Error>> {
        self.run_once(updates).boxed()
    }
}
