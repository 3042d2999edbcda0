//! How to log in to a store that speaks HTTP.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use config::Secret;
use http::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use tokio::{sync::Mutex, time::Instant};
use url::Url;

use super::{Client, Request};

/// How long a signed claim is good for, in seconds: long enough to be exchanged for a token.
const CLAIM_SECONDS: u64 = 3_600;

/// How long a token is used; the servers take it for longer.
const TOKEN_USED_FOR: Duration = Duration::from_secs(1_800);

/// The most bytes of an answer with a token.
const TOKEN_BYTES_MAX: usize = 64 << 10;

/// Says who to log in as.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// How to log in.
    #[serde(default)]
    pub scheme: LoginScheme,
    /// The user's name; `basic` needs it.
    #[serde(default)]
    pub user: Option<String>,
    /// The file that holds the password; `basic` needs it. Read with each request.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The JSON file with `uid`, `private_key` and `login_endpoint`; `jwt` needs it. Read whenever a token
    /// is got, which is used for half an hour or until it is refused.
    #[serde(default)]
    pub account_file: Option<PathBuf>,
}

/// Names a way to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginScheme {
    /// User and password in each request (RFC 7617).
    #[default]
    Basic,
    /// A claim signed with a private key (RFC 7519, RS256) is exchanged for a token, as DC/OS does it.
    Jwt,
}

/// What a service account's file says.
#[derive(Deserialize)]
struct Account {
    uid: String,
    /// In PEM.
    private_key: String,
    login_endpoint: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    uid: &'a str,
    exp: u64,
}

impl Login {
    /// Lists what is missing; keys are relative to the table.
    pub(crate) fn problems(&self) -> Vec<config::Problem> {
        let missing: &[(&str, bool)] = match self.scheme {
            LoginScheme::Basic => &[
                ("user", self.user.is_none()),
                ("password_file", self.password_file.is_none()),
            ],
            LoginScheme::Jwt => &[("account_file", self.account_file.is_none())],
        };
        let missing = missing.iter().filter(|(_, is_missing)| *is_missing);
        missing
            .map(|(key, _)| config::Problem::new(*key, "is missing; this way to log in needs it"))
            .collect()
    }

    /// Returns the header `Authorization`, logging in first where that takes a request.
    pub(super) async fn header(&self, client: &Client) -> Result<HeaderValue, String> {
        let text = match self.scheme {
            LoginScheme::Basic => {
                let user = self.user.as_deref().unwrap_or_default();
                let password = match &self.password_file {
                    Some(path) => Secret::load(path)?,
                    None => Secret::new(""),
                };
                basic(user, &password)
            }
            LoginScheme::Jwt => {
                let path = self
                    .account_file
                    .as_deref()
                    .unwrap_or_else(|| Path::new(""));
                return client
                    .token
                    .get(async || header(&format!("token={}", token(client, path).await?)))
                    .await;
            }
        };
        header(&text)
    }
}

fn header(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::try_from(text).map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok(value)
}

/// A token that was got, for as long as it is used.
#[derive(Debug, Default)]
pub(super) struct Token(Mutex<Option<(HeaderValue, Instant)>>);

impl Token {
    /// Returns the token, or gets one when there is none that is young enough; one at a time.
    async fn get(
        &self,
        get: impl AsyncFnOnce() -> Result<HeaderValue, String>,
    ) -> Result<HeaderValue, String> {
        let mut held = self.0.lock().await;
        if let Some((token, since)) = &*held
            && since.elapsed() < TOKEN_USED_FOR
        {
            return Ok(token.clone());
        }
        let token = get().await?;
        *held = Some((token.clone(), Instant::now()));
        Ok(token)
    }

    /// Forgets the token that was refused, unless there is another one by now.
    pub(super) async fn forget(&self, refused: Option<&HeaderValue>) -> bool {
        let mut held = self.0.lock().await;
        let is_it = held.as_ref().map(|(token, _)| token) == refused;
        is_it && held.take().is_some()
    }
}

fn basic(user: &str, password: &Secret) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let pair = format!("{user}:{}", password.expose());
    format!("Basic {}", STANDARD.encode(pair))
}

/// Exchanges a signed claim for a token.
async fn token(client: &Client, path: &Path) -> Result<String, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read(path).map_err(|error| named(&error))?;
    let account: Account = serde_json::from_slice(&text).map_err(|error| named(&error))?;
    let url: Url = account
        .login_endpoint
        .parse()
        .map_err(|error| named(&error))?;
    let key = EncodingKey::from_rsa_pem(account.private_key.as_bytes());
    let key = key.map_err(|error| named(&format!("private_key: {error}")))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let claims = Claims {
        uid: &account.uid,
        exp: now.map_or(0, |now| now.as_secs()) + CLAIM_SECONDS,
    };
    let signed = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key)
        .map_err(|error| named(&error))?;
    let body = serde_json::json!({ "uid": account.uid, "token": signed }).to_string();
    let response = client.exchange(Request::post(&url, body), None).await;
    let response = response.map_err(|error| error.to_string())?;
    let status = response.status;
    let body = client.collect(&url, response, TOKEN_BYTES_MAX).await;
    let body = body.map_err(|error| error.to_string())?;
    if status != http::StatusCode::OK {
        return Err(format!("{url}: {}", super::client::told(status, &body)));
    }
    let answer: serde_json::Value = serde_json::from_slice(&body)
        .map_err(|error| format!("{url}: the answer is no JSON: {error}"))?;
    let token = answer.get("token").and_then(serde_json::Value::as_str);
    token
        .map(str::to_owned)
        .ok_or_else(|| format!("{url}: the answer has no `token`"))
}
