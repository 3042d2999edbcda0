//! Which path is answered by what.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use hyper::body::Incoming;
use registry::{Controls, Snapshot};
use serde_json::Value;
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use super::{
    events, overview, page,
    request::{Rule, slashed},
    rules, state,
    storage::Storage,
};
use crate::{
    http_server::{
        Access, Api,
        aside::aside,
        body::{self, Body, Problem},
    },
    views::Views,
};

/// How many clients wait for events at a time.
const LISTENERS_MAX: usize = 128;

/// How long a writer waits until what it wrote is known here, too.
const SEEN_WITHIN: Duration = Duration::from_secs(2);

/// Answers as Bamboo does.
#[derive(Debug)]
pub(crate) struct Bamboo {
    pub(super) views: Views,
    pub(super) controls: Controls,
    /// Turns true when the process is about to end.
    pub(super) draining: watch::Receiver<bool>,
    pub(super) listeners: Semaphore,
    access: ArcSwap<Access>,
    /// The names of the sources of rules, and of those of apps.
    sources: ArcSwap<[Vec<String>; 2]>,
    /// Where rules are written; nowhere without a source of rules.
    storage: ArcSwap<Option<Storage>>,
}

impl Bamboo {
    pub(crate) fn new(
        views: Views,
        controls: Controls,
        draining: watch::Receiver<bool>,
        config: &crate::Config,
    ) -> Arc<Self> {
        let bamboo = Self {
            views,
            controls,
            draining,
            listeners: Semaphore::new(LISTENERS_MAX),
            access: ArcSwap::default(),
            sources: ArcSwap::default(),
            storage: ArcSwap::default(),
        };
        bamboo.configure(config);
        Arc::new(bamboo)
    }

    /// Goes on by another configuration.
    pub(crate) fn configure(&self, config: &crate::Config) {
        let of_kind = |kind: &str| {
            let sources = config.sources.iter();
            let sources = sources.filter(|(_, source)| source.kind() == kind);
            sources.map(|(name, _)| name.clone()).collect()
        };
        let sources = [of_kind("bamboo"), of_kind("marathon")];
        self.sources.store(Arc::new(sources));
        let bamboo = config.compat.bamboo.as_ref();
        let source = bamboo.and_then(|bamboo| bamboo.source(&config.sources).ok()?);
        let new = source.and_then(|source| Storage::new(source).ok());
        let old = self.storage.load_full();
        if new.as_ref().map(Storage::place) != old.as_ref().as_ref().map(Storage::place) {
            self.storage.store(Arc::new(new));
        }
    }

    /// Decides by `access` from now on who is let in.
    pub(crate) fn set_access(&self, access: Access) {
        self.access.store(Arc::new(access));
    }

    async fn route(
        self: &Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Problem> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        if path == "/api/marathon/event_callback" && parts.method == Method::POST {
            // Marathon tells by its stream, so that nothing is to be done.
            body::read(body).await?;
            return Ok(text(StatusCode::OK, "Got it!"));
        }
        let is_read = matches!(parts.method, Method::GET | Method::HEAD);
        if path == "/status" && is_read {
            // Health checks come by any name, or by none.
            return Ok(text(StatusCode::OK, "OK"));
        }
        self.access.load().check(&parts)?;
        match path {
            "/api/state" if is_read => {
                let snapshot = self.known(true)?;
                Ok(compact(&aside(move || state::state(&snapshot)).await?))
            }
            "/api/services" if is_read => {
                let snapshot = self.known(false)?;
                Ok(compact(&aside(move || state::services(&snapshot)).await?))
            }
            "/api/services" if parts.method == Method::POST => self.write(None, body).await,
            "/api/overview" if is_read => {
                let (snapshot, dynamic) = (self.known(true)?, self.views.dynamic());
                let dynamic = Arc::clone(&dynamic.borrow());
                let shown = aside(move || overview::overview(&snapshot, &dynamic)).await?;
                Ok(compact(&shown))
            }
            "/api/events" if is_read => events::stream(self),
            _ => match path.strip_prefix("/api/services/") {
                Some(id) if parts.method == Method::PUT => {
                    let id = decoded(id)?;
                    self.write(Some(&id), body).await
                }
                Some(id) if parts.method == Method::DELETE => self.delete(&decoded(id)?).await,
                Some(_) | None if is_read => {
                    page::file(path).ok_or_else(|| Problem::not_found(nothing_at(path)))
                }
                _ => Err(not_here(&parts)),
            },
        }
    }

    /// Returns what is known, once all rules are, and all apps where they matter.
    fn known(&self, with_apps: bool) -> Result<Arc<Snapshot>, Problem> {
        let snapshot = self.controls.snapshot();
        let sources = self.sources.load();
        let [rules, apps] = &**sources;
        let apps = apps.iter().filter(|_| with_apps);
        let mut needed = rules.iter().chain(apps);
        match needed.find(|name| !snapshot.has_heard(name)) {
            None => Ok(snapshot),
            Some(first) => Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("source `{first}` hasn't told what it has"),
            )),
        }
    }

    /// Writes a rule; `id` is that of the path, if it has one.
    async fn write(&self, id: Option<&str>, body: Incoming) -> Result<Response<Body>, Problem> {
        let bytes = body::read(body).await?;
        let rule = Rule::parse(&bytes, id).map_err(Problem::bad_request)?;
        registry::sources::bamboo::check_id(&rule.id).map_err(Problem::bad_request)?;
        let config = rule.stored();
        rules::check(&config).map_err(Problem::bad_request)?;
        let storage = self.storage.load_full();
        let storage = storage.as_ref().as_ref().ok_or_else(nowhere)?;
        let written = storage.put(&rule.id, &config).await;
        written.map_err(Problem::bad_request)?;
        self.wait(&rule.id, |known| known == Some(&config)).await;
        Ok(compact(&rule.answer()))
    }

    async fn delete(&self, id: &str) -> Result<Response<Body>, Problem> {
        if id.is_empty() {
            return Err(Problem::bad_request("can not use empty ID"));
        }
        let id = slashed(id);
        let storage = self.storage.load_full();
        let storage = storage.as_ref().as_ref().ok_or_else(nowhere)?;
        storage.delete(&id).await.map_err(Problem::bad_request)?;
        self.wait(&id, |known| known.is_none()).await;
        Ok(compact(&Value::Null))
    }

    /// Waits until the registry has heard what was written, so that who reads next finds it.
    async fn wait(&self, id: &str, is_so: impl Fn(Option<&rules::Settings>) -> bool) {
        let mut snapshots = self.controls.snapshots();
        let seen = snapshots.wait_for(|snapshot| {
            let mut rules = state::rules(snapshot);
            is_so(rules.find(|rule| *rule.id == *id).map(|rule| &rule.config))
        });
        // It is written all the same.
        timeout(SEEN_WITHIN, seen).await.ok();
    }
}

impl Api for Bamboo {
    fn name(&self) -> &'static str {
        "bamboo"
    }

    fn answer(self: Arc<Self>, request: Request<Incoming>) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            let result = self.route(request).await;
            result.unwrap_or_else(|problem| {
                // In text, as Bamboo says it.
                let mut response = text(problem.status, format!("{}\n", problem.detail));
                let value = HeaderValue::from_static("Bearer");
                if problem.status == StatusCode::UNAUTHORIZED {
                    response
                        .headers_mut()
                        .insert(header::WWW_AUTHENTICATE, value);
                }
                response
            })
        })
    }
}

fn text(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response<Body> {
    body::with_type(status, "text/plain; charset=utf-8", text)
}

/// Makes a JSON response as Bamboo writes it.
fn compact(value: &Value) -> Response<Body> {
    body::with_type(StatusCode::OK, "application/json", value.to_string())
}

fn nowhere() -> Problem {
    Problem::bad_request("there is no source `bamboo`, whose rules could be changed")
}

fn nothing_at(path: &str) -> String {
    format!("there is nothing at {path}")
}

fn not_here(parts: &Parts) -> Problem {
    let detail = format!("{} is not for {}", parts.method, parts.uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// Reads an id in a path, with or without escapes.
fn decoded(id: &str) -> Result<String, Problem> {
    // A query's escapes are those of a path, but for the plus.
    let escaped = id
        .replace('+', "%2B")
        .replace('&', "%26")
        .replace('=', "%3D");
    let mut pairs = url::form_urlencoded::parse(escaped.as_bytes());
    let id = pairs.next().map(|(id, _)| id.into_owned());
    id.ok_or_else(|| Problem::bad_request("can not use empty ID"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_paths_may_be_escaped() {
        for (path, id) in [
            ("web", "web"),
            ("/group/web", "/group/web"),
            ("%2Fgroup%2Fa%20b+c", "/group/a b+c"),
            ("a=b&c", "a=b&c"),
        ] {
            assert_eq!(decoded(path).unwrap(), id);
        }
        assert_eq!(decoded("").unwrap_err().status, StatusCode::BAD_REQUEST);
    }
}
