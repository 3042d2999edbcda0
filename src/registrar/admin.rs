//! Registers at a signpost's admin API, with a lease.

use std::time::Duration;

use bytes::Bytes;
use config::Secret;
use http::{Method, StatusCode};
use registry::{InstanceId, Registration, ServiceName};
use tokio::time::Instant;

use super::trouble::Trouble;
use crate::http_client::{self, Reply};

/// The lease, and what a check may take is added: an agent that dies takes its instance with it after
/// this time.
const TTL: Duration = Duration::from_secs(15);

/// The longest lease that the API grants.
const TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How often the lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The admin API as a target.
#[derive(Debug)]
pub(crate) struct Admin {
    url: String,
    token: Option<Secret>,
    ttl: Duration,
    /// When the instance was last put; none while it isn't registered.
    put_at: Option<Instant>,
    removed: bool,
    /// Whether a registration was sent that may have been taken, and hasn't been removed since.
    may_hold: bool,
}

impl Admin {
    /// Makes a target whose lease outlives a pause between two renewals.
    pub(super) fn new(url: &str, token: Option<Secret>, pause: Duration) -> Self {
        Self {
            url: url.to_owned(),
            token,
            ttl: TTL.saturating_add(pause).min(TTL_MAX),
            put_at: None,
            removed: false,
            may_hold: false,
        }
    }

    /// Returns whether this process may have left the instance there.
    pub(super) fn may_hold(&self) -> bool {
        self.may_hold
    }

    /// Returns `host:port`.
    pub(super) fn address(&self) -> Result<String, String> {
        let url = http_client::parse(&self.url)?;
        let port = url.port_or_known_default().unwrap_or(80);
        Ok(format!("{}:{port}", url.host_str().unwrap_or_default()))
    }

    pub(super) async fn keep(
        &mut self,
        service: &ServiceName,
        id: &InstanceId,
        registration: &Registration,
    ) -> Result<(), Trouble> {
        if self.put_at.is_some_and(|at| at.elapsed() < RENEW_EVERY) {
            return Ok(());
        }
        let mut body = serde_json::to_value(registration)
            .map_err(|error| Trouble::Passing(error.to_string()))?;
        body["ttl"] = format!("{}ms", self.ttl.as_millis()).into();
        self.may_hold = true;
        let reply = self
            .send(Method::PUT, service, id, body.to_string())
            .await?;
        if !reply.status.is_success() {
            return Err(trouble(&reply));
        }
        if self.put_at.is_none() {
            tracing::info!(%service, %id, to = %self.url, "registered");
        }
        self.put_at = Some(Instant::now());
        self.removed = false;
        Ok(())
    }

    pub(super) async fn remove(
        &mut self,
        service: &ServiceName,
        id: &InstanceId,
    ) -> Result<(), Trouble> {
        if self.removed {
            return Ok(());
        }
        let reply = self
            .send(Method::DELETE, service, id, String::new())
            .await?;
        match reply.status {
            StatusCode::NOT_FOUND => {}
            status if status.is_success() => {
                tracing::info!(%service, %id, to = %self.url, "removed");
            }
            _ => return Err(trouble(&reply)),
        }
        self.put_at = None;
        self.removed = true;
        self.may_hold = false;
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        service: &ServiceName,
        id: &InstanceId,
        body: String,
    ) -> Result<Reply, Trouble> {
        let path = format!("/v1/services/{service}/instances/{id}");
        let (token, body) = (self.token.as_ref(), Bytes::from(body));
        let sent = http_client::send(&self.url, method, &path, token, body, PATIENCE);
        sent.await.map_err(Trouble::Passing)
    }
}

fn trouble(reply: &Reply) -> Trouble {
    match reply.status {
        StatusCode::BAD_REQUEST
        | StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        // No source takes registrations.
        | StatusCode::NOT_IMPLEMENTED => Trouble::Refused(reply.problem()),
        _ => Trouble::Passing(reply.problem()),
    }
}
