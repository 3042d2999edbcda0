//! All APIs of systems that signpost replaces, as the server has them.

use std::sync::Arc;

use ::config::Problem;
use registry::Controls;
use tokio::sync::watch;

use super::{bamboo::Bamboo, mesos_dns::MesosDns};
use crate::{
    Config,
    http_server::{Access, Api},
    inherited::Part,
    views::Views,
};

/// Holds every API, whether somebody listens for it or not.
#[derive(Debug)]
pub(crate) struct Apis {
    mesos_dns: Arc<MesosDns>,
    bamboo: Arc<Bamboo>,
}

/// Who may do what; loaded before anything is changed.
#[derive(Debug)]
pub(crate) struct Accesses {
    bamboo: Access,
}

impl Accesses {
    /// Loads what a configuration says.
    ///
    /// # Errors
    ///
    /// Returns which token can't be read, by its key.
    pub(crate) fn load(config: &Config) -> Result<Self, Problem> {
        let bamboo = config.compat.bamboo.as_ref();
        let access = bamboo.map(super::BambooConfig::access).transpose();
        let access = access.map_err(|reason| Problem::new("compat.bamboo.token_file", reason))?;
        Ok(Self {
            bamboo: access.unwrap_or_default(),
        })
    }
}

impl Apis {
    pub(crate) fn new(
        views: &Views,
        controls: &Controls,
        draining: watch::Receiver<bool>,
        config: &Config,
        accesses: Accesses,
    ) -> Self {
        let apis = Self {
            mesos_dns: MesosDns::new(views.clone(), controls.clone(), config),
            bamboo: Bamboo::new(views.clone(), controls.clone(), draining, config),
        };
        apis.bamboo.set_access(accesses.bamboo);
        apis
    }

    /// Goes on by another configuration.
    pub(crate) fn configure(&self, config: &Config, accesses: Accesses) {
        self.mesos_dns.configure(config);
        self.bamboo.configure(config);
        self.bamboo.set_access(accesses.bamboo);
    }

    /// Returns what listeners ask.
    pub(crate) fn parts(&self) -> [(Part, Arc<dyn Api>); 2] {
        [
            (Part::MesosDns, Arc::clone(&self.mesos_dns) as Arc<dyn Api>),
            (Part::Bamboo, Arc::clone(&self.bamboo) as Arc<dyn Api>),
        ]
    }
}
