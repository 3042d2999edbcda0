//! What sources say of requests: routes, where clients connect for them, and how instances are asked.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use proxy::{Listener, Route, ServiceOptions};
use registry::{About, Change, ServiceName, Snapshot};

use super::{bamboo, marathon_lb};
use crate::{Config, config::overlap};

/// What is said of services besides their instances, by their names.
pub(super) type Abouts = BTreeMap<ServiceName, About>;

/// Follows what snapshots say, and makes of it what there is to be made.
#[derive(Debug)]
pub(crate) struct Follower {
    config: Arc<Config>,
    seen: Arc<Snapshot>,
    abouts: Abouts,
    pub(crate) dynamic: Arc<Dynamic>,
}

impl Follower {
    /// Starts with a snapshot.
    pub(crate) fn new(config: Arc<Config>, snapshot: &Arc<Snapshot>) -> Self {
        let mut follower = Self {
            config,
            seen: Arc::default(),
            abouts: Abouts::new(),
            dynamic: Arc::default(),
        };
        follower.take(snapshot);
        follower
    }

    /// Takes a new snapshot; returns whether something else is to be made than before. Costs what has
    /// changed, as long as that is only instances.
    pub(crate) fn take(&mut self, snapshot: &Arc<Snapshot>) -> bool {
        let mut is_news = false;
        for change in snapshot.changes_since(&self.seen) {
            let (name, about) = match change {
                Change::Put(name, service) => (name, service.about.clone()),
                Change::Remove(name) => (name, About::NOTHING),
            };
            let before = match about == About::NOTHING {
                true => self.abouts.remove(name),
                false => self.abouts.insert(name.clone(), about.clone()),
            };
            is_news |= before.unwrap_or_default() != about;
        }
        self.seen = Arc::clone(snapshot);
        is_news && self.make()
    }

    /// Goes on by another configuration.
    pub(crate) fn configure(&mut self, config: Arc<Config>) {
        self.config = config;
        self.make();
    }

    /// Returns the configuration with what was made.
    pub(crate) fn all(&self) -> Config {
        self.dynamic.over(&self.config)
    }

    fn make(&mut self) -> bool {
        let made = Dynamic::make(&self.config, &self.abouts);
        if made == *self.dynamic {
            return false;
        }
        let known = &self.dynamic.refused;
        for one in made.refused.iter().filter(|one| !known.contains(one)) {
            tracing::warn!(
                source = %one.source, record = one.path, reason = one.reason,
                "can't be used for routes"
            );
        }
        self.dynamic = Arc::new(made);
        true
    }
}

/// Holds what is configured by sources and not by the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Dynamic {
    pub(crate) routes: Vec<Route>,
    pub(crate) listeners: Vec<Wanted>,
    pub(crate) services: BTreeMap<ServiceName, ServiceOptions>,
    pub(crate) refused: Vec<Refused>,
}

/// An address on which clients are to be accepted, and who wants that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) listener: Listener,
    pub(crate) source: Arc<str>,
    /// The record.
    pub(crate) path: String,
}

/// Says what can't be used of what a source says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Refused {
    pub(crate) source: Arc<str>,
    /// The record, and what of it.
    pub(crate) path: String,
    pub(crate) reason: String,
}

impl Dynamic {
    /// Makes all that there is to be made by a configuration.
    pub(crate) fn make(config: &Config, abouts: &Abouts) -> Self {
        let mut dynamic = Self::default();
        if let Some(settings) = &config.compat.marathon_lb {
            marathon_lb::make(settings, abouts, &mut dynamic);
        }
        bamboo::make(config.compat.bamboo.as_ref(), abouts, &mut dynamic);
        dynamic.leave_to_file(config);
        dynamic.refused.sort();
        dynamic
    }

    /// Returns a configuration with this added; what the file says of a service counts.
    pub(crate) fn over(&self, config: &Config) -> Config {
        let mut config = config.clone();
        let proxy = &mut config.proxy;
        proxy.routes.extend(self.routes.iter().cloned());
        let listeners = self.listeners.iter().map(|wanted| wanted.listener.clone());
        proxy.listeners.extend(listeners);
        for (name, options) in &self.services {
            let own = proxy.services.entry(name.clone()).or_default();
            if own.check.is_none() {
                own.check.clone_from(&options.check);
            }
        }
        config
    }

    /// Adds a route if it is one.
    ///
    /// # Errors
    ///
    /// Returns in words why it isn't.
    pub(super) fn add(&mut self, route: Route) -> Result<(), String> {
        let alone = proxy::Config {
            routes: vec![route],
            ..proxy::Config::default()
        };
        match alone.problems().into_iter().next() {
            Some(problem) => {
                let key = problem.key.trim_start_matches("routes[0]");
                Err(format!(
                    "{} {}",
                    key.trim_start_matches('.'),
                    problem.reason
                ))
            }
            None => {
                self.routes.extend(alone.routes);
                Ok(())
            }
        }
    }

    /// Has clients accepted at an address.
    ///
    /// # Errors
    ///
    /// Returns in words who has the address already.
    pub(super) fn listen(&mut self, wanted: Wanted) -> Result<(), String> {
        let listen = wanted.listener.listen;
        let mut others = self.listeners.iter();
        match others.find(|other| overlap(other.listener.listen, listen)) {
            Some(other) => Err(format!("{listen} is listened on for {}", other.path)),
            None => {
                self.listeners.push(wanted);
                Ok(())
            }
        }
    }

    /// Says that something of a source's record can't be used.
    pub(super) fn refuse(&mut self, source: &str, path: &str, reason: String) {
        self.refused.push(Refused {
            source: source.into(),
            path: path.to_owned(),
            reason,
        });
    }

    /// Gives up a listener, and says why.
    pub(crate) fn give_up(&mut self, listen: SocketAddr, reason: &str) {
        let gone = self
            .listeners
            .extract_if(.., |one| one.listener.listen == listen);
        let gone: Vec<_> = gone.collect();
        for wanted in gone {
            self.refuse(&wanted.source, &wanted.path, reason.to_owned());
        }
    }

    /// Leaves out listeners whose addresses the file has for something else.
    fn leave_to_file(&mut self, config: &Config) {
        let taken: Vec<_> = config.tcp_addresses().collect();
        let wanted: Vec<_> = self
            .listeners
            .iter()
            .map(|one| one.listener.listen)
            .collect();
        for listen in wanted {
            if let Some((key, _)) = taken.iter().find(|(_, other)| overlap(*other, listen)) {
                self.give_up(listen, &format!("{listen} is taken by {key}"));
            }
        }
    }
}
