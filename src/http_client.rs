//! A small HTTP/1.1 client, for the admin API and for checks.

use std::time::Duration;

use bytes::Bytes;
use config::Secret;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::{Position, Url};

/// How large an answer may be.
const REPLY_BYTES_MAX: usize = 256 << 20;

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Reply {
    /// Returns what the problem document says, or the status.
    pub(crate) fn problem(&self) -> String {
        let document: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        let detail = document
            .as_ref()
            .and_then(|document| document.get("detail")?.as_str());
        detail.map_or_else(|| format!("the answer was {}", self.status), str::to_owned)
    }
}

/// Sends a request about `path`, below the URL `base`, on a connection of its own.
///
/// # Errors
///
/// Returns in words what went wrong, with the URL.
pub(crate) async fn send(
    base: &str,
    method: Method,
    path: &str,
    token: Option<&Secret>,
    body: Bytes,
    patience: Duration,
) -> Result<Reply, String> {
    let url = parse(base)?;
    let target = format!("{}{path}", url.path().trim_end_matches('/'));
    let exchange = exchange(&url, method, &target, token, body);
    within(patience, base, exchange).await
}

/// Gets what is at a URL, path and query as they are, on a connection of its own.
///
/// # Errors
///
/// Returns in words what went wrong, with the URL.
pub(crate) async fn fetch(text: &str, patience: Duration) -> Result<Reply, String> {
    let url = parse(text)?;
    let target = &url[Position::BeforePath..Position::AfterQuery];
    let exchange = exchange(&url, Method::GET, target, None, Bytes::new());
    within(patience, text, exchange).await
}

async fn within(
    patience: Duration,
    url: &str,
    exchange: impl Future<Output = Result<Reply, String>>,
) -> Result<Reply, String> {
    match tokio::time::timeout(patience, exchange).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(reason)) => Err(format!("{url}: {reason}")),
        Err(_) => Err(format!("{url}: no answer within {patience:?}")),
    }
}

/// Reads an `http://host:port` URL.
///
/// # Errors
///
/// Returns in words why it is none.
pub(crate) fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}` is not a URL: {error}"))?;
    match (url.scheme(), url.host_str()) {
        ("http", Some(_)) => Ok(url),
        _ => Err(format!(
            "`{text}` is not a URL such as http://127.0.0.1:8081"
        )),
    }
}

/// Sends a request for `target`, a path and perhaps a query, to the host of a URL.
async fn exchange(
    url: &Url,
    method: Method,
    target: &str,
    token: Option<&Secret>,
    body: Bytes,
) -> Result<Reply, String> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((bare, port))
        .await
        .map_err(|error| error.to_string())?;
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, format!("{host}:{port}"))
        .header(
            header::USER_AGENT,
            concat!("signpost/", env!("CARGO_PKG_VERSION")),
        );
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
    }
    let request = request
        .body(Full::new(body))
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), REPLY_BYTES_MAX).collect();
        Ok::<_, hyper::Error>((status, body.await))
    };
    // The connection ends by itself when the sender is dropped, or fails the exchange.
    let driven = tokio::spawn(connection);
    let exchanged = exchange.await;
    driven.abort();
    let (status, body) = exchanged.map_err(|error| error.to_string())?;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    Ok(Reply { status, body })
}
