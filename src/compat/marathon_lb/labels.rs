//! What the labels of an app say of its ports.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use proxy::{Algorithm, Auth, Balancer, PasswordHash};
use registry::App;

/// How the labels begin.
const PREFIX: &str = "HAPROXY_";

/// The labels of a whole app that are no port's; those of deployments are read by the source.
const OF_APPS: [&str; 9] = [
    "GROUP",
    "APP_ID",
    "DEPLOYMENT_GROUP",
    "DEPLOYMENT_ALT_PORT",
    "DEPLOYMENT_COLOUR",
    "DEPLOYMENT_STARTED_AT",
    "DEPLOYMENT_TARGET_INSTANCES",
    "DEPLOYMENT_NEW_INSTANCES",
    "TASK_ID",
];

/// Words in a template of HAProxy's by which it keeps somebody away: without them the port would be open.
const RESTRICTING: [&str; 5] = ["deny", "reject", "tarpit", "auth", "verify"];

/// What stands in front of a port's label, and after its number.
type Named = (String, String);

/// The labels of an app.
#[derive(Debug)]
pub(super) struct Labels {
    /// By the app's ports.
    pub(super) ports: Vec<PortLabels>,
}

/// What the labels of one port say.
#[derive(Debug, Clone, Default)]
pub(super) struct PortLabels {
    groups: Vec<String>,
    pub(super) vhosts: Vec<String>,
    pub(super) path: Option<String>,
    pub(super) weight: i32,
    pub(super) mode: Mode,
    pub(super) balancer: Option<Balancer>,
    /// Whether requests of one address go to one instance.
    pub(super) by_client: bool,
    pub(super) sticky: bool,
    pub(super) enabled: bool,
    pub(super) redirect_to_https: bool,
    pub(super) hsts: bool,
    pub(super) bind_addr: Option<IpAddr>,
    pub(super) service_port: u16,
    /// Whether the service port isn't listened on, as it would be open to more than its labels say.
    pub(super) is_unlistened: bool,
    pub(super) allowed: Vec<IpNet>,
    /// The password that is asked for where a host leads here.
    pub(super) auth: Option<Auth>,
    pub(super) proxypass_path: Option<String>,
    pub(super) revproxy_path: Option<String>,
    pub(super) redirect_path: Option<String>,
    /// The label because of which the port has no routes, and why.
    pub(super) closed: Option<(&'static str, String)>,
}

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mode {
    #[default]
    Http,
    Tcp,
}

impl Labels {
    /// Reads the labels of an app; also returns what can't be used, by the labels.
    pub(super) fn of(app: &App, is_strict: bool) -> (Self, Vec<Named>) {
        let mut problems = Vec::new();
        let label = |name: &str| app.labels.get(format!("{PREFIX}{name}").as_str());
        let groups = label("GROUP").map(|text| list(text)).unwrap_or_default();
        let mut ports: Vec<_> = (0..app.ports.len())
            .map(|index| {
                let mut own = PortLabels {
                    groups: groups.clone(),
                    enabled: !is_strict,
                    service_port: app.ports[index].service_port,
                    ..PortLabels::default()
                };
                own.mode = match is_http(app, index) {
                    true => Mode::Http,
                    false => Mode::Tcp,
                };
                own
            })
            .collect();
        // A host makes HTTP of it; what the mode itself says counts in the end.
        let mut named: Vec<_> = app.labels.iter().filter_map(port_label).collect();
        named.sort_by_key(|(_, name, _)| *name == "MODE");
        for (index, name, value) in named {
            let shown = format!("{PREFIX}{index}_{name}");
            let result = match ports.get_mut(index) {
                Some(own) => own.take(name, value.trim()),
                None => Err(format!("the app has {} ports", app.ports.len())),
            };
            if let Err(reason) = result {
                problems.push((shown, reason));
            }
        }
        let others = app.labels.keys().filter_map(|key| key.strip_prefix(PREFIX));
        let others = others.filter(|name| !OF_APPS.contains(name) && port_of(name).is_none());
        problems.extend(others.map(|name| (format!("{PREFIX}{name}"), template(name))));
        (Self { ports }, problems)
    }

    /// Tells whether any port is for one of these groups.
    pub(super) fn is_any_for(&self, groups: &[String]) -> bool {
        self.ports.iter().any(|own| own.is_for(groups))
    }
}

impl PortLabels {
    /// Tells whether it is for one of these groups.
    pub(super) fn is_for(&self, groups: &[String]) -> bool {
        let mut all = groups.iter();
        all.any(|group| group == "*" || self.groups.contains(group))
    }

    /// Takes one label.
    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "GROUP" => self.groups = list(value),
            "VHOST" => {
                self.vhosts = list(&value.to_ascii_lowercase());
                self.mode = Mode::Http;
            }
            "PATH" => {
                self.path = Some(value.to_owned());
                if self.weight == 0 {
                    self.weight = 1;
                }
            }
            "BACKEND_WEIGHT" => self.weight = number(value)?,
            "MODE" => {
                self.mode = match value.to_ascii_lowercase().as_str() {
                    "http" => Mode::Http,
                    "tcp" => Mode::Tcp,
                    _ => return Err(format!("`{value}` is neither http nor tcp")),
                }
            }
            "BALANCE" => self.balance(value)?,
            "STICKY" => self.sticky = is_true(value),
            "ENABLED" => self.enabled = is_true(value),
            "REDIRECT_TO_HTTPS" => self.redirect_to_https = is_true(value),
            "USE_HSTS" => self.hsts = is_true(value),
            "BIND_ADDR" if value == "*" => self.bind_addr = None,
            "BIND_ADDR" => match value.parse() {
                Ok(address) => self.bind_addr = Some(address),
                Err(_) => return Err(self.unlistened(&format!("`{value}` is not an address"))),
            },
            "SSL_CERT" => return Err(self.unlistened("service ports don't speak TLS")),
            "BIND_OPTIONS" => return Err(self.unlistened("there are no options of HAProxy")),
            "PORT" => {
                let port = value.parse().ok().filter(|port| *port != 0);
                self.service_port = port.ok_or_else(|| format!("`{value}` is not a port"))?;
            }
            "AUTH" => match auth(value) {
                Ok(auth) => self.auth = Some(auth),
                Err(reason) => self.closed = Some(("AUTH", reason)),
            },
            "BACKEND_NETWORK_ALLOWED_ACL" => match networks(value) {
                Ok(networks) => self.allowed = networks,
                Err(reason) => self.closed = Some(("BACKEND_NETWORK_ALLOWED_ACL", reason)),
            },
            "BACKEND_HEALTHCHECK_PORT_INDEX" => {
                let index: usize = number(value)?;
                return Err(format!(
                    "the health check of port {index} says nothing of this one here"
                ));
            }
            "HTTP_BACKEND_PROXYPASS_PATH" => self.proxypass_path = Some(path(value)?),
            "HTTP_BACKEND_REVPROXY_PATH" => self.revproxy_path = Some(path(value)?),
            "HTTP_BACKEND_REDIR" => self.redirect_path = Some(path(value)?),
            name if RESTRICTING.iter().any(|word| value.contains(word)) => {
                let reason = format!("{}, and keeps somebody away", template(name));
                self.closed = Some(("template", reason));
            }
            name => return Err(template(name)),
        }
        Ok(())
    }

    /// Notes that the service port isn't listened on, and says why.
    fn unlistened(&mut self, reason: &str) -> String {
        self.is_unlistened = true;
        format!("{reason}; the service port is not listened on")
    }

    fn balance(&mut self, value: &str) -> Result<(), String> {
        let algorithm = match value.split_whitespace().next().unwrap_or_default() {
            "roundrobin" | "static-rr" => Algorithm::RoundRobin,
            "leastconn" => Algorithm::LeastRequest,
            "random" => Algorithm::Random,
            "source" => {
                self.by_client = true;
                return Ok(());
            }
            _ => {
                let known = "roundrobin, static-rr, leastconn, random and source";
                return Err(format!("`{value}` is none of {known}"));
            }
        };
        self.balancer = Some(algorithm.into());
        Ok(())
    }
}

/// Takes a port's label apart: the port's index, the name, and the value.
fn port_label<'a>((key, value): (&'a Arc<str>, &'a Arc<str>)) -> Option<(usize, &'a str, &'a str)> {
    let (index, name) = port_of(key.strip_prefix(PREFIX)?)?;
    Some((index, name, value))
}

fn port_of(name: &str) -> Option<(usize, &str)> {
    let (index, name) = name.split_once('_')?;
    Some((index.parse().ok()?, name))
}

/// Tells whether what is spoken on a port is HTTP, as far as its health check says.
fn is_http(app: &App, index: usize) -> bool {
    let of_port = app
        .checks
        .iter()
        .find(|check| check.port_index == Some(index));
    of_port.is_some_and(|check| check.protocol.contains("HTTP"))
}

fn template(name: &str) -> String {
    let name: String = name.chars().take(80).collect();
    format!("`{name}` is a template of HAProxy's configuration, or nothing that is known")
}

fn list(text: &str) -> Vec<String> {
    let items = text.split(',').map(str::trim).filter(|one| !one.is_empty());
    items.map(str::to_owned).collect()
}

fn is_true(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "t" | "yes" | "y"
    )
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a number"))
}

fn path(text: &str) -> Result<String, String> {
    let path = text.trim_end_matches('/');
    match text.starts_with('/') && !text.contains(char::is_whitespace) {
        true if path.is_empty() => Ok("/".to_owned()),
        true => Ok(path.to_owned()),
        false => Err(format!("`{text}` is not a path")),
    }
}

/// Reads `realm:user:hash`; the hash is never told.
fn auth(text: &str) -> Result<Auth, String> {
    let parts: Vec<_> = text.split(':').collect();
    let [realm, user, hash] = parts[..] else {
        return Err("it is not `realm:user:hash`".to_owned());
    };
    let auth = Auth {
        realm: realm.to_owned(),
        users: [(user.to_owned(), PasswordHash::new(hash))].into(),
    };
    match auth.problems().first() {
        None => Ok(auth),
        Some(problem) => Err(problem.to_string()),
    }
}

fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let all = text.split_whitespace().map(|one| {
        let address = || one.parse::<IpAddr>().map(IpNet::from);
        let network = one.parse::<IpNet>().or_else(|_| address());
        network.map_err(|_| format!("`{one}` is neither an address nor a network"))
    });
    let all: Vec<_> = all.collect::<Result<_, _>>()?;
    match all.is_empty() {
        true => Err("it names no network".to_owned()),
        false => Ok(all),
    }
}
