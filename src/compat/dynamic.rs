//! What sources say of requests: routes, where clients connect for them, and how instances are asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use proxy::{Listener, Route, ServiceOptions};
use registry::{About, Change, ServiceName, Snapshot};

use super::{bamboo, marathon_lb};
use crate::{Config, config::overlap};

/// What is said of services besides their instances, by their names.
pub(super) type Abouts = BTreeMap<ServiceName, Stated>;

/// What is said of a service besides its instances.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Stated {
    pub(super) about: About,
    pub(super) has_instances: bool,
}

/// Follows what snapshots say, and makes of it what there is to be made.
#[derive(Debug)]
pub(crate) struct Follower {
    config: Arc<Config>,
    seen: Arc<Snapshot>,
    abouts: Abouts,
    /// Whether the sources of rules have told what there is.
    has_rules: bool,
    pub(crate) dynamic: Arc<Dynamic>,
}

impl Follower {
    /// Starts with a snapshot.
    pub(crate) fn new(config: Arc<Config>, snapshot: &Arc<Snapshot>) -> Self {
        let mut follower = Self {
            config,
            seen: Arc::default(),
            abouts: Abouts::new(),
            has_rules: false,
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
            let stated = match change {
                Change::Put(_, service) if service.about != About::NOTHING => Stated {
                    about: service.about.clone(),
                    has_instances: !service.instances.is_empty(),
                },
                Change::Put(..) | Change::Remove(_) => Stated::default(),
            };
            let name = change.name();
            let before = match stated == Stated::default() {
                true => self.abouts.remove(name),
                false => self.abouts.insert(name.clone(), stated.clone()),
            };
            is_news |= before.unwrap_or_default() != stated;
        }
        self.seen = Arc::clone(snapshot);
        is_news |= self.has_rules != has_rules(&self.config, snapshot);
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
        self.has_rules = has_rules(&self.config, &self.seen);
        let made = Dynamic::make(&self.config, &self.abouts, self.has_rules);
        if made == *self.dynamic {
            return false;
        }
        // Both are sorted.
        let known = &self.dynamic.refused;
        let is_new = |one: &&Refused| known.binary_search(one).is_err();
        for one in made.refused.iter().filter(is_new) {
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
    /// The services to which routes alone lead: what restricts these would be in vain otherwise.
    pub(crate) unnamed: BTreeSet<ServiceName>,
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
    /// Makes all that there is to be made by a configuration; `has_rules` says whether all rules are known.
    pub(super) fn make(config: &Config, abouts: &Abouts, has_rules: bool) -> Self {
        let mut draft = Draft {
            config,
            has_rules,
            taken: config.tcp_addresses().collect(),
            made: Self::default(),
        };
        if let Some(settings) = &config.compat.marathon_lb {
            marathon_lb::make(settings, abouts, &mut draft);
        }
        bamboo::make(config.compat.bamboo.as_ref(), abouts, &mut draft);
        let mut made = draft.made;
        if config.routes_by_apps() {
            let apps = abouts
                .iter()
                .filter(|(_, stated)| stated.about.app.is_some());
            let apps = apps.flat_map(|(name, stated)| {
                let ports = stated.about.app.iter().flat_map(|app| &app.ports);
                ports.map(|port| &port.service).chain([name])
            });
            made.unnamed = apps.cloned().collect();
        }
        made.refused.sort();
        made
    }

    /// Returns a configuration with this added; what the file says of a service counts.
    pub(crate) fn over(&self, config: &Config) -> Config {
        let mut config = config.clone();
        let proxy = &mut config.proxy;
        proxy.routes.extend(self.routes.iter().cloned());
        let listeners = self.listeners.iter().map(|wanted| wanted.listener.clone());
        proxy.listeners.extend(listeners);
        proxy.unnamed.extend(self.unnamed.iter().cloned());
        for (name, options) in &self.services {
            let own = proxy.services.entry(name.clone()).or_default();
            if own.check.is_none() {
                own.check.clone_from(&options.check);
            }
        }
        config
    }

    /// Gives up a listener, and says why.
    pub(crate) fn give_up(&mut self, listen: SocketAddr, reason: &str) {
        let gone = self
            .listeners
            .extract_if(.., |one| one.listener.listen == listen);
        let refused = gone.map(|wanted| Refused {
            source: wanted.source,
            path: wanted.path,
            reason: reason.to_owned(),
        });
        self.refused.extend(refused);
        self.refused.sort();
    }
}

/// Tells whether the sources of rules have told what there is.
fn has_rules(config: &Config, snapshot: &Snapshot) -> bool {
    let mut sources = config.sources.iter();
    sources.all(|(name, source)| source.kind() != "bamboo" || snapshot.has_heard(name))
}

/// What is being made.
#[derive(Debug)]
pub(super) struct Draft<'c> {
    config: &'c Config,
    /// Whether an app that has no rule here has none at all.
    pub(super) has_rules: bool,
    /// The addresses that the file has, with their keys.
    taken: Vec<(String, SocketAddr)>,
    pub(super) made: Dynamic,
}

impl Draft<'_> {
    /// Adds a route if it is one.
    ///
    /// # Errors
    ///
    /// Returns in words why it isn't.
    pub(super) fn add(&mut self, route: Route) -> Result<(), String> {
        self.check(&route)?;
        self.made.routes.push(route);
        Ok(())
    }

    /// Tells whether a route is one.
    ///
    /// # Errors
    ///
    /// Returns in words why it isn't.
    pub(super) fn check(&self, route: &Route) -> Result<(), String> {
        let problems = route.problems(self.config.proxy.path);
        match problems.first() {
            Some(problem) => Err(problem.to_string()),
            None => Ok(()),
        }
    }

    /// Has clients accepted at an address, at most at `max` ones; no port is listened on twice, as routes
    /// look at ports alone.
    ///
    /// # Errors
    ///
    /// Returns in words who has the address already.
    pub(super) fn listen(&mut self, wanted: Wanted, max: usize) -> Result<(), String> {
        let listen = wanted.listener.listen;
        let proxy = self.config.proxy.listeners.iter().enumerate();
        let mut same_port = proxy.filter(|(_, one)| one.listen.port() == listen.port());
        let mut taken = self.taken.iter();
        if let Some((key, _)) = taken.find(|(_, other)| overlap(*other, listen)) {
            return Err(format!("{listen} is taken by {key}"));
        }
        if let Some((at, _)) = same_port.next() {
            return Err(format!("{listen} has the port of proxy.listeners[{at}]"));
        }
        let mut others = self.made.listeners.iter();
        if let Some(other) = others.find(|one| one.listener.listen.port() == listen.port()) {
            return Err(format!("port {} is that of {}", listen.port(), other.path));
        }
        if self.made.listeners.len() >= max {
            return Err(format!(
                "{max} ports are listened on already (listeners_max)"
            ));
        }
        self.made.listeners.push(wanted);
        Ok(())
    }

    /// Says that something of a source's record can't be used.
    pub(super) fn refuse(&mut self, source: &str, path: &str, reason: String) {
        self.made.refused.push(Refused {
            source: source.into(),
            path: path.to_owned(),
            reason,
        });
    }
}
