//! What one zone is configured by.

use config::Duration;
use serde::{Deserialize, Serialize};

use super::{Domain, Mailbox};
use crate::Scheme;

/// Holds one `[[dns.zones]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZoneConfig {
    /// The domain under which the services' names stand.
    pub domain: Domain,
    /// How services become names.
    #[serde(default)]
    pub scheme: Scheme,
    /// Whether labels have the form of RFC 952 (they start with a letter and have up to 24 bytes), in the
    /// schemes that know it.
    #[serde(default)]
    pub rfc952: bool,
    /// Whose manners answers have that say that there is nothing, and SOA and NS records; those of the RFCs
    /// when it isn't there.
    #[serde(default)]
    pub compat: Option<Compat>,
    /// How long clients may keep an answer, where `[dns.ttl]` says nothing of the service.
    #[serde(default = "ttl_default")]
    pub ttl: Duration,
    /// How long clients may keep the news that a name or a record doesn't exist (RFC 2308).
    #[serde(default = "ttl_default")]
    pub negative_ttl: Duration,
    /// The sources whose instances the zone has; all when it isn't there.
    #[serde(default)]
    pub sources: Option<Vec<String>>,
    /// What a service answers with when none of its instances is available.
    #[serde(default)]
    pub all_down: AllDown,
    /// How many records of one type an answer about services has at the most; 0 for all.
    ///
    /// Which ones changes from answer to answer, by weight where weights differ. Such an answer is
    /// whole: it isn't marked as truncated.
    #[serde(default)]
    pub max_answers: u32,
    /// Whether an instance whose record gives a host name answers with a CNAME record to it, and not
    /// with the addresses that the registry finds for it.
    #[serde(default)]
    pub cname: bool,
    /// Whether names below a service that don't exist answer with the service's addresses.
    #[serde(default)]
    pub wildcard: bool,
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
            rfc952: false,
            compat: None,
            ttl: ttl_default(),
            negative_ttl: ttl_default(),
            sources: None,
            all_down: AllDown::default(),
            max_answers: 0,
            cname: false,
            wildcard: false,
            name_server: None,
            hostmaster: None,
        }
    }
}

/// Names a server in whose manners a zone may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compat {
    /// SOA and NS records stand in the authority section, at the name that was asked for; a name below which
    /// others exist doesn't exist itself; a denial of SRV records carries nothing.
    MesosDns,
}

/// Says what a service answers with when none of its instances is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllDown {
    /// Nothing: the name exists and has no records.
    #[default]
    Nodata,
    /// Every instance that has an address and isn't draining: a check that fails everywhere is more
    /// likely to be wrong itself.
    All,
}

fn ttl_default() -> Duration {
    Duration::from_secs(5)
}
