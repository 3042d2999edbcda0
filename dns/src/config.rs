//! What the DNS part is configured by.

use std::{fmt, net::SocketAddr, str::FromStr};

use config::{Duration, Problem};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    Scheme,
    name::{LABEL_BYTES_MAX, Name, NameBuf},
};

/// The longest TTL, one week: longer ones are mistakes, and outlive any instance.
const TTL_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// The smallest answer that every client takes over UDP (RFC 1035, section 4.2.1).
pub(crate) const UDP_PAYLOAD_MIN: u16 = 512;

/// The largest value of `udp_payload_max`: beyond it datagrams are sure to be fragmented.
pub(crate) const UDP_PAYLOAD_LIMIT: u16 = 4096;

/// Holds the section `[dns]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The addresses at which queries are taken, over UDP and TCP; none switches DNS off.
    pub listen: Vec<SocketAddr>,
    /// The domains that are answered for, none of them below another.
    pub zones: Vec<ZoneConfig>,
    /// The longest answer over UDP in bytes, 512 to 4096, also for clients that could take more.
    pub udp_payload_max: u16,
    /// How long a TCP connection may stay without a whole query.
    pub tcp_idle_timeout: Duration,
    /// How many TCP connections each listener of each worker keeps; more have to wait.
    pub tcp_connections_max: usize,
    /// How many queries are answered on a TCP connection before it is closed; 0 is no limit.
    pub tcp_queries_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 5300))],
            zones: vec![ZoneConfig::new(
                "svc.internal".parse().expect("is a domain"),
            )],
            udp_payload_max: 1232,
            tcp_idle_timeout: Duration::from_secs(10),
            tcp_connections_max: 1000,
            tcp_queries_max: 0,
        }
    }
}

impl Config {
    /// Lists what is wrong with the values; the keys are relative to the section.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |key: String, reason: String| problems.push(Problem::new(key, reason));
        for (index, address) in self.listen.iter().enumerate() {
            if address.port() != 0 && self.listen[..index].contains(address) {
                problem(
                    format!("listen[{index}]"),
                    format!("{address} is listed twice"),
                );
            }
        }
        for (index, zone) in self.zones.iter().enumerate() {
            if let Some(reason) = self.overlap(index) {
                problem(format!("zones[{index}].domain"), reason);
            }
            let ttls = [("ttl", zone.ttl), ("negative_ttl", zone.negative_ttl)];
            for (key, ttl) in ttls {
                if ttl > TTL_MAX || ttl.as_ttl() == 0 {
                    let reason = format!("{ttl} is not between 1s and {TTL_MAX}");
                    problem(format!("zones[{index}].{key}"), reason);
                }
            }
        }
        let payload = self.udp_payload_max;
        if !(UDP_PAYLOAD_MIN..=UDP_PAYLOAD_LIMIT).contains(&payload) {
            let reason =
                format!("{payload} is not between {UDP_PAYLOAD_MIN} and {UDP_PAYLOAD_LIMIT}");
            problem("udp_payload_max".to_owned(), reason);
        }
        if self.tcp_connections_max == 0 {
            problem(
                "tcp_connections_max".to_owned(),
                "0 would refuse everybody".to_owned(),
            );
        }
        if self.tcp_idle_timeout.get().is_zero() {
            problem(
                "tcp_idle_timeout".to_owned(),
                "0s would refuse everybody".to_owned(),
            );
        }
        problems
    }

    /// Says what is wrong with the domain of the zone at `index` next to those of the others.
    ///
    /// Below a domain, names are made of services; a zone there would answer in their stead, and
    /// SRV and PTR records would lead to names that it knows nothing of.
    fn overlap(&self, index: usize) -> Option<String> {
        let domain = &self.zones[index].domain;
        let mut earlier = self.zones[..index].iter();
        if let Some(first) = earlier.position(|other| other.domain == *domain) {
            return Some(format!(
                "`{domain}` overlaps: it is the domain of zones[{first}] too"
            ));
        }
        let mut others = self.zones.iter().map(|zone| &zone.domain);
        let outer = others.position(|other| domain.is_below(other))?;
        let outer_domain = &self.zones[outer].domain;
        Some(format!(
            "`{domain}` overlaps: names of zones[{outer}] (`{outer_domain}`) below it are hidden"
        ))
    }
}

/// Holds one `[[dns.zones]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZoneConfig {
    /// The domain under which the services' names stand.
    pub domain: Domain,
    /// How services become names.
    #[serde(default)]
    pub scheme: Scheme,
    /// How long clients may keep an answer.
    #[serde(default = "ttl_default")]
    pub ttl: Duration,
    /// How long clients may keep the news that a name or a record doesn't exist (RFC 2308).
    #[serde(default = "ttl_default")]
    pub negative_ttl: Duration,
    /// The name in the NS and SOA records.
    ///
    /// `ns.<domain>` by default, whose addresses are those of `[dns] listen` that aren't wildcards.
    /// A service of that name hides it: then name another one here.
    #[serde(default)]
    pub name_server: Option<Domain>,
    /// Who is responsible, in the SOA record: `admin@example.com`; `hostmaster@<domain>` by
    /// default.
    #[serde(default)]
    pub hostmaster: Option<Mailbox>,
}

impl ZoneConfig {
    /// Creates the configuration of a zone from the defaults.
    pub fn new(domain: Domain) -> Self {
        Self {
            domain,
            scheme: Scheme::default(),
            ttl: ttl_default(),
            negative_ttl: ttl_default(),
            name_server: None,
            hostmaster: None,
        }
    }
}

fn ttl_default() -> Duration {
    Duration::from_secs(5)
}

/// Names a domain, such as `svc.internal`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Domain(Name);

impl Domain {
    pub(crate) fn name(&self) -> &Name {
        &self.0
    }

    /// Tells whether this domain is part of another one, and not the same.
    fn is_below(&self, other: &Self) -> bool {
        self != other && self.0.relative_to(&other.0).is_some()
    }
}

impl FromStr for Domain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason: &str| format!("`{text}` is not a domain: {reason}");
        let odd = |c: &char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.');
        if let Some(c) = text.chars().find(odd) {
            return Err(wrong(&format!("it has {c:?}")));
        }
        let bare = text.strip_suffix('.').unwrap_or(text);
        if bare
            .split('.')
            .any(|label| label.starts_with('-') || label.ends_with('-'))
        {
            return Err(wrong("a label starts or ends with `-`"));
        }
        Name::parse(text)
            .map(Self)
            .map_err(|reason| wrong(&format!("it {reason}")))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a mailbox as the SOA record has it (RFC 1035, section 3.3.13): a name whose first label is
/// the part before the `@`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    text: String,
    name: Name,
}

impl Mailbox {
    /// Returns the mailbox `hostmaster` in a domain (RFC 2142, section 7).
    pub(crate) fn hostmaster(domain: &Name) -> Option<Name> {
        let mut name = NameBuf::default();
        name.push("hostmaster")
            .and_then(|()| name.extend(domain.as_bytes()))
            .ok()?;
        Some(name.finish())
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }
}

impl FromStr for Mailbox {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not a mailbox such as \"admin@example.com\"");
        let (local, domain) = text.split_once('@').ok_or_else(wrong)?;
        let domain: Domain = domain
            .parse()
            .map_err(|reason| format!("{}: {reason}", wrong()))?;
        if local.is_empty() || local.len() > LABEL_BYTES_MAX || !local.is_ascii() {
            return Err(wrong());
        }
        let mut name = NameBuf::default();
        name.push(local)
            .and_then(|()| name.extend(domain.0.as_bytes()))
            .map_err(|_| wrong())?;
        Ok(Self {
            text: text.to_owned(),
            name: name.finish(),
        })
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

macro_rules! text {
    ($type:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

text!(Domain);
text!(Mailbox);

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let config: Config = toml::from_str(text).unwrap();
        config.problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_are_good_and_what_an_empty_section_means() {
        assert_eq!(problems(""), <[String; 0]>::default());
        let config: Config = toml::from_str("").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.zones[0].domain.to_string(), "svc.internal");
    }

    #[test]
    fn a_zone_is_read_with_all_its_keys() {
        let text = "[[zones]]\ndomain = \"SVC.example.\"\nscheme = \"plain\"\nttl = \"1m\"\n\
            negative_ttl = \"2s\"\nname_server = \"ns1.example\"\nhostmaster = \"a.b@example\"\n";
        let config: Config = toml::from_str(text).unwrap();
        let [zone] = &config.zones[..] else {
            panic!("{config:?}");
        };
        assert_eq!(zone.domain.to_string(), "svc.example");
        assert_eq!(zone.ttl.as_ttl(), 60);
        let mailbox = zone.hostmaster.as_ref().unwrap();
        assert_eq!(mailbox.name().as_bytes(), b"\x03a.b\x07example");
    }

    #[test]
    fn what_cannot_work_is_a_problem_with_its_key() {
        let text = "listen = [\"127.0.0.1:53\", \"[::1]:53\", \"127.0.0.1:53\"]\n\
            udp_payload_max = 100\ntcp_connections_max = 0\ntcp_idle_timeout = \"0s\"\n\
            [[zones]]\ndomain = \"a.b\"\nttl = \"8days\"\n[[zones]]\ndomain = \"A.b.\"\n\
            negative_ttl = \"5ms\"\n[[zones]]\ndomain = \"x.a.b\"\n";
        assert_eq!(
            problems(text),
            [
                "listen[2]: 127.0.0.1:53 is listed twice",
                "zones[0].ttl: 8days is not between 1s and 7days",
                "zones[1].domain: `a.b` overlaps: it is the domain of zones[0] too",
                "zones[1].negative_ttl: 5ms is not between 1s and 7days",
                "zones[2].domain: `x.a.b` overlaps: names of zones[0] (`a.b`) below it are hidden",
                "udp_payload_max: 100 is not between 512 and 4096",
                "tcp_connections_max: 0 would refuse everybody",
                "tcp_idle_timeout: 0s would refuse everybody",
            ]
        );
    }

    #[test]
    fn a_zone_below_another_is_a_problem_wherever_it_stands() {
        let zones = |domains: &[&str]| {
            let zones = domains
                .iter()
                .map(|domain| format!("[[zones]]\ndomain = \"{domain}\"\n"));
            problems(&zones.collect::<String>())
        };
        assert_eq!(
            zones(&["y.x.a.b", "A.B"]),
            ["zones[0].domain: `y.x.a.b` overlaps: names of zones[1] (`a.b`) below it are hidden"]
        );
        let apart = ["a.b", "xa.b", "b.a", "c"];
        assert_eq!(zones(&apart), <[String; 0]>::default());
    }

    #[test]
    fn a_bad_domain_or_an_unknown_key_is_refused_with_the_value() {
        for (text, reason) in [
            (
                "[[zones]]\ndomain = \"a b\"",
                "`a b` is not a domain: it has ' '",
            ),
            ("[[zones]]\ndomain = \"\"", "it has a label of 0 bytes"),
            ("[[zones]]\ndomain = \"-a\"", "starts or ends with `-`"),
            ("[[zones]]\nttl = \"5s\"", "missing field `domain`"),
            (
                "[[zones]]\ndomain = \"a\"\nhostmaster = \"a\"",
                "`a` is not a mailbox",
            ),
            ("lisen = []", "unknown field `lisen`"),
            ("tcp_queries_max = -1", "integer `-1`"),
        ] {
            let error = toml::from_str::<Config>(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
