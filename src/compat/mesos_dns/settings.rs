//! `/v1/config`: the configuration in the words of Mesos-DNS, without its secrets.

use std::{collections::BTreeMap, path::PathBuf};

use registry::sources::{self, mesos};
use serde_json::{Value, json};

use super::{Config, Shown};

impl Shown {
    /// Reads what is shown; of several mesos sources the first counts.
    pub(super) fn of(config: &crate::Config) -> Self {
        let Some(own) = &config.compat.mesos_dns else {
            return Self::default();
        };
        let mesos = config.sources.values().find_map(|source| match source {
            sources::Config::Mesos(mesos) => Some(mesos),
            _ => None,
        });
        let mesos = mesos.cloned().unwrap_or_default();
        let zone = own.zone_of(&config.dns.zones);
        Self {
            domain: zone.map(|zone| zone.domain.to_string()).unwrap_or_default(),
            enumeration: own.enumeration,
            refresh: mesos.refresh.get().as_secs(),
            config: settings(config, own, &mesos),
        }
    }
}

fn settings(config: &crate::Config, own: &Config, mesos: &mesos::Config) -> Value {
    let zone = own.zone_of(&config.dns.zones);
    let listen = config.dns.listen.first();
    let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let ttl = zone.map(|zone| zone.ttl.get().as_secs());
    let negative_ttl = zone.map(|zone| zone.negative_ttl.get().as_secs());
    let name = |name: Option<String>| name.unwrap_or_default();
    let forward = &config.dns.forward;
    let list = |all: &[dns::Upstream]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let zones = forward.zones.iter();
    let zones = zones.map(|(domain, all)| (domain.to_string(), list(all)));
    json!({
        "RefreshSeconds": mesos.refresh.get().as_secs(),
        "Port": listen.map(|listen| listen.port()),
        "Timeout": forward.timeout.get().as_secs(),
        "StateTimeoutSeconds": mesos.timeout.get().as_secs(),
        "ZkDetectionTimeout": mesos.timeout.get().as_secs(),
        "HttpPort": own.listen.port(),
        "TTL": ttl,
        "SRVRecordDefaultWeight": mesos.weight,
        "SOAMinttl": negative_ttl,
        "SOAMname": name(zone.and_then(|zone| Some(zone.name_server.as_ref()?.to_string()))),
        "SOARname": name(zone.and_then(|zone| Some(zone.hostmaster.as_ref()?.to_string().replacen('@', ".", 1)))),
        "Masters": mesos.masters,
        "ZoneResolvers": zones.collect::<BTreeMap<_, _>>(),
        "Resolvers": list(&forward.resolvers),
        "IPSources": mesos.ip_sources.iter().map(|one| one.label()).collect::<Vec<_>>(),
        "Zk": name(mesos.zk.clone()),
        "Domain": name(zone.map(|zone| zone.domain.to_string())),
        "File": "",
        "Listener": listen.map(|listen| listen.ip().to_string()),
        "HTTPListener": own.listen.ip().to_string(),
        "RecurseOn": false,
        "DnsOn": true,
        "HttpOn": true,
        "ExternalOn": !forward.resolvers.is_empty() || !forward.zones.is_empty(),
        "EnforceRFC952": zone.is_some_and(|zone| zone.rfc952),
        "SetTruncateBit": true,
        "EnumerationOn": own.enumeration,
        "MesosHTTPSOn": mesos.https,
        "CACertFile": name(file(&mesos.tls.ca_file)),
        "CertFile": name(file(&mesos.tls.cert_file)),
        "KeyFile": name(file(&mesos.tls.key_file)),
        "MesosCredentials": {"Principal": "", "Secret": ""},
        "IAMConfigFile": "",
        "MesosAuthentication": mesos.auth.as_ref().map_or("", |login| match login.scheme {
            registry::LoginScheme::Basic => "basic",
            registry::LoginScheme::Jwt => "iam",
        }),
    })
}
