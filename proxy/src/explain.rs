//! Why a request goes where it goes.

use registry::{Exclusion, InstanceId, Origin, ServiceName, Snapshot};
use serde::Serialize;

use crate::{RouteTable, config, http, pool, route};

/// Explains where requests for one host and path go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The host as it is compared.
    pub host: String,
    /// The path as it is compared.
    pub path: String,
    /// The version of the snapshot that this is about.
    pub version: u64,
    /// What a request would come to, in words.
    pub verdict: String,
    /// The service that gets it.
    pub service: Option<ServiceName>,
    /// Every configured route, and why it is used or not.
    pub routes: Vec<RouteVerdict>,
    /// The instances that are asked.
    pub endpoints: Vec<EndpointState>,
    /// The instances that aren't.
    pub left_out: Vec<LeftOut>,
}

/// Says why a route is used or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouteVerdict {
    /// Its place in the configuration.
    pub index: usize,
    /// The route.
    #[serde(flatten)]
    pub route: config::Route,
    /// Whether it is the one.
    pub used: bool,
    /// Why, or why not.
    pub reason: &'static str,
}

/// Shows an instance that is asked, and how it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointState {
    /// Its id.
    pub id: InstanceId,
    /// Where it is asked.
    pub address: std::net::SocketAddr,
    /// Its share of requests, relative to the others.
    pub weight: u16,
    /// The lowest number is asked first.
    pub priority: u16,
    /// Requests it is busy with.
    pub in_flight: u64,
    /// How many times it was asked.
    pub requests: u64,
    /// How many times it failed.
    pub failures: u64,
    /// The record that it comes from.
    pub origin: Origin,
}

/// Shows an instance that isn't asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its id.
    pub id: InstanceId,
    /// Why.
    pub reason: String,
    /// The record that it comes from.
    pub origin: Origin,
}

impl RouteTable {
    /// Explains where a request goes; `snapshot` is the one that the table was made of.
    pub fn explain(&self, host: &str, path: &str, snapshot: &Snapshot) -> Explanation {
        let host = http::host::host(host).unwrap_or(host).to_ascii_lowercase();
        let path = path.split('?').next().unwrap_or_default();
        let normal = route::path::normalize(path, self.routes().path);
        let (path, refusal) = match &normal {
            Ok(normal) => (&**normal, None),
            Err(reason) => (path, Some(*reason)),
        };
        let matched = self.find(&host, path).filter(|_| refusal.is_none());
        let used = matched.and_then(|matched| matched.route);
        let all = self.routes().all.iter().enumerate();
        let mut explanation = Explanation {
            version: self.version(),
            verdict: match refusal {
                Some(reason) => format!("400: {reason}"),
                None => self.verdict(&host, path),
            },
            service: matched.map(|matched| matched.service.clone()),
            routes: all
                .map(|(at, one)| verdict(at, one, used, &host, path))
                .collect(),
            endpoints: Vec::new(),
            left_out: Vec::new(),
            path: path.to_owned(),
            host,
        };
        let service = matched.and_then(|matched| snapshot.service(matched.service.as_str()));
        let (Some(service), Some(pool)) = (service, matched.and_then(|matched| matched.pool))
        else {
            return explanation;
        };
        for instance in &service.instances {
            let (id, origin) = (instance.id.clone(), instance.origin.clone());
            match pool.endpoint_of(instance) {
                Some((priority, endpoint)) => explanation.endpoints.push(EndpointState {
                    id,
                    address: endpoint.address,
                    weight: instance.weight,
                    priority,
                    in_flight: endpoint.in_flight(),
                    requests: endpoint.requests(),
                    failures: endpoint.failures(),
                    origin,
                }),
                None => explanation.left_out.push(LeftOut {
                    id,
                    reason: exclusion(instance.exclusion(), pool::address(instance).is_some()),
                    origin,
                }),
            }
        }
        explanation
    }

    fn verdict(&self, host: &str, path: &str) -> String {
        match self.find(host, path) {
            None if self.is_unsynced() => {
                "503: nothing has this name, but not all sources are known yet".to_owned()
            }
            None => "404: no route matches, and no service has the host's name".to_owned(),
            Some(matched) => {
                let service = matched.service;
                let by = matched.route.map_or_else(
                    || "by its host".to_owned(),
                    |route| format!("by routes[{route}]"),
                );
                match matched.pool {
                    None => format!("503: {by} to `{service}`, which no source knows"),
                    Some(pool) if pool.is_empty() => {
                        format!("503: {by} to `{service}`, of which no instance can be asked")
                    }
                    Some(pool) => {
                        let priority = pool.first_priority().unwrap_or_default();
                        format!("{by} to `{service}`, instances of priority {priority} first")
                    }
                }
            }
        }
    }
}

fn verdict(
    index: usize,
    route: &config::Route,
    used: Option<usize>,
    host: &str,
    path: &str,
) -> RouteVerdict {
    let same_host = route
        .normal_host()
        .is_none_or(|wanted| match wanted.strip_prefix("*.") {
            Some(parent) => host
                .strip_suffix(parent)
                .is_some_and(|rest| rest.ends_with('.')),
            None => wanted == host,
        });
    let reason = match (used == Some(index), same_host) {
        (true, _) => "the most specific one that matches",
        (false, false) => "the host is another one",
        (false, true) if route::is_below(path, route.normal_path()) => {
            "it matches, but another one is more specific"
        }
        (false, true) => "the path is another one",
    };
    RouteVerdict {
        index,
        route: route.clone(),
        used: used == Some(index),
        reason,
    }
}

fn exclusion(exclusion: Option<Exclusion>, has_address: bool) -> String {
    match exclusion {
        Some(exclusion) => exclusion.to_string(),
        None if !has_address => "it has no TCP port".to_owned(),
        None => "it is not in this version".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use registry::{State, testing};

    use super::*;
    use crate::Config;

    #[test]
    fn an_explanation_names_who_is_asked_and_who_is_left_out_and_why() {
        let mut down = testing::instance("b", "127.0.0.1", 2);
        down.state = State::Down;
        let mut portless = testing::instance("c", "127.0.0.1", 2);
        portless.ports.clear();
        let instances = [testing::instance("a", "127.0.0.1", 1), down, portless];
        let snapshot = testing::snapshot(3, [testing::service_of("web", instances)]);
        let config: Config = toml::from_str(
            "[[routes]]\nhost = \"x\"\nservice = \"web\"\n\
             [[routes]]\npath_prefix = \"/a\"\nservice = \"web\"\n\
             [[routes]]\npath_prefix = \"/a/b\"\nservice = \"web\"",
        )
        .unwrap();
        let table = RouteTable::build(&config, &[], &snapshot, None);
        let explained = table.explain("Web:80", "/a/b?c", &snapshot);
        let reasons: Vec<_> = explained.routes.iter().map(|route| route.reason).collect();
        assert_eq!(
            reasons,
            [
                "the host is another one",
                "it matches, but another one is more specific",
                "the most specific one that matches",
            ]
        );
        assert_eq!(explained.endpoints[0].address.to_string(), "127.0.0.1:1");
        let left_out: Vec<_> = explained
            .left_out
            .iter()
            .map(|one| one.reason.as_str())
            .collect();
        assert_eq!(left_out, ["its state is down", "it has no TCP port"]);
        assert_eq!(explained.left_out[0].origin.path.as_ref(), "/test/b");
        let document = serde_json::to_value(&explained).unwrap();
        assert_eq!(document["routes"][2]["path_prefix"], "/a/b");
        let nowhere = table.explain("nobody", "/", &snapshot);
        assert!(nowhere.verdict.starts_with("404"), "{}", nowhere.verdict);
    }
}
