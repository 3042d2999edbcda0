//! Which path is answered by what.

use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::{
    Admin,
    body::{Body, Problem},
    drain, events, explain, health, metrics, registrations, reload, services, sources, zones,
};

/// Answers any request.
pub(super) async fn answer(admin: Arc<Admin>, request: Request<Incoming>) -> Response<Body> {
    match route(admin, request).await {
        Ok(response) => response,
        Err(problem) => {
            let mut response = problem.response();
            if problem.status == StatusCode::UNAUTHORIZED {
                let bearer = HeaderValue::from_static("Bearer");
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, bearer);
            }
            response
        }
    }
}

async fn route(admin: Arc<Admin>, request: Request<Incoming>) -> Result<Response<Body>, Problem> {
    let (parts, body) = request.into_parts();
    admin.access.load().check(&parts)?;
    let path = parts.uri.path().trim_end_matches('/').to_owned();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    // HEAD is GET without the body, which hyper leaves out.
    let method = match &parts.method {
        &Method::HEAD => &Method::GET,
        method => method,
    };
    let known: &[&Method] = match (method, segments.as_slice()) {
        (&Method::GET, ["healthz" | "health" | "livez"]) => return Ok(health::alive()),
        (&Method::GET, ["readyz" | "ready"]) => return health::ready(&admin).await,
        (&Method::GET, ["metrics"]) => return metrics::show(&admin).await,
        (&Method::GET, ["v1", "services"]) => return Ok(services::list(&admin)),
        (&Method::GET, ["v1", "services", name]) => {
            return services::show(&admin, name, &query).await;
        }
        (&Method::PUT, ["v1", "services", service, "instances", id]) => {
            return registrations::put(&admin, service, id, body).await;
        }
        (&Method::DELETE, ["v1", "services", service, "instances", id]) => {
            return registrations::remove(&admin, service, id).await;
        }
        (&Method::POST, ["v1", "services", service, "instances", id, "renew"]) => {
            return registrations::renew(&admin, service, id).await;
        }
        (&Method::GET, ["v1", "services", service, "instances", id, "drain"]) => {
            return drain::show(&admin, service, id);
        }
        (&Method::POST, ["v1", "services", service, "instances", id, "drain"]) => {
            return drain::set(&admin, service, id, true).await;
        }
        (&Method::DELETE, ["v1", "services", service, "instances", id, "drain"]) => {
            return drain::set(&admin, service, id, false).await;
        }
        (&Method::GET, ["v1", "sources"]) => return sources::list(&admin).await,
        (&Method::GET, ["v1", "zones"]) => return zones::list(&admin).await,
        (&Method::GET, ["v1", "zones", domain]) => return zones::show(&admin, domain).await,
        (&Method::GET, ["v1", "events"]) => return events::stream(admin),
        (&Method::GET, ["v1", "explain", "dns", name]) => {
            return explain::name(&admin, name).await;
        }
        (&Method::GET, ["v1", "explain", "route"]) => return explain::route(&admin, &query).await,
        (&Method::POST, ["v1", "reload"]) => return reload::reload(&admin).await,
        (_, ["v1", "services", _, "instances", _, "drain"]) => {
            &[&Method::GET, &Method::POST, &Method::DELETE]
        }
        (_, ["v1", "services", _, "instances", _]) => &[&Method::PUT, &Method::DELETE],
        (_, ["v1", "services", _, "instances", _, "renew"] | ["v1", "reload"]) => &[&Method::POST],
        (
            _,
            ["healthz" | "readyz" | "metrics"]
            | ["v1", "services" | "sources" | "zones" | "events"]
            | ["v1", "services" | "zones", _]
            | ["v1", "explain", ..],
        ) => &[&Method::GET],
        _ => return Err(Problem::not_found(format!("there is nothing at {path}"))),
    };
    Ok(not_allowed(&parts.method, known, &path))
}

/// Says which methods there are for a path.
fn not_allowed(method: &Method, known: &[&Method], path: &str) -> Response<Body> {
    let allowed: Vec<&str> = known.iter().map(|method| method.as_str()).collect();
    let allowed = allowed.join(", ");
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not one of {allowed} for {path}"),
    );
    let mut response = problem.response();
    let allowed = HeaderValue::from_str(&allowed).expect("names of methods are plain text");
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

/// Holds the parameters of a query.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    fn parse(text: &str) -> Self {
        let pairs = url::form_urlencoded::parse(text.as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// Returns the first value of this name.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// Lists all values of this name.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.0.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }
}
