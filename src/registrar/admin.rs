//! Registers at a signpost's admin API, with a lease.

use std::time::Duration;

use bytes::Bytes;
use config::Secret;
use http::{Method, StatusCode};
use registry::{InstanceId, Registration, ServiceName};
use tokio::time::Instant;

use crate::http_client;

/// The lease: an agent that dies takes its instance with it after this time.
const TTL: Duration = Duration::from_secs(15);

/// How often the lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The admin API as a target.
#[derive(Debug)]
pub(crate) struct Admin {
    url: String,
    token: Option<Secret>,
    /// When the instance was last put; none while it isn't registered.
    put_at: Option<Instant>,
    removed: bool,
}

impl Admin {
    pub(super) fn new(url: &str, token: Option<Secret>) -> Self {
        Self {
            url: url.to_owned(),
            token,
            put_at: None,
            removed: false,
        }
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
    ) -> Result<(), String> {
        if self.put_at.is_some_and(|at| at.elapsed() < RENEW_EVERY) {
            return Ok(());
        }
        let mut body = serde_json::to_value(registration).map_err(|error| error.to_string())?;
        body["ttl"] = format!("{}s", TTL.as_secs()).into();
        let reply = self
            .send(Method::PUT, service, id, body.to_string())
            .await?;
        if !reply.status.is_success() {
            return Err(reply.problem());
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
    ) -> Result<(), String> {
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
            _ => return Err(reply.problem()),
        }
        self.put_at = None;
        self.removed = true;
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        service: &ServiceName,
        id: &InstanceId,
        body: String,
    ) -> Result<http_client::Reply, String> {
        let path = format!("/v1/services/{service}/instances/{id}");
        let (token, body) = (self.token.as_ref(), Bytes::from(body));
        http_client::send(&self.url, method, &path, token, body, PATIENCE).await
    }
}
