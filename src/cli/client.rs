//! How client verbs speak with a running signpost.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use clap::Args;
use config::Secret;
use http::{Method, StatusCode};

use super::Failure;
use crate::http_client::{self, Reply};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says where the server is.
#[derive(Debug, Clone, Args)]
pub(super) struct Client {
    /// The admin API of the server to speak with
    #[arg(
        long,
        value_name = "URL",
        env = "SIGNPOST_ADMIN",
        default_value = "http://127.0.0.1:8081"
    )]
    admin: String,
    /// A file with the token that changes need, if the server wants one
    #[arg(long, value_name = "FILE", env = "SIGNPOST_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl Client {
    /// Gets what is at `path`, as JSON.
    pub(super) async fn get(&self, path: &str) -> Result<serde_json::Value, Failure> {
        self.request(Method::GET, path).await
    }

    /// Gets what is at `path`, as JSON; `None` when there is nothing.
    pub(super) async fn find(&self, path: &str) -> Result<Option<serde_json::Value>, Failure> {
        let reply = self.ask(Method::GET, path).await?;
        match reply.status {
            StatusCode::NOT_FOUND => Ok(None),
            _ => self.json(&good(reply)?).map(Some),
        }
    }

    /// Gets what is at `path`, as text.
    pub(super) async fn get_text(&self, path: &str) -> Result<String, Failure> {
        let reply = self.send(Method::GET, path).await?;
        String::from_utf8(reply.body.into()).map_err(|error| {
            let admin = &self.admin;
            Failure::failed(format!("{admin} didn't answer with text: {error}"))
        })
    }

    /// Sends a request without a body and returns the JSON of a good answer.
    pub(super) async fn request(
        &self,
        method: Method,
        path: &str,
    ) -> Result<serde_json::Value, Failure> {
        let reply = self.send(method, path).await?;
        self.json(&reply)
    }

    fn json(&self, reply: &Reply) -> Result<serde_json::Value, Failure> {
        serde_json::from_slice(&reply.body).map_err(|error| {
            let admin = &self.admin;
            Failure::failed(format!("{admin} didn't answer with JSON: {error}"))
        })
    }

    /// Sends a request without a body and returns a good answer.
    async fn send(&self, method: Method, path: &str) -> Result<Reply, Failure> {
        let reply = self.ask(method, path).await?;
        good(reply)
    }

    /// Sends a request without a body and returns any answer.
    async fn ask(&self, method: Method, path: &str) -> Result<Reply, Failure> {
        let token = self.token()?;
        let sent = http_client::send(
            &self.admin,
            method,
            path,
            token.as_ref(),
            Bytes::new(),
            PATIENCE,
        );
        sent.await.map_err(Failure::failed)
    }

    fn token(&self) -> Result<Option<Secret>, Failure> {
        let token = self.token_file.as_deref().map(Secret::load).transpose();
        token.map_err(|reason| Failure::usage(format!("--token-file: {reason}")))
    }
}

fn good(reply: Reply) -> Result<Reply, Failure> {
    match reply.status.is_success() {
        true => Ok(reply),
        false => Err(Failure::failed(reply.problem())),
    }
}
