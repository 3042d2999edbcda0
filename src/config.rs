//! The configuration as a whole: every crate's own, put together.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::Path,
    thread,
};

use ::config::{Document, Duration, Environment, Errors, Problem};
use registry::sources;
use serde::Deserialize;

use crate::{admin, compat, inherited::Part, logs};

/// Configures signpost.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many threads serve queries and requests.
    pub workers: usize,
    /// How long requests under way may take to finish when the process is asked to end.
    pub drain_timeout: Duration,
    /// How long a new process may take to get ready before an upgrade is given up.
    pub upgrade_timeout: Duration,
    /// Answers to DNS queries.
    pub dns: dns::Config,
    /// Forwarding of HTTP requests.
    pub proxy: proxy::Config,
    /// The admin API.
    pub admin: admin::Config,
    /// The APIs of systems that signpost replaces.
    pub compat: compat::Config,
    /// The registry, whatever the sources.
    pub registry: registry::Config,
    /// The log.
    pub log: logs::Config,
    /// The sources by name.
    pub sources: BTreeMap<String, sources::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: thread::available_parallelism().map_or(1, usize::from),
            drain_timeout: Duration::from_secs(30),
            upgrade_timeout: Duration::from_secs(120),
            dns: dns::Config::default(),
            proxy: proxy::Config::default(),
            admin: admin::Config::default(),
            compat: compat::Config::default(),
            registry: registry::Config::default(),
            log: logs::Config::default(),
            sources: BTreeMap::from([("embedded".to_owned(), sources::Config::embedded())]),
        }
    }
}

/// Loads a file, or an empty document without one.
pub(crate) fn document(path: Option<&Path>, environment: &Environment) -> Result<Document, Errors> {
    match path {
        Some(path) => Document::load(path, environment),
        None => Document::parse("defaults", "", environment),
    }
}

/// The keys at the top, which environment variables may override.
const KEYS: [&str; 3] = ["workers", "drain_timeout", "upgrade_timeout"];

/// The sections whose keys environment variables may override.
const SECTIONS: [&str; 7] = [
    "dns", "proxy", "admin", "compat", "registry", "log", "sources",
];

/// Returns the environment of this process, as far as it may override something.
pub fn environment() -> Environment {
    Environment::current(&KEYS, &SECTIONS)
}

/// The most threads that make sense on any machine.
const WORKERS_MAX: usize = 1024;

impl Config {
    /// Loads a file, or the defaults without one, with the environment's overrides.
    ///
    /// # Errors
    ///
    /// Returns everything that is wrong, each with its place.
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, Errors> {
        Self::from_document(&document(path, environment)?)
    }

    /// Takes the values of a document.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn from_document(document: &Document) -> Result<Self, Errors> {
        let config: Self = document.get()?;
        let problems = config.problems();
        match problems.is_empty() {
            true => Ok(config),
            false => Err(problems
                .iter()
                .map(|problem| document.locate(problem))
                .collect()),
        }
    }

    /// Lists what is wrong beyond what the types can tell.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !(1..=WORKERS_MAX).contains(&self.workers) {
            let reason = format!("{} is not between 1 and {WORKERS_MAX}", self.workers);
            problems.push(Problem::new("workers", reason));
        }
        let parts = [
            ("dns", self.dns.problems()),
            ("proxy", self.proxy.problems()),
            ("admin", self.admin.problems()),
            ("registry", self.registry.problems()),
            ("log", self.log.problems()),
        ];
        for (name, found) in parts {
            problems.extend(found.into_iter().map(|problem| problem.within(name)));
        }
        for (name, source) in &self.sources {
            let found = source.problems().into_iter();
            problems.extend(found.map(|problem| problem.within(&format!("sources.{name}"))));
        }
        problems.extend(self.compat.problems(&self.dns.zones, &self.sources));
        problems.extend(self.unknown_sources());
        problems.extend(self.address_conflicts());
        problems
    }

    /// Lists what may not be meant so, although it works.
    pub fn warnings(&self) -> Vec<Problem> {
        let dns = self.dns.warnings().into_iter();
        let proxy = self.proxy.warnings().into_iter();
        dns.map(|warning| warning.within("dns"))
            .chain(proxy.map(|warning| warning.within("proxy")))
            .chain(compat::lonely_rules(&self.sources))
            .collect()
    }

    /// Lists the HTTP APIs beside the proxy: the key that says where each listens, and that.
    pub(crate) fn apis(&self) -> Vec<(Part, &'static str, SocketAddr)> {
        let mesos_dns = self.compat.mesos_dns.as_ref();
        let mesos_dns =
            mesos_dns.map(|one| (Part::MesosDns, "compat.mesos_dns.listen", one.listen));
        let bamboo = self.compat.bamboo.as_ref().and_then(|one| one.listen);
        let bamboo = bamboo.map(|listen| (Part::Bamboo, "compat.bamboo.listen", listen));
        let admin = (Part::Admin, "admin.listen", self.admin.listen);
        [admin].into_iter().chain(mesos_dns).chain(bamboo).collect()
    }

    /// Tells whether apps get requests by labels or rules, and not by their names.
    pub(crate) fn routes_by_apps(&self) -> bool {
        let is_rules = |source: &sources::Config| matches!(source, sources::Config::Bamboo(_));
        self.compat.marathon_lb.is_some()
            || self.compat.bamboo.is_some()
            || self.sources.values().any(is_rules)
    }

    /// Returns the DNS domains, which the proxy takes off a `Host`.
    pub(crate) fn domains(&self) -> Vec<String> {
        let zones = self.dns.zones.iter();
        zones.map(|zone| zone.domain.to_string()).collect()
    }

    /// Finds zones whose sources aren't configured.
    fn unknown_sources(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (zone_index, zone) in self.dns.zones.iter().enumerate() {
            for (index, name) in zone.sources.iter().flatten().enumerate() {
                if !self.sources.contains_key(name) {
                    let key = format!("dns.zones[{zone_index}].sources[{index}]");
                    problems.push(Problem::new(key, format!("no source is called `{name}`")));
                }
            }
        }
        problems
    }

    /// Lists the TCP addresses that are listened on, with their keys.
    pub(crate) fn tcp_addresses(&self) -> impl Iterator<Item = (String, SocketAddr)> {
        let dns = self.dns.listen.iter().enumerate();
        let dns = dns.map(|(index, listen)| (format!("dns.listen[{index}]"), *listen));
        let proxy = self.proxy.listeners.iter().enumerate();
        let proxy =
            proxy.map(|(index, one)| (format!("proxy.listeners[{index}].listen"), one.listen));
        let apis = self.apis().into_iter();
        let apis = apis.map(|(_, key, listen)| (key.to_owned(), listen));
        dns.chain(proxy).chain(apis)
    }

    /// Finds parts that want to listen on the same TCP address. UDP is DNS's alone.
    fn address_conflicts(&self) -> Vec<Problem> {
        let mut taken: Vec<(String, SocketAddr)> = Vec::new();
        let mut problems = Vec::new();
        let labels = self.compat.marathon_lb.as_ref();
        let ids = labels.and_then(|labels| labels.app_id_listen);
        let ids = ids.map(|listen| ("compat.marathon_lb.app_id_listen".to_owned(), listen));
        for (key, address) in self.tcp_addresses().chain(ids) {
            match taken.iter().find(|(_, other)| overlap(*other, address)) {
                Some((other, at)) => {
                    let reason = format!("{address} is taken by {other} ({at})");
                    problems.push(Problem::new(key, reason));
                }
                None => taken.push((key, address)),
            }
        }
        problems
    }
}

/// Tells whether two sockets can't listen side by side. Port 0 is a different one each time.
pub(crate) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let covers =
        |a: IpAddr, b: IpAddr| a == b || (a.is_unspecified() && a.is_ipv4() == b.is_ipv4());
    a.port() != 0 && a.port() == b.port() && (covers(a.ip(), b.ip()) || covers(b.ip(), a.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, String> {
        let document = Document::parse("f.toml", text, &Environment::default());
        document
            .and_then(|document| Config::from_document(&document))
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn nothing_at_all_is_a_good_configuration() {
        let config = load("").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.domains(), ["svc.internal"]);
        assert_eq!(config.sources["embedded"].kind(), "store");
    }

    #[test]
    fn two_parts_at_one_address_are_found() {
        let errors = load(
            "[admin]\nlisten = \"127.0.0.1:8080\"\n[[proxy.listeners]]\nlisten = \"0.0.0.0:8080\"\n",
        )
        .unwrap_err();
        assert_eq!(
            errors,
            "f.toml:2:1: admin.listen: 127.0.0.1:8080 is taken by proxy.listeners[0].listen (0.0.0.0:8080)"
        );
        assert!(load("[admin]\nlisten = \"[::1]:8080\"\n").is_ok());
    }

    #[test]
    fn a_zone_of_a_source_that_is_not_there_is_found() {
        let zone = |source: &str| {
            format!("[[dns.zones]]\ndomain = \"a\"\nsources = [\"embedded\", \"{source}\"]\n")
        };
        assert_eq!(
            load(&zone("zk")).unwrap_err(),
            "f.toml:3:24: dns.zones[0].sources[1]: no source is called `zk`"
        );
        assert!(load(&zone("embedded")).is_ok());
    }

    #[test]
    fn rules_that_are_for_no_app_are_told_of() {
        let warnings = |text: &str| -> Vec<String> {
            let config: Config = toml::from_str(text).unwrap();
            config.warnings().iter().map(ToString::to_string).collect()
        };
        let rules = "[sources.rules.bamboo]\nzk = 'zk://127.0.0.1:1/b'\n";
        let apps = |more: &str| {
            format!("{rules}[sources.apps.marathon]\nurls = ['http://127.0.0.1:1']\n{more}\n")
        };
        assert_eq!(warnings(&apps("")), [""; 0]);
        let warned = &warnings(&apps("suffix = 'marathon'"))[0];
        assert!(
            warned.starts_with("sources.rules.bamboo.suffix: `app` is the suffix of no source"),
            "{warned}"
        );
        assert!(warned.ends_with("there is `marathon`"), "{warned}");
        assert!(warnings(rules)[0].contains("there is no source `marathon`"));
    }

    #[test]
    fn problems_of_the_parts_have_their_place() {
        let errors = load("workers = 0\n[log]\nlevel = \"x=loud\"\n").unwrap_err();
        let lines: Vec<_> = errors.lines().collect();
        assert!(
            lines[0].starts_with("f.toml:1:1: workers: 0 is not between"),
            "{errors}"
        );
        assert!(lines[1].starts_with("f.toml:3:1: log.level:"), "{errors}");
    }
}
