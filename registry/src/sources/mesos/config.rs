//! What a mesos source is configured by.

use config::{ClientTls, Duration, Problem, Size};
use serde::Deserialize;
use url::Url;

use super::masters::MASTERS;
use crate::{
    election::{self, Election},
    http::Login,
};

/// Configures a source that follows the tasks of a Mesos cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the masters elect their leader: `zk://h1:2181,h2:2181/mesos`.
    pub zk: Option<String>,
    /// The masters, `host:port`, where there is no ZooKeeper to ask.
    pub masters: Vec<String>,
    /// Whether the masters speak HTTPS.
    pub https: bool,
    /// Who the masters have to be, and who we are.
    pub tls: ClientTls,
    /// Who to log in as; anybody by default.
    pub auth: Option<Login>,
    /// Where a task's addresses are looked for; the first that has any counts.
    pub ip_sources: Vec<IpSource>,
    /// The weight of every instance.
    pub weight: u16,
    /// How often a master that has no stream of events is asked.
    pub refresh: Duration,
    /// How long a connection, an answer and a state may take.
    pub timeout: Duration,
    /// How many bytes an event, or the state, has at the most.
    pub event_bytes_max: Size,
}

/// Names a place where a task's addresses may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpSource {
    /// The container's networks.
    Netinfo,
    /// The label that Mesos's containerizer sets.
    Mesos,
    /// The label that Docker's containerizer sets.
    Docker,
    /// The agent.
    Host,
}

impl IpSource {
    /// Returns the word that stands for it in the configuration.
    pub fn label(self) -> &'static str {
        match self {
            Self::Netinfo => "netinfo",
            Self::Mesos => "mesos",
            Self::Docker => "docker",
            Self::Host => "host",
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            zk: None,
            masters: Vec::new(),
            https: false,
            tls: ClientTls::default(),
            auth: None,
            ip_sources: vec![IpSource::Netinfo, IpSource::Mesos, IpSource::Host],
            weight: 1,
            refresh: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            event_bytes_max: Size::from_bytes(256 << 20),
        }
    }
}

impl Config {
    /// Finds what is wrong beyond what the types can say.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut report = |key: &str, reason: String| problems.push(Problem::new(key, reason));
        match (&self.zk, self.masters.is_empty()) {
            (None, true) => report(
                "masters",
                "is missing, and so is zk; one is needed".to_owned(),
            ),
            (Some(_), false) => report("masters", "stands beside zk; only one is used".to_owned()),
            (Some(zk), true) => {
                if let Err(reason) = election::place_of(zk, "/mesos") {
                    report("zk", reason);
                }
            }
            (None, false) => {}
        }
        for (index, master) in self.masters.iter().enumerate() {
            let key = format!("masters[{index}]");
            if let Err(reason) = self.master_url(master) {
                report(&key, reason);
            }
            if self.masters[..index].contains(master) {
                report(&key, format!("`{master}` is there twice"));
            }
        }
        if self.ip_sources.is_empty() {
            report(
                "ip_sources",
                "is empty; no task would have an address".to_owned(),
            );
        }
        for (index, source) in self.ip_sources.iter().enumerate() {
            if self.ip_sources[..index].contains(source) {
                report(&format!("ip_sources[{index}]"), "is there twice".to_owned());
            }
        }
        let least = Duration::from_secs(1);
        for (key, value) in [("refresh", self.refresh), ("timeout", self.timeout)] {
            if value < least {
                report(key, format!("{value} is less than {least}"));
            }
        }
        problems.extend(self.tls.problems().into_iter().map(|one| one.within("tls")));
        let login = self.auth.iter().flat_map(Login::problems);
        problems.extend(login.map(|one| one.within("auth")));
        problems
    }

    /// Begins to follow who leads.
    ///
    /// # Errors
    ///
    /// Returns in words what is wrong with `zk`.
    pub(super) fn election(&self) -> Result<Election, String> {
        if let Some(zk) = &self.zk {
            let (mut ensemble, path) = election::place_of(zk, "/mesos")?;
            ensemble.connect_timeout = self.timeout.get();
            return Ok(Election::follow(MASTERS, ensemble, path));
        }
        let listed = self.masters.iter().filter_map(|master| {
            let url = self.master_url(master).ok()?;
            Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
        });
        Ok(Election::of_list(listed.collect()))
    }

    /// Returns where a master is asked.
    ///
    /// # Errors
    ///
    /// Returns in words why the text is no `host:port`.
    pub(super) fn master_url(&self, master: &str) -> Result<Url, String> {
        let scheme = if self.https { "https" } else { "http" };
        let none = || format!("`{master}` is no master such as `host:5050`");
        let port = master.rsplit_once(':').map(|(_, port)| port);
        let good = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
        if !port.is_some_and(good) || master.contains(['/', '@', '?', '#']) {
            return Err(none());
        }
        Url::parse(&format!("{scheme}://{master}")).map_err(|_| none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let config: Config = toml::from_str(text).unwrap();
        config.problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn where_the_masters_are_is_enough() {
        assert!(problems("zk = 'zk://h1:2181,h2:2181/mesos'").is_empty());
        let masters = "masters = ['127.0.0.1:5050', '[::1]:5050', 'a:1234']";
        assert!(problems(masters).is_empty());
    }

    #[test]
    fn what_can_not_be_is_said_with_its_key() {
        for (text, expected) in [
            ("", "masters: is missing, and so is zk; one is needed"),
            (
                "zk = 'h1:2181/mesos'",
                "zk: `h1:2181/mesos` doesn't start with `zk://`",
            ),
            (
                "zk = 'zk://h1'",
                "zk: `zk://h1` has no path such as `/mesos`",
            ),
            (
                "zk = 'zk://u:p@h1/mesos'",
                "zk: a user and a password in the URL are not supported",
            ),
            (
                "masters = ['a']",
                "masters[0]: `a` is no master such as `host:5050`",
            ),
            (
                "masters = ['a:0']",
                "masters[0]: `a:0` is no master such as `host:5050`",
            ),
            (
                "masters = ['a:1', 'a:1']",
                "masters[1]: `a:1` is there twice",
            ),
            (
                "masters = ['a:1']\nip_sources = ['host', 'host']",
                "ip_sources[1]: is there twice",
            ),
            (
                "masters = ['a:1']\nip_sources = []",
                "ip_sources: is empty; no task would have an address",
            ),
            (
                "masters = ['a:1']\nrefresh = '0s'",
                "refresh: 0s is less than 1s",
            ),
            (
                "masters = ['a:1']\nauth = { user = 'u' }",
                "auth.password_file: is missing; this way to log in needs it",
            ),
        ] {
            assert_eq!(problems(text), [expected], "{text}");
        }
    }
}
