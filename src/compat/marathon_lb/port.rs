//! The routes to one port of an app, and its listener.

use std::{net::SocketAddr, sync::Arc};

use ipnet::IpNet;
use proxy::{
    HeaderEdits, Listener, LocationRewrite, Redirect, Respond, Rewrite, Route, Scheme, Sticky,
    Unless, ValueMatch,
};
use registry::{App, AppPort};

use super::{config::Config, labels::PortLabels};
use crate::compat::{
    acl,
    dynamic::{Draft, Wanted},
};

/// The cookie by which marathon-lb keeps a client at an instance.
const COOKIE: &str = "mesosphere_server_id";

/// For how long browsers are to use TLS alone, as marathon-lb tells them.
const HSTS: &str = "max-age=15768000";

/// The priority of what is for one port alone: hosts and weights don't matter there.
const AT_PORT: i32 = i32::MAX;

/// The header that names an app.
const APP_ID: &str = "x-marathon-app-id";

/// One port of an app that has routes.
pub(super) struct Port<'a> {
    pub(super) config: &'a Config,
    pub(super) app: &'a Arc<App>,
    pub(super) own: &'a PortLabels,
    pub(super) app_port: &'a AppPort,
    /// Whether it is the first one with routes, which `X-Marathon-App-Id` leads to.
    pub(super) is_first: bool,
}

type Problems = Vec<(&'static str, String)>;

impl Port<'_> {
    /// Adds routes and a listener; returns what can't be, by the labels.
    pub(super) fn add(&self, draft: &mut Draft<'_>) -> Problems {
        let mut problems = Problems::new();
        for host in &self.own.vhosts {
            for route in self.of_host(host, &mut problems) {
                self.put(draft, route, "VHOST", &mut problems);
            }
        }
        self.listen(draft, &mut problems);
        if let Some(listen) = self.config.app_id_listen.filter(|_| self.is_first) {
            let named = ValueMatch {
                name: APP_ID.to_owned(),
                exact: Some(self.app.id.to_string()),
                ..ValueMatch::default()
            };
            let route = Route {
                ports: vec![listen.port()],
                priority: AT_PORT,
                headers: vec![named],
                ..self.route()
            };
            self.put(draft, route, "VHOST", &mut problems);
        }
        problems
    }

    /// Adds a route, and where only some networks are allowed, one that refuses the others.
    fn put(
        &self,
        draft: &mut Draft<'_>,
        route: Route,
        label: &'static str,
        problems: &mut Problems,
    ) {
        let refusal = (!self.own.allowed.is_empty()).then(|| refusal(&route, &self.own.allowed));
        for route in [route].into_iter().chain(refusal) {
            if let Err(reason) = draft.add(route) {
                problems.push((label, reason));
            }
        }
    }

    /// Makes a route to the service, for any request.
    fn route(&self) -> Route {
        let own = self.own;
        let mut route = Route {
            name: Some(format!("marathon-lb:{}", self.app_port.service.as_str())),
            priority: own.weight,
            service: Some(self.app_port.service.clone()),
            balancer: own.balancer,
            // A host that is none is refused where it leads here, alone.
            location: own
                .revproxy_path
                .clone()
                .map(|path| LocationRewrite::new(&own.vhosts, path)),
            ..Route::default()
        };
        if own.sticky || own.by_client {
            route.sticky = Some(Sticky {
                cookie: own.sticky.then(|| COOKIE.to_owned()),
                client: !own.sticky,
                ..Sticky::default()
            });
        }
        if own.hsts {
            let header = ("strict-transport-security".to_owned(), HSTS.to_owned());
            route.response_headers = HeaderEdits {
                set: [header].into(),
                ..HeaderEdits::default()
            };
        }
        route
    }

    /// Makes the routes by which a host leads to the service.
    fn of_host(&self, host: &str, problems: &mut Problems) -> Vec<Route> {
        let base = Route {
            host: Some(host.to_owned()),
            // Service ports and ids of apps are for other services, and marathon-lb asks them nothing.
            auth: self.own.auth.clone(),
            ..self.route()
        };
        let mut routes = match (&self.own.path, &self.own.proxypass_path) {
            (Some(path), Some(proxypass)) if !is_path(path, proxypass) => {
                let reason = format!("`{proxypass}` is not what HAPROXY_n_PATH is");
                problems.push(("HTTP_BACKEND_PROXYPASS_PATH", reason));
                Vec::new()
            }
            (_, Some(proxypass)) => vec![proxied(&base, host, proxypass)],
            (Some(path), None) => match acl::routes_of_one(&format!("path_beg {path}"), &base) {
                Ok(routes) => routes,
                Err(reason) => {
                    problems.push(("PATH", reason));
                    Vec::new()
                }
            },
            (None, None) => vec![base.clone()],
        };
        if self.own.path.is_none() && self.own.proxypass_path.is_some() {
            let rewrite = Rewrite {
                host: Some(host.to_owned()),
                ..Rewrite::default()
            };
            routes.push(Route {
                rewrite: Some(rewrite),
                ..base.clone()
            });
        }
        // It is for requests that lead here; those for the root may lead elsewhere.
        let is_root = |path: &String| path.split_whitespace().any(|one| one == "/");
        let has_root = self.own.path.as_ref().is_none_or(is_root);
        if let Some(path) = self.own.redirect_path.as_ref().filter(|_| has_root) {
            let root = Route {
                path: Some("/".to_owned()),
                ..answering(&base)
            };
            routes.push(Route {
                redirect: Some(Redirect {
                    path: Some(path.clone()),
                    status: 301,
                    ..Redirect::default()
                }),
                ..root
            });
        }
        if self.own.redirect_to_https {
            let secured: Vec<_> = routes.iter().map(to_https).collect();
            routes.extend(secured);
        }
        routes
    }

    /// Adds the route of the service port, and has it listened on.
    fn listen(&self, draft: &mut Draft<'_>, problems: &mut Problems) {
        let port = self.own.service_port;
        if port == 0 || !self.config.service_ports || self.own.is_unlistened {
            return;
        }
        let listen = SocketAddr::new(self.own.bind_addr.unwrap_or(self.config.bind_addr), port);
        let wanted = Wanted {
            listener: Listener::http(listen),
            source: Arc::clone(&self.app.source),
            path: self.app.id.to_string(),
        };
        if let Err(reason) = draft.listen(wanted, self.config.listeners_max) {
            problems.push(("PORT", reason));
            return;
        }
        let route = Route {
            ports: vec![port],
            priority: AT_PORT,
            ..self.route()
        };
        self.put(draft, route, "PORT", problems);
    }
}

/// Has the port listened on where apps are named by a header; a request that names none is refused.
pub(super) fn app_id_listener(listen: SocketAddr, draft: &mut Draft<'_>) {
    let wanted = Wanted {
        listener: Listener::http(listen),
        source: "".into(),
        path: "compat.marathon_lb.app_id_listen".to_owned(),
    };
    let rest = Route {
        name: Some("marathon-lb:app-id".to_owned()),
        ports: vec![listen.port()],
        priority: AT_PORT - 1,
        respond: Some(Respond {
            status: 503,
            body: "no app has the id of X-Marathon-App-Id\n".to_owned(),
            ..Respond::default()
        }),
        ..Route::default()
    };
    let added = draft
        .listen(wanted, usize::MAX)
        .and_then(|()| draft.add(rest));
    if let Err(reason) = added {
        draft.refuse("", APP_ID, reason);
    }
}

/// Takes the prefix off the path, and gives the host of the route to the instances.
fn proxied(base: &Route, host: &str, prefix: &str) -> Route {
    Route {
        path_prefix: Some(prefix.to_owned()),
        rewrite: Some(Rewrite {
            strip_prefix: true,
            host: Some(host.to_owned()),
            ..Rewrite::default()
        }),
        ..base.clone()
    }
}

/// Tells whether the value of a label is this path alone.
fn is_path(value: &str, path: &str) -> bool {
    value.trim_end_matches('/') == path.trim_end_matches('/')
}

/// Returns a route for the same requests that leads nowhere as yet.
fn answering(route: &Route) -> Route {
    Route {
        service: None,
        balancer: None,
        sticky: None,
        rewrite: None,
        location: None,
        ..route.clone()
    }
}

/// Sends clients to the same place by TLS, as far as they aren't there.
fn to_https(route: &Route) -> Route {
    Route {
        scheme: Some(Scheme::Http),
        redirect: Some(Redirect {
            scheme: Some(Scheme::Https),
            status: 301,
            ..Redirect::default()
        }),
        // A password is better not sent in the clear.
        auth: None,
        ..answering(route)
    }
}

/// Refuses what comes from other networks.
fn refusal(route: &Route, allowed: &[IpNet]) -> Route {
    let allowed = Unless {
        clients: allowed.to_vec(),
        ..Unless::default()
    };
    let mut unless = route.unless.clone();
    unless.push(allowed);
    Route {
        unless,
        auth: None,
        redirect: None,
        respond: Some(Respond {
            status: 403,
            body: "the client's network is not allowed\n".to_owned(),
            ..Respond::default()
        }),
        ..answering(route)
    }
}
