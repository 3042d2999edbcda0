//! One instance of a service.

use std::{collections::BTreeMap, fmt, net::IpAddr, num::NonZeroU64, sync::Arc};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::{Health, InstanceId, Observation, PortName, Reason};

/// Describes one process that serves a service: where it is, how much it can take, how it is.
///
/// Plain data. Two instances are equal when clients could tell no difference; where the store moved the
/// record's revision without changing what it says, they still are (see [`Origin`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Instance {
    /// Tells it apart from the other instances of its service.
    pub id: InstanceId,
    /// Where it can be reached, v4 and v6; empty while a host name isn't resolved.
    pub addresses: Addresses,
    /// The host name that the record gave instead of addresses; the registry resolves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Arc<str>>,
    /// The main port first; may be empty for a service that is only a name.
    pub ports: Ports,
    /// The share of clients it should get, relative to its siblings (RFC 2782): 0 for hardly any.
    pub weight: u16,
    /// The group it belongs to (RFC 2782): clients use the lowest number that answers.
    pub priority: u16,
    /// Whether clients should be sent to it.
    pub state: State,
    /// Whether it drains because an operator wishes so, whatever its record says.
    #[serde(skip_serializing_if = "is_false")]
    pub drained: bool,
    /// What is seen of it.
    #[serde(flatten)]
    pub observation: Observation,
    /// Free labels, sorted.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub tags: Box<[Arc<str>]>,
    /// Free `key=value` pairs: the TXT record.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<Arc<str>, Arc<str>>,
    /// Where it stands, to prefer near ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locality: Option<Box<Locality>>,
    /// Which record said so.
    pub origin: Origin,
}

/// The addresses of an instance; hardly ever is there more than one, which is kept in place.
pub type Addresses = SmallVec<[IpAddr; 1]>;

/// The ports of an instance; where there is one alone, it is kept in place.
pub type Ports = SmallVec<[Port; 1]>;

impl Instance {
    /// The weight of an instance whose record names none.
    pub const WEIGHT_DEFAULT: u16 = 1;

    /// Creates an instance that is up, without addresses and ports.
    pub fn new(id: InstanceId, origin: Origin) -> Self {
        Self {
            id,
            addresses: Addresses::new(),
            host: None,
            ports: Ports::new(),
            weight: Self::WEIGHT_DEFAULT,
            priority: 0,
            state: State::Up,
            drained: false,
            observation: Observation::default(),
            tags: Box::default(),
            attributes: BTreeMap::new(),
            locality: None,
            origin,
        }
    }

    /// Puts the instance at `host`, an address (a v6 one may stand in brackets) or a name to resolve.
    ///
    /// # Errors
    ///
    /// Returns the reason in words when `host` is neither.
    pub fn set_host(&mut self, host: &str) -> Result<(), String> {
        (self.addresses, self.host) = match address(host) {
            Some(address) => (Addresses::from_slice(&[address]), None),
            None => (Addresses::new(), Some(host_name(host)?.into())),
        };
        Ok(())
    }

    /// Returns the port for clients that ask for none by name: the first one of this protocol.
    pub fn main_port(&self, protocol: Protocol) -> Option<&Port> {
        self.ports.iter().find(|port| port.protocol == protocol)
    }

    /// Tells whether requests should be sent here, and if not, why.
    pub fn exclusion(&self) -> Option<Exclusion> {
        self.excluded_by(self.observation)
    }

    /// Tells whether DNS should send clients here, and if not, why: not all that is observed is told
    /// there.
    pub fn exclusion_told(&self) -> Option<Exclusion> {
        self.excluded_by(self.observation.told())
    }

    fn excluded_by(&self, observation: Observation) -> Option<Exclusion> {
        match self.state {
            State::Up if self.addresses.is_empty() => Some(Exclusion::Unresolved),
            State::Up => match observation.health {
                Health::Unhealthy(reason) => Some(Exclusion::Unhealthy(reason)),
                Health::Healthy | Health::Unknown => None,
            },
            state => Some(Exclusion::State(state)),
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Reads an address; a v6 one may stand in brackets.
pub(crate) fn address(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

/// Checks a host name: labels as in names of services, a final dot allowed, at most 253 bytes.
fn host_name(host: &str) -> Result<String, String> {
    let name = host.strip_suffix('.').unwrap_or(host);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    // All digits and dots: meant as an address, and not one.
    let numeric = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if name.len() > 253 || numeric || !name.split('.').all(label) {
        let shown: String = host.chars().take(80).collect();
        return Err(format!("`{shown}` is neither an address nor a host name"));
    }
    Ok(name.to_ascii_lowercase())
}

/// Says why an instance isn't given to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exclusion {
    /// Its host name has no address as yet.
    Unresolved,
    /// It is starting, draining or down.
    State(State),
    /// It is up by its record, and seen not to answer.
    Unhealthy(Reason),
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved => f.write_str("its host name is not resolved"),
            Self::State(state) => write!(f, "its state is {state}"),
            Self::Unhealthy(reason) => reason.fmt(f),
        }
    }
}

/// Gives one port of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Port {
    /// What the port is for, such as `http`; the main port often has no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<PortName>,
    /// 1 to 65535.
    pub number: u16,
    /// What runs on it.
    pub protocol: Protocol,
}

impl Port {
    /// Creates a TCP port without a name.
    pub fn tcp(number: u16) -> Self {
        Self {
            name: None,
            number,
            protocol: Protocol::Tcp,
        }
    }

    /// Checks that a number from a record can be a port.
    ///
    /// # Errors
    ///
    /// Returns the reason in words for anything but 1 to 65535.
    pub fn number(number: i64) -> Result<u16, String> {
        u16::try_from(number)
            .ok()
            .filter(|number| *number != 0)
            .ok_or_else(|| format!("port {number} is not between 1 and 65535"))
    }
}

/// Names a transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP, and what runs on it.
    #[default]
    Tcp,
    /// UDP, and what runs on it.
    Udp,
}

impl Protocol {
    /// Every protocol, for what is there for each.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    /// Returns the label that stands for it in DNS names, without the underscore.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Says how an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is there and not ready yet.
    Starting,
    /// Clients are sent to it.
    #[default]
    Up,
    /// It finishes what it has and gets nothing new.
    Draining,
    /// It is known and doesn't serve.
    Down,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Draining => "draining",
            Self::Down => "down",
        })
    }
}

/// Says where an instance stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locality {
    /// The larger area, such as `eu-west-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Arc<str>>,
    /// The part of it that fails as one, such as a data centre.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Arc<str>>,
}

/// Says which record an instance comes from.
///
/// `revision` doesn't take part in comparisons: some writers touch their record every few seconds, and
/// that must not look like a change.
#[derive(Debug, Clone, Eq, Serialize)]
pub struct Origin {
    /// The source's name in the configuration.
    pub source: Arc<str>,
    /// The record's place in the store: a znode, a key, a file.
    pub path: Arc<str>,
    /// The store's count of changes to the record; ZooKeeper's mzxid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// When the record was created, as the store knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        (&self.source, &self.path, self.since) == (&other.source, &other.path, other.since)
    }
}

/// Holds a moment by the wall clock, in milliseconds since 1970; for people to read, never to decide by.
///
/// It is not 0, so that none takes no more room than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(NonZeroU64);

impl Timestamp {
    /// Creates the moment so many milliseconds after the start of 1970, at least one.
    pub fn from_millis(millis: u64) -> Self {
        Self(NonZeroU64::new(millis).unwrap_or(NonZeroU64::MIN))
    }

    /// Returns the milliseconds since the start of 1970.
    pub fn as_millis(self) -> u64 {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> Instance {
        let origin = Origin {
            source: "test".into(),
            path: "/a".into(),
            revision: Some(1),
            since: None,
        };
        Instance::new(InstanceId::from_text("a"), origin)
    }

    #[test]
    fn a_new_revision_alone_is_no_change() {
        let mut other = instance();
        other.origin.revision = Some(2);
        assert_eq!(instance(), other);
        other.weight = 7;
        assert_ne!(instance(), other);
    }

    #[test]
    fn what_is_observed_takes_no_more_room() {
        /// An instance as its record has it.
        #[allow(dead_code, reason = "only its size matters")]
        struct Plain {
            id: InstanceId,
            host: Option<Arc<str>>,
            places: (Addresses, Ports, Option<Box<Locality>>),
            numbers: (u16, u16, State),
            tags: Box<[Arc<str>]>,
            attributes: BTreeMap<Arc<str>, Arc<str>>,
            origin: Origin,
        }
        assert_eq!(size_of::<Instance>(), size_of::<Plain>());
    }

    #[test]
    fn one_that_is_seen_not_to_answer_is_excluded() {
        let mut instance = instance();
        instance.set_host("10.0.0.1").unwrap();
        instance.observation.health = Health::Healthy;
        assert_eq!(instance.exclusion(), None);
        instance.observation.health = Health::Unhealthy(Reason::Ejected);
        let why = instance.exclusion().unwrap();
        assert_eq!(why.to_string(), "it is ejected for failed requests");
        instance.state = State::Down;
        assert_eq!(instance.exclusion(), Some(Exclusion::State(State::Down)));
    }

    #[test]
    fn a_host_is_an_address_or_a_name() {
        let mut instance = instance();
        instance.set_host("[::1]").unwrap();
        assert_eq!(instance.addresses[..], ["::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(instance.exclusion(), None);
        instance.set_host("Web-1.example.").unwrap();
        assert_eq!(instance.host.as_deref(), Some("web-1.example"));
        assert_eq!(instance.exclusion(), Some(Exclusion::Unresolved));
        for wrong in ["", "a b", "300.1.1.1", "1.2.3", "a..b", "x/y"] {
            assert!(instance.set_host(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_may_stand_in_brackets() {
        assert_eq!(address("[2001:db8::1]"), "2001:db8::1".parse().ok());
    }

    #[test]
    fn ports_are_checked() {
        assert_eq!(Port::number(80), Ok(80));
        assert_eq!(
            Port::number(70_000).unwrap_err(),
            "port 70000 is not between 1 and 65535"
        );
        assert!(Port::number(0).is_err());
        assert!(Port::number(-1).is_err());
    }
}
