//! What a marathon source is configured by.

use config::{ClientTls, Duration, Problem, Size};
use serde::Deserialize;
use url::Url;

use super::leaders::MARATHONS;
use crate::{
    ServiceName,
    election::{self, Election},
    http::Login,
};

/// Configures a source that follows the apps of a Marathon.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the Marathons elect their leader: `zk://h1:2181,h2:2181/marathon`.
    pub zk: Option<String>,
    /// The Marathons, `http://host:8080`, where there is no ZooKeeper to ask.
    pub urls: Vec<Url>,
    /// Whether the Marathons that ZooKeeper names speak HTTPS.
    pub https: bool,
    /// Who the Marathons have to be, and who we are.
    pub tls: ClientTls,
    /// Who to log in as; anybody by default.
    pub auth: Option<Login>,
    /// What stands behind an app's labels in the name of its service.
    pub suffix: ServiceName,
    /// The weight of every instance.
    pub weight: u16,
    /// How often everything is read again, events or not; a Marathon without events is asked so.
    pub refresh: Duration,
    /// How long the stream of events may be silent.
    pub silence: Duration,
    /// How long a connection and an answer may take.
    pub timeout: Duration,
    /// How many bytes an answer, or an event, has at the most.
    pub answer_bytes_max: Size,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            zk: None,
            urls: Vec::new(),
            https: false,
            tls: ClientTls::default(),
            auth: None,
            suffix: "app".parse().expect("it is a name"),
            weight: 1,
            refresh: Duration::from_secs(60),
            silence: Duration::from_secs(60),
            timeout: Duration::from_secs(30),
            answer_bytes_max: Size::from_bytes(256 << 20),
        }
    }
}

impl Config {
    /// Finds what is wrong beyond what the types can say.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut report = |key: &str, reason: String| problems.push(Problem::new(key, reason));
        match (&self.zk, self.urls.is_empty()) {
            (None, true) => report("urls", "is missing, and so is zk; one is needed".to_owned()),
            (Some(_), false) => report("urls", "stands beside zk; only one is used".to_owned()),
            (Some(zk), true) => {
                if let Err(reason) = election::place_of(zk, "/marathon") {
                    report("zk", reason);
                }
            }
            (None, false) => {}
        }
        for (index, url) in self.urls.iter().enumerate() {
            let key = format!("urls[{index}]");
            let is_plain = matches!(url.scheme(), "http" | "https")
                && url.host_str().is_some()
                && url.username().is_empty()
                && url.query().is_none()
                && url.fragment().is_none()
                && url.path() == "/";
            if !is_plain {
                report(&key, "is no URL such as `http://host:8080`".to_owned());
            }
            if url.scheme() != self.urls[0].scheme() {
                report(&key, "has another scheme than the first one".to_owned());
            }
            if self.urls[..index].contains(url) {
                report(&key, format!("`{url}` is there twice"));
            }
        }
        let least = Duration::from_secs(1);
        for (key, value) in [
            ("refresh", self.refresh),
            ("silence", self.silence),
            ("timeout", self.timeout),
        ] {
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
            let (mut ensemble, path) = election::place_of(zk, "/marathon")?;
            ensemble.connect_timeout = self.timeout.get();
            return Ok(Election::follow(MARATHONS, ensemble, path));
        }
        let listed = self.urls.iter().filter_map(|url| {
            let host = url.host_str()?.to_owned();
            Some((host, url.port_or_known_default()?))
        });
        Ok(Election::of_list(listed.collect()))
    }

    /// Returns the scheme of the Marathons.
    pub(super) fn scheme(&self) -> &str {
        match (self.urls.first(), self.https) {
            (Some(url), _) => url.scheme(),
            (None, true) => "https",
            (None, false) => "http",
        }
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
    fn where_the_marathons_are_is_enough() {
        assert!(problems("zk = 'zk://h1:2181,h2:2181/marathon'").is_empty());
        assert!(problems("urls = ['http://m1:8080', 'http://[::1]']").is_empty());
    }

    #[test]
    fn what_can_not_be_is_said_with_its_key() {
        for (text, expected) in [
            ("", "urls: is missing, and so is zk; one is needed"),
            (
                "zk = 'zk://h1/marathon'\nurls = ['http://a']",
                "urls: stands beside zk; only one is used",
            ),
            (
                "zk = 'zk://h1'",
                "zk: `zk://h1` has no path such as `/marathon`",
            ),
            (
                "urls = ['http://a/service/marathon']",
                "urls[0]: is no URL such as `http://host:8080`",
            ),
            (
                "urls = ['http://a', 'https://b']",
                "urls[1]: has another scheme than the first one",
            ),
            (
                "urls = ['http://a', 'http://a']",
                "urls[1]: `http://a/` is there twice",
            ),
            (
                "urls = ['http://a']\nsilence = '0s'",
                "silence: 0s is less than 1s",
            ),
        ] {
            assert_eq!(problems(text), [expected], "{text}");
        }
    }
}
