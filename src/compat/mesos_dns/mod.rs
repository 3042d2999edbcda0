//! The HTTP API of Mesos-DNS: the same paths and the same JSON.
//!
//! It tells what the zone has that it is configured for. It differs in that `/v1/config` has no secrets, and
//! that the serial number is the zone's.

mod config;
mod enumerate;
mod import;
mod json;
mod names;
mod settings;

pub use self::config::Config;
pub(crate) use self::import::{Imported, import};

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use registry::Controls;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{
    http_server::{
        Api,
        aside::in_turn,
        body::{self, Body, Problem},
    },
    views::Views,
};

/// Answers as Mesos-DNS does.
#[derive(Debug)]
pub(crate) struct MesosDns {
    views: Views,
    controls: Controls,
    shown: ArcSwap<Shown>,
    /// The place of the one who lists everything, so that others wait.
    whole: Arc<Semaphore>,
}

/// What the configuration says.
#[derive(Debug, Default)]
struct Shown {
    /// The zone's.
    domain: String,
    enumeration: bool,
    /// How often a master without a stream is asked, in seconds.
    refresh: u64,
    config: Value,
}

impl MesosDns {
    pub(crate) fn new(views: Views, controls: Controls, config: &crate::Config) -> Arc<Self> {
        Arc::new(Self {
            views,
            controls,
            shown: ArcSwap::from_pointee(Shown::of(config)),
            whole: Arc::new(Semaphore::new(1)),
        })
    }

    /// Goes on by another configuration.
    pub(crate) fn configure(&self, config: &crate::Config) {
        self.shown.store(Arc::new(Shown::of(config)));
    }

    async fn route(&self, request: &Request<Incoming>) -> Result<Value, Problem> {
        let path = request.uri().path();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let ["v1", segments @ ..] = segments.as_slice() else {
            return Err(nothing_at(path));
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let detail = format!("{} is not GET", request.method());
            return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail));
        }
        if !takes_json(request.headers()) {
            let detail = "everything here is application/json";
            return Err(Problem::new(StatusCode::NOT_ACCEPTABLE, detail));
        }
        let (shown, zones) = (self.shown.load_full(), self.views.zones().load_full());
        match segments {
            ["version"] => Ok(json!({
                "Service": "Mesos-DNS",
                "URL": "https://github.com/mesosphere/mesos-dns",
                "Version": concat!("signpost ", env!("CARGO_PKG_VERSION")),
            })),
            ["config"] => Ok(shown.config.clone()),
            ["hosts", host] => Ok(names::hosts(&zones, host)),
            ["services", service] => Ok(names::services(&zones, service)),
            ["enumerate"] if shown.enumeration => {
                let snapshot = self.controls.snapshot();
                let list = move || enumerate::tasks(&zones, &shown.domain, &snapshot);
                in_turn(&self.whole, list).await
            }
            ["axfr"] if shown.enumeration => {
                let list = move || enumerate::zone(&zones, &shown.domain, shown.refresh);
                in_turn(&self.whole, list).await
            }
            _ => Err(nothing_at(path)),
        }
    }
}

impl Api for MesosDns {
    fn name(&self) -> &'static str {
        "mesos-dns"
    }

    fn answer(self: Arc<Self>, request: Request<Incoming>) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            if request.uri().path().starts_with("/v1/hosts/")
                && request.uri().path().ends_with("/ports")
            {
                let text = "To be implemented...".to_owned();
                return body::with_type(StatusCode::NOT_IMPLEMENTED, "text/plain", text);
            }
            match self.route(&request).await {
                Ok(value) => {
                    body::with_type(StatusCode::OK, "application/json", json::text(&value))
                }
                Err(problem) => {
                    let mut response = problem.response();
                    if problem.status == StatusCode::METHOD_NOT_ALLOWED {
                        let allowed = HeaderValue::from_static("GET, HEAD");
                        response.headers_mut().insert(header::ALLOW, allowed);
                    }
                    response
                }
            }
        })
    }
}

fn nothing_at(path: &str) -> Problem {
    Problem::not_found(format!("there is nothing at {path}"))
}

/// Tells whether a client takes what there is.
fn takes_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return true;
    }
    let ranges = values.filter_map(|value| value.to_str().ok());
    let mut ranges = ranges.flat_map(|value| value.split(','));
    ranges.any(|range| {
        let kind = range.split(';').next().unwrap_or_default().trim();
        matches!(kind, "*/*" | "application/*" | "application/json")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_for_whoever_takes_it_or_says_nothing() {
        for (accept, takes) in [
            (None, true),
            (Some("*/*"), true),
            (Some("application/json"), true),
            (Some("text/html, application/*;q=0.5"), true),
            (Some("text/html"), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(takes_json(&headers), takes, "{accept:?}");
        }
    }
}
