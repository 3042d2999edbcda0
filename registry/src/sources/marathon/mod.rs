//! Marathon: its apps and their tasks, and what their owners say of them.
//!
//! A run finds the leader (by the election of `leaders`, or the list of the configuration), listens to
//! its events (`event`) and then reads all apps (`record`). An event says only that something has
//! happened: what has is read (`reading`), as events come in any order and may be lost. What is known is
//! kept in `apps`, without I/O, which tells what each reading changes. Which ports a task has is in
//! `ports`, how it is in `verdict`; two apps that are one to their clients are in `colours`.

mod app;
mod apps;
mod colours;
mod config;
mod event;
mod leaders;
mod names;
mod ports;
mod reading;
mod record;
mod run;
mod verdict;

use std::convert::Infallible;

use futures_util::{FutureExt as _, future::BoxFuture};

pub use self::config::Config;
pub(crate) use self::names::service as service_of;
use self::{app::Making, apps::Apps, reading::Reader, run::Run};
use crate::{Error, Source, Updates, election::Election, http::Client};

/// Follows the apps of a Marathon.
#[derive(Debug)]
pub struct Marathon {
    config: Config,
    apps: Apps,
    /// Since the first run.
    election: Option<Election>,
}

impl From<Config> for Marathon {
    fn from(config: Config) -> Self {
        Self {
            config,
            apps: Apps::default(),
            election: None,
        }
    }
}

impl Marathon {
    async fn run_once(&mut self, updates: &Updates) -> Result<Infallible, Error> {
        let config = &self.config;
        let client = Client::new(&config.tls, config.auth.clone(), config.timeout.get())?;
        let election = match self.election.take() {
            Some(election) => election,
            None => config.election()?,
        };
        let run = Run {
            config,
            reader: Reader {
                client,
                bytes_max: config.answer_bytes_max.bytes(),
            },
            making: Making {
                source: updates.source().clone(),
                suffix: config.suffix.clone(),
                weight: config.weight,
            },
            apps: &mut self.apps,
            updates,
            leaders: self.election.insert(election).results(),
            is_new: true,
        };
        run.run().await
    }
}

impl Source for Marathon {
    fn run<'a>(&'a mut self, updates: &'a Updates) -> BoxFuture<'a, Result<Infallible, Error>> {
        self.run_once(updates).boxed()
    }
}

#[cfg(test)]
mod tests;
