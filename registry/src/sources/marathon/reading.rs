//! Asking a Marathon, and whom it says to ask instead.

use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::event::KINDS;
use crate::http::{Body, Client, Failure, Request, Response};

/// The most redirects that are followed to the leader.
const REDIRECTS_MAX: usize = 3;

/// Asks Marathons.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) client: Client,
    /// The largest answer.
    pub(super) bytes_max: usize,
}

#[derive(Deserialize)]
struct All {
    apps: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct One {
    app: Box<RawValue>,
}

impl Reader {
    /// Reads all apps.
    pub(super) async fn all(&self, marathon: &Url) -> Result<Vec<Box<RawValue>>, Failure> {
        let what = "/v2/apps?embed=apps.tasks&embed=apps.deployments&embed=apps.readiness";
        let (url, response) = self
            .get(marathon, what, Request::get(marathon).accept)
            .await?;
        let text = self.body(&url, response).await?;
        let all: All = serde_json::from_slice(&text)
            .map_err(|error| Failure::new(&url, format!("no apps in JSON: {error}")))?;
        Ok(all.apps)
    }

    /// Reads one app; `None` when there is none of this id.
    pub(super) async fn one(
        &self,
        marathon: &Url,
        id: &str,
    ) -> Result<Option<Box<RawValue>>, Failure> {
        let what =
            format!("/v2/apps{id}?embed=app.tasks&embed=app.deployments&embed=app.readiness");
        let (url, response) = self
            .get(marathon, &what, Request::get(marathon).accept)
            .await?;
        // One that we may not see is none of ours.
        if matches!(
            response.status,
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN
        ) {
            return Ok(None);
        }
        let text = self.body(&url, response).await?;
        let one: One = serde_json::from_slice(&text)
            .map_err(|error| Failure::new(&url, format!("no app in JSON: {error}")))?;
        Ok(Some(one.app))
    }

    /// Listens to events; returns who tells them, and nothing where they aren't told at all.
    pub(super) async fn events(&self, marathon: &Url) -> Result<(Url, Option<Body>), Failure> {
        let kinds = KINDS.map(|kind| format!("&event_type={kind}")).concat();
        let what = format!("/v2/events?plan-format=light{kinds}");
        let (mut url, response) = self.get(marathon, &what, "text/event-stream").await?;
        let body = match response.status {
            StatusCode::OK => Some(response.body),
            StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_ACCEPTABLE
            | StatusCode::NOT_IMPLEMENTED => None,
            _ => return Err(self.client.refused(&url, response).await),
        };
        url.set_path("/");
        url.set_query(None);
        Ok((url, body))
    }

    /// Gets something from whoever has it, and says from whom.
    async fn get(
        &self,
        marathon: &Url,
        what: &str,
        accept: &'static str,
    ) -> Result<(Url, Response), Failure> {
        let join = |base: &Url, to: &str| {
            let joined = base.join(to);
            joined.map_err(|error| Failure::new(base, format!("`{to}`: {error}")))
        };
        let mut url = join(marathon, what)?;
        for _ in 0..=REDIRECTS_MAX {
            let request = Request {
                accept,
                ..Request::get(&url)
            };
            let response = self.client.send(request).await?;
            if !matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok((url, response));
            }
            let to = response.headers.get(header::LOCATION);
            let to = to.and_then(|to| to.to_str().ok()).unwrap_or_default();
            let next = join(&url, to)?;
            if url.scheme() == "https" && next.scheme() != "https" {
                return Err(Failure::new(
                    &url,
                    format!("it redirects to `{next}`, without TLS"),
                ));
            }
            url = next;
        }
        Err(Failure::new(&url, "it redirects again and again"))
    }

    async fn body(&self, url: &Url, response: Response) -> Result<bytes::Bytes, Failure> {
        match response.status {
            StatusCode::OK => self.client.collect(url, response, self.bytes_max).await,
            _ => Err(self.client.refused(url, response).await),
        }
    }
}
