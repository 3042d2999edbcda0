//! The configuration of Mesos-DNS in the words of signpost.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use serde::de::DeserializeOwned;
use serde_json::Value;

/// What becomes of a configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Imported {
    /// The same in TOML.
    pub(crate) toml: String,
    /// What is different, or has no equivalent, each with its key.
    pub(crate) notes: Vec<String>,
}

/// Writes a `config.json` of Mesos-DNS as a configuration of signpost.
///
/// # Errors
///
/// Returns in words why the text is none, with the key where one is wrong.
pub(crate) fn import(text: &str) -> Result<Imported, String> {
    let document: BTreeMap<String, Value> =
        serde_json::from_str(text).map_err(|error| format!("no JSON object: {error}"))?;
    // As in Mesos-DNS, case doesn't matter.
    let values = document.into_iter();
    let values = values.map(|(key, value)| (key.to_ascii_lowercase(), (key, value)));
    let mut import = Import {
        values: values.collect(),
        notes: Vec::new(),
    };
    let toml = import.all()?;
    let rest = std::mem::take(&mut import.values).into_values();
    import
        .notes
        .extend(rest.map(|(key, _)| format!("{key}: is no setting of Mesos-DNS, and left out")));
    Ok(Imported {
        toml,
        notes: import.notes,
    })
}

/// What is left to be read, by keys in lower case, and what was noted so far.
struct Import {
    values: BTreeMap<String, (String, Value)>,
    notes: Vec<String>,
}

/// Settings that nothing here is like, and what is instead.
const WITHOUT: [(&str, &str); 8] = [
    (
        "recurseon",
        "answers about the zone never say that recursion is available",
    ),
    (
        "zkdetectiontimeout",
        "signpost doesn't end when there is no leader: answers stay as they are",
    ),
    ("soaserial", "the serial number is that of the zone"),
    ("soarefresh", SOA),
    ("soaretry", SOA),
    ("soaexpire", SOA),
    (
        "soaminttl",
        "Mesos-DNS doesn't use it either; the zone's negative_ttl counts",
    ),
    (
        "settruncatebit",
        "answers that are cut always say so (RFC 1035)",
    ),
];

/// Whose queries are forwarded: private networks (RFC 1918, RFC 4193) and this machine.
const PRIVATE: [&str; 6] = [
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
];

/// Whom Mesos-DNS asks unless somebody else is named.
const RESOLVER: &str = "8.8.8.8";

const SOA: &str = "the SOA record has the times of Mesos-DNS's defaults";

impl Import {
    fn all(&mut self) -> Result<String, String> {
        let mut toml = self.dns()?;
        toml.push_str(&self.forward()?);
        toml.push_str(&self.api()?);
        toml.push_str(&self.source()?);
        for (key, instead) in WITHOUT {
            if let Some((written, _)) = self.values.remove(key) {
                self.notes.push(format!("{written}: {instead}"));
            }
        }
        for key in ["ns", "email", "file"] {
            self.values.remove(key);
        }
        Ok(toml)
    }

    /// Writes `[dns]` and the zone.
    fn dns(&mut self) -> Result<String, String> {
        let ip = self
            .take("listener")?
            .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let port: u16 = self.take("port")?.unwrap_or(53);
        if self.take("dnson")? == Some(false) {
            let note = "dnsOn: DNS can't be turned off; it listens all the same";
            self.notes.push(note.to_owned());
        }
        let domain: String = self.take("domain")?.unwrap_or_else(|| "mesos".to_owned());
        let domain = domain.to_ascii_lowercase();
        let ttl: u32 = self.take("ttl")?.unwrap_or(60);
        let rfc952 = self.take("enforcerfc952")?.unwrap_or(false);
        let server: Option<String> = self.take("soamname")?;
        let server = server.unwrap_or_else(|| format!("ns1.{domain}"));
        let mailbox: Option<String> = self.take("soarname")?;
        let mailbox = mailbox.unwrap_or_else(|| format!("root.ns1.{domain}"));
        let mut toml = String::new();
        let listen = SocketAddr::new(ip, port);
        lines(
            &mut toml,
            "[dns]",
            &[("listen", format!("[{}]", quoted(&listen.to_string())))],
        );
        let mut zone = vec![
            ("domain", quoted(&domain)),
            ("scheme", quoted("mesos")),
            ("compat", quoted("mesos-dns")),
            ("ttl", quoted(&format!("{ttl}s"))),
            ("negative_ttl", quoted(&format!("{ttl}s"))),
            ("name_server", quoted(server.trim_end_matches('.'))),
            ("hostmaster", quoted(&at(&mailbox))),
        ];
        if rfc952 {
            zone.insert(3, ("rfc952", true.to_string()));
        }
        lines(&mut toml, "[[dns.zones]]", &zone);
        Ok(toml)
    }

    /// Writes `[dns.forward]`.
    fn forward(&mut self) -> Result<String, String> {
        let list = |all: &[String]| {
            let all: Vec<_> = all.iter().map(|one| quoted(one)).collect();
            format!("[{}]", all.join(", "))
        };
        let resolvers: Option<Vec<String>> = self.take("resolvers")?;
        let zones: BTreeMap<String, Vec<String>> = self.take("zoneresolvers")?.unwrap_or_default();
        let timeout: Option<u32> = self.take("timeout")?;
        if self.take("externalon")? == Some(false) {
            return Ok(String::new());
        }
        let resolvers = resolvers.unwrap_or_else(|| vec![RESOLVER.to_owned()]);
        if resolvers.is_empty() {
            let note =
                "resolvers: is empty, and the system's resolvers aren't looked up; name them";
            self.notes.push(note.to_owned());
        }
        if resolvers.is_empty() && zones.is_empty() {
            return Ok(String::new());
        }
        let note =
            "resolvers: asked for clients of private networks alone; Mesos-DNS asks for anybody";
        self.notes.push(note.to_owned());
        let mut keys = vec![
            ("resolvers", list(&resolvers)),
            ("clients", list(&PRIVATE.map(str::to_owned))),
        ];
        if let Some(seconds) = timeout {
            keys.push(("timeout", quoted(&format!("{seconds}s"))));
        }
        if !zones.is_empty() {
            let zones = zones.iter();
            let zones = zones.map(|(zone, all)| format!("{} = {}", quoted(zone), list(all)));
            let zones: Vec<_> = zones.collect();
            keys.push(("zones", format!("{{ {} }}", zones.join(", "))));
        }
        let mut toml = String::new();
        lines(&mut toml, "[dns.forward]", &keys);
        Ok(toml)
    }

    /// Writes `[compat.mesos_dns]`.
    fn api(&mut self) -> Result<String, String> {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let ip = self.take("httplistener")?.unwrap_or(any);
        let port: u16 = self.take("httpport")?.unwrap_or(8123);
        let is_on = self.take("httpon")?.unwrap_or(true);
        let enumeration = self.take("enumerationon")?.unwrap_or(true);
        let mut toml = String::new();
        if is_on {
            let listen = SocketAddr::new(ip, port).to_string();
            let keys = [
                ("listen", quoted(&listen)),
                ("enumeration", enumeration.to_string()),
            ];
            lines(&mut toml, "[compat.mesos_dns]", &keys);
        }
        Ok(toml)
    }

    /// Writes the source.
    fn source(&mut self) -> Result<String, String> {
        let mut keys = self.masters()?;
        let https = self.take("mesoshttpson")?.unwrap_or(false);
        if https {
            keys.push(("https", true.to_string()));
        }
        if let Some(sources) = self.take::<Vec<String>>("ipsources")? {
            let sources: Vec<_> = sources.iter().map(|one| quoted(one)).collect();
            keys.push(("ip_sources", format!("[{}]", sources.join(", "))));
        }
        if let Some(weight) = self.take::<u16>("srvrecorddefaultweight")? {
            keys.push(("weight", weight.to_string()));
        }
        if let Some(seconds) = self.take::<u32>("refreshseconds")? {
            keys.push(("refresh", quoted(&format!("{seconds}s"))));
            let note = "refreshSeconds: counts only for masters without a stream of events; \
                        with one, changes are told at once";
            self.notes.push(note.to_owned());
        }
        if let Some(seconds) = self.take::<u32>("statetimeoutseconds")? {
            keys.push(("timeout", quoted(&format!("{seconds}s"))));
        }
        let mut toml = String::new();
        lines(&mut toml, "[sources.mesos.mesos]", &keys);
        toml.push_str(&self.tls(https)?);
        toml.push_str(&self.login()?);
        Ok(toml)
    }

    /// Reads where the masters are.
    fn masters(&mut self) -> Result<Vec<(&'static str, String)>, String> {
        let masters: Vec<String> = self.take("masters")?.unwrap_or_default();
        let zk: String = self.take("zk")?.unwrap_or_default();
        if zk.is_empty() {
            let masters: Vec<_> = masters.iter().map(|one| quoted(one)).collect();
            return Ok(vec![("masters", format!("[{}]", masters.join(", ")))]);
        }
        if !masters.is_empty() {
            let note = "masters: zk tells who they are, and the list isn't needed";
            self.notes.push(note.to_owned());
        }
        let bare = zk
            .strip_prefix("zk://")
            .and_then(|rest| rest.split_once('@'));
        let zk = match bare {
            Some((_, rest)) => {
                let note = "zk: the user in it is left out; Mesos-DNS doesn't log in either";
                self.notes.push(note.to_owned());
                format!("zk://{rest}")
            }
            None => zk,
        };
        Ok(vec![("zk", quoted(&zk))])
    }

    fn tls(&mut self, https: bool) -> Result<String, String> {
        let mut keys = Vec::new();
        for (theirs, ours) in [
            ("cacertfile", "ca_file"),
            ("certfile", "cert_file"),
            ("keyfile", "key_file"),
        ] {
            let file: Option<String> = self.take(theirs)?;
            if let Some(file) = file.filter(|file| !file.is_empty()) {
                keys.push((ours, quoted(&file)));
            }
        }
        if https && !keys.iter().any(|(key, _)| *key == "ca_file") {
            let note = "CACertFile: without one Mesos-DNS believes any certificate; here masters need \
                        one that the system trusts";
            self.notes.push(note.to_owned());
        }
        let mut toml = String::new();
        if !keys.is_empty() {
            lines(&mut toml, "[sources.mesos.mesos.tls]", &keys);
        }
        Ok(toml)
    }

    fn login(&mut self) -> Result<String, String> {
        let kind: String = self.take("mesosauthentication")?.unwrap_or_default();
        let credentials: BTreeMap<String, String> =
            self.take("mesoscredentials")?.unwrap_or_default();
        let account: String = self.take("iamconfigfile")?.unwrap_or_default();
        let keys = match kind.as_str() {
            "" => return Ok(String::new()),
            "basic" => {
                let mut all = credentials.iter();
                let user = all.find(|(key, _)| key.eq_ignore_ascii_case("principal"));
                let user = user.map_or("", |(_, value)| value.as_str());
                let note = "mesosCredentials: write the secret into the file `mesos.secret`, which \
                            only signpost may read";
                self.notes.push(note.to_owned());
                vec![
                    ("user", quoted(user)),
                    ("password_file", quoted("mesos.secret")),
                ]
            }
            "iam" => vec![
                ("scheme", quoted("jwt")),
                ("account_file", quoted(&account)),
            ],
            other => {
                return Err(format!(
                    "mesosAuthentication: `{other}` is not basic or iam"
                ));
            }
        };
        let mut toml = String::new();
        lines(&mut toml, "[sources.mesos.mesos.auth]", &keys);
        Ok(toml)
    }

    /// Takes a value, and says what is wrong with one that can't be read; `null` is none.
    fn take<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, String> {
        match self.values.remove(key) {
            None | Some((_, Value::Null)) => Ok(None),
            Some((written, value)) => {
                let shown = value.to_string();
                let read = serde_json::from_value(value).map(Some);
                read.map_err(|error| format!("{written}: `{shown}` can't be: {error}"))
            }
        }
    }
}

/// Appends a table, with an empty line before it where there is one already.
fn lines(toml: &mut String, heading: &str, keys: &[(&str, String)]) {
    let mut text = format!("{heading}\n");
    for (key, value) in keys {
        // A string takes everything.
        writeln!(text, "{key} = {value}").ok();
    }
    text.push('\n');
    toml.push_str(&text);
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Writes a mailbox as people do: the first label of its name is who, the rest is where.
fn at(name: &str) -> String {
    let name = name.trim_end_matches('.');
    match name.split_once('.') {
        Some((who, place)) if !name.contains('@') => format!("{who}@{place}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use ::config::{Document, Environment};

    use super::*;

    fn imported(text: &str) -> (crate::Config, Vec<String>) {
        let Imported { toml, notes } = import(text).unwrap();
        let document = Document::parse("f", &toml, &Environment::default()).unwrap();
        let config = crate::Config::from_document(&document);
        (
            config.unwrap_or_else(|errors| panic!("{errors}\n{toml}")),
            notes,
        )
    }

    #[test]
    fn what_is_not_said_has_the_defaults_of_mesos_dns() {
        let (config, notes) = imported(r#"{"zk": "zk://u:p@10.0.0.1:2181/mesos"}"#);
        assert_eq!(config.dns.listen, ["0.0.0.0:53".parse().unwrap()]);
        let zone = &config.dns.zones[0];
        assert_eq!(zone.domain.to_string(), "mesos");
        assert_eq!(zone.ttl.get().as_secs(), 60);
        assert_eq!(
            zone.hostmaster.as_ref().unwrap().to_string(),
            "root@ns1.mesos"
        );
        let api = config.compat.mesos_dns.unwrap();
        assert_eq!((api.listen.port(), api.enumeration), (8123, true));
        assert_eq!(config.dns.forward.resolvers.len(), 1);
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].starts_with("resolvers: asked for"), "{notes:?}");
        assert!(notes[1].starts_with("zk: the user"), "{notes:?}");
    }

    #[test]
    fn every_setting_is_taken_over_or_noted() {
        let (config, notes) = imported(
            r#"{"masters": ["10.0.0.1:5050", "10.0.0.2:5050"], "refreshSeconds": 30, "ttl": 5,
                "domain": "Cluster", "port": 5353, "listener": "127.0.0.1", "httpport": 8124,
                "resolvers": ["192.0.2.1", "192.0.2.2:53"], "timeout": 7,
                "zoneResolvers": {"weave": ["192.0.2.3"]}, "externalOn": true, "recurseOn": true,
                "SOAMname": "ns.example.com.", "SOARname": "root.example.com.", "SOARefresh": 60,
                "IPSources": ["mesos", "host"], "EnforceRFC952": true, "enumerationOn": false,
                "MesosHTTPSOn": true, "CACertFile": "ca.pem", "mesosAuthentication": "basic",
                "mesosCredentials": {"principal": "dns", "secret": "hidden"}, "email": "x",
                "SRVRecordDefaultWeight": 3, "stateTimeoutSeconds": 10, "bogus": 1}"#,
        );
        let zone = &config.dns.zones[0];
        assert_eq!(zone.domain.to_string(), "cluster");
        assert!(zone.rfc952);
        assert_eq!(
            zone.name_server.as_ref().unwrap().to_string(),
            "ns.example.com"
        );
        let registry::sources::Config::Mesos(mesos) = &config.sources["mesos"] else {
            panic!("{:?}", config.sources);
        };
        assert_eq!(
            (mesos.masters.len(), mesos.https, mesos.weight),
            (2, true, 3)
        );
        assert_eq!(mesos.auth.as_ref().unwrap().user.as_deref(), Some("dns"));
        let forward = &config.dns.forward;
        assert_eq!((forward.resolvers.len(), forward.zones.len()), (2, 1));
        assert_eq!(forward.timeout.get().as_secs(), 7);
        assert!(forward.clients.contains(&"10.0.0.0/8".parse().unwrap()));
        let keys: Vec<_> = notes
            .iter()
            .filter_map(|note| note.split(':').next())
            .collect();
        let expected = [
            "resolvers",
            "refreshSeconds",
            "mesosCredentials",
            "recurseOn",
            "SOARefresh",
            "bogus",
        ];
        assert_eq!(keys, expected);
        let text = import(
            r#"{"mesosAuthentication": "basic",
            "mesosCredentials": {"principal": "dns", "secret": "hidden"}}"#,
        );
        assert!(!format!("{text:?}").contains("hidden"));
    }

    #[test]
    fn what_is_no_configuration_is_said() {
        for (text, reason) in [
            ("[]", "no JSON object"),
            ("{", "no JSON object"),
            (r#"{"port": "x"}"#, "port: `\"x\"` can't be"),
            (r#"{"Port": 70000}"#, "Port: `70000` can't be"),
            (r#"{"listener": "a"}"#, "listener: `\"a\"` can't be"),
            (
                r#"{"mesosAuthentication": "x"}"#,
                "mesosAuthentication: `x` is not basic",
            ),
        ] {
            let error = import(text).unwrap_err();
            assert!(error.starts_with(reason), "{text}: {error}");
        }
    }
}
