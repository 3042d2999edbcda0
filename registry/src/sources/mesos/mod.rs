//! Mesos: the tasks of all frameworks, as the leading master tells them.
//!
//! A run finds the leader (by the election of `masters`, or the list of the configuration), subscribes
//! to its events (`recordio`, `event`) and keeps what is known of the cluster (`cluster`, without
//! I/O), from which it tells what each event changes. A master that has no such stream is asked for
//! its state (`picture`) every few seconds. How a task becomes instances is in `task`.
//!
//! What is known outlives a run: a new leader learns only by and by what runs where, and until an
//! agent has spoken to it, its tasks are what they were.

mod cluster;
mod config;
mod draft;
mod event;
mod labels;
mod masters;
mod members;
mod picture;
mod record;
mod recordio;
mod run;
mod state;
mod task;

use std::{collections::HashMap, convert::Infallible};

use futures_util::{FutureExt as _, future::BoxFuture};

pub(crate) use self::labels::label;
use self::{cluster::Cluster, draft::Making, run::Run, state::States};
pub use self::{
    config::{Config, IpSource},
    labels::cut_label,
};
use crate::{Error, Source, Updates, election::Election, http::Client};

/// Follows the tasks of a Mesos cluster.
#[derive(Debug)]
pub struct Mesos {
    config: Config,
    cluster: Cluster,
    /// Since the first run.
    election: Option<Election>,
}

impl From<Config> for Mesos {
    fn from(config: Config) -> Self {
        Self {
            config,
            cluster: Cluster::default(),
            election: None,
        }
    }
}

impl Mesos {
    async fn run_once(&mut self, updates: &Updates) -> Result<Infallible, Error> {
        let config = &self.config;
        let client = Client::new(&config.tls, config.auth.clone(), config.timeout.get())?;
        let election = match self.election.take() {
            Some(election) => election,
            None => config.election()?,
        };
        let run = Run {
            config,
            states: States {
                client,
                bytes_max: config.event_bytes_max.bytes(),
            },
            making: Making {
                source: updates.source().clone(),
                ip_sources: config.ip_sources.clone(),
                weight: config.weight,
            },
            cluster: &mut self.cluster,
            told: HashMap::new(),
            updates,
            masters: self.election.insert(election).results(),
            is_new: true,
        };
        run.run().await
    }
}

impl Source for Mesos {
    fn run<'a>(&'a mut self, updates: &'a Updates) -> BoxFuture<'a, Result<Infallible, Error>> {
        self.run_once(updates).boxed()
    }
}

#[cfg(test)]
mod tests;
