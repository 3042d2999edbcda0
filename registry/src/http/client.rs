//! Requests to a store, and answers that are read piece by piece.

use std::{fmt, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use config::ClientTls;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::AbortHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

use super::{Login, login::Token};

/// The most bytes of an answer that says what is wrong.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// Sends requests to the servers of one store.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    tls: Arc<ClientConfig>,
    login: Option<Login>,
    pub(super) token: Arc<Token>,
    /// How long a connection, and then the head of an answer, may take.
    patience: Duration,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    /// What is wanted, `Accept`.
    pub(crate) accept: &'static str,
    /// JSON, or nothing.
    pub(crate) body: Bytes,
}

impl<'a> Request<'a> {
    /// Asks for JSON.
    pub(crate) fn get(url: &'a Url) -> Self {
        Self {
            method: Method::GET,
            url,
            accept: "application/json",
            body: Bytes::new(),
        }
    }

    /// Sends JSON and asks for JSON.
    pub(crate) fn post(url: &'a Url, body: impl Into<Bytes>) -> Self {
        Self {
            method: Method::POST,
            body: body.into(),
            ..Self::get(url)
        }
    }
}

/// Says what went wrong with a request; the URL is part of the message.
#[derive(Debug)]
pub(crate) struct Failure {
    url: String,
    reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.reason)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    pub(crate) fn new(url: &Url, reason: impl fmt::Display) -> Self {
        let mut shown = url.clone();
        // What fails leaves the password as it is, and there is none where it can't be set.
        shown.set_password(None).ok();
        Self {
            url: shown.to_string(),
            reason: reason.to_string(),
        }
    }
}

/// An answer whose head has come.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// The body of an answer; the connection ends with it.
#[derive(Debug)]
pub(crate) struct Body {
    url: Url,
    incoming: Incoming,
    connection: AbortHandle,
}

impl Client {
    /// Reads certificates; credentials are read with each request, so that they can be changed.
    ///
    /// # Errors
    ///
    /// Returns in words which file can't be read or is no certificate.
    pub(crate) fn new(
        tls: &ClientTls,
        login: Option<Login>,
        patience: Duration,
    ) -> Result<Self, String> {
        Ok(Self {
            tls: Arc::new(tls.load()?),
            login,
            token: Arc::default(),
            patience,
        })
    }

    /// Sends a request and waits for the head of the answer, whatever its status.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Response, Failure> {
        let url = request.url;
        let failed = |reason: String| Failure::new(url, reason);
        let Some(login) = &self.login else {
            return self.exchange(request, None).await;
        };
        let credentials = login.header(self).await.map_err(failed)?;
        let response = self
            .exchange(request.clone(), Some(credentials.clone()))
            .await?;
        // A token may be over before its time.
        let is_refused = response.status == StatusCode::UNAUTHORIZED;
        if !is_refused || !self.token.forget(Some(&credentials)).await {
            return Ok(response);
        }
        let credentials = login.header(self).await.map_err(failed)?;
        self.exchange(request, Some(credentials)).await
    }

    /// Sends a request with these credentials and no others.
    pub(super) async fn exchange(
        &self,
        request: Request<'_>,
        credentials: Option<HeaderValue>,
    ) -> Result<Response, Failure> {
        let url = request.url;
        let patience = self.patience;
        match timeout(patience, self.exchange_now(request, credentials)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(reason)) => Err(Failure::new(url, reason)),
            Err(_) => Err(Failure::new(url, format!("no answer within {patience:?}"))),
        }
    }

    /// Gets what is at a URL, and reads all of it.
    ///
    /// # Errors
    ///
    /// Fails with a status other than 200, and with a body of more than `bytes_max`.
    pub(crate) async fn read(
        &self,
        request: Request<'_>,
        bytes_max: usize,
    ) -> Result<Bytes, Failure> {
        let url = request.url.clone();
        let response = self.send(request).await?;
        let status = response.status;
        let body = self.collect(&url, response, bytes_max).await?;
        match status {
            StatusCode::OK => Ok(body),
            status => Err(Failure::new(&url, told(status, &body))),
        }
    }

    /// Reads all of an answer from `url`.
    ///
    /// # Errors
    ///
    /// Fails with a body of more than `bytes_max`.
    pub(crate) async fn collect(
        &self,
        url: &Url,
        response: Response,
        bytes_max: usize,
    ) -> Result<Bytes, Failure> {
        // The server may stop in the middle as well.
        let read = timeout(self.patience, response.body.collect(bytes_max));
        let late = || Failure::new(url, format!("no end within {:?}", self.patience));
        read.await.map_err(|_| late())?
    }

    /// Says what a server has answered that does not do what it was asked.
    pub(crate) async fn refused(&self, url: &Url, response: Response) -> Failure {
        let status = response.status;
        let body = self.collect(url, response, ERROR_BYTES_MAX).await;
        Failure::new(url, told(status, &body.unwrap_or_default()))
    }

    async fn exchange_now(
        &self,
        request: Request<'_>,
        credentials: Option<HeaderValue>,
    ) -> Result<Response, String> {
        let url = request.url;
        let (host, port) = place(url)?;
        let name = match &host {
            Host::Domain(name) => (*name).to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let stream = TcpStream::connect((name.as_str(), port))
            .await
            .map_err(|error| error.to_string())?;
        // Requests are small and nobody should wait for them.
        stream.set_nodelay(true).ok();
        let head = http_request(&request, credentials)?;
        let (response, connection) = match url.scheme() {
            "https" => {
                let server = ServerName::try_from(name).map_err(|error| error.to_string())?;
                let connector = TlsConnector::from(Arc::clone(&self.tls));
                let stream = connector.connect(server, stream).await;
                send_on(stream.map_err(|error| error.to_string())?, head).await?
            }
            _ => send_on(stream, head).await?,
        };
        let (parts, incoming) = response.into_parts();
        Ok(Response {
            status: parts.status,
            headers: parts.headers,
            body: Body {
                url: url.clone(),
                incoming,
                connection,
            },
        })
    }
}

/// Says what a status and the beginning of its body are.
pub(crate) fn told(status: StatusCode, body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    let line: String = body
        .trim()
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect();
    match line.is_empty() {
        true => format!("the answer was {status}"),
        false => format!("the answer was {status}: {line}"),
    }
}

fn place(url: &Url) -> Result<(Host<&str>, u16), String> {
    let host = url.host().ok_or("it has no host")?;
    let port = url.port_or_known_default().ok_or("it has no port")?;
    Ok((host, port))
}

fn http_request(
    request: &Request<'_>,
    credentials: Option<HeaderValue>,
) -> Result<http::Request<Full<Bytes>>, String> {
    let url = request.url;
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let mut builder = http::Request::builder()
        .method(request.method.clone())
        .uri(&url[Position::BeforePath..Position::AfterQuery])
        .header(header::HOST, host)
        .header(header::ACCEPT, request.accept)
        .header(
            header::USER_AGENT,
            concat!("signpost/", env!("CARGO_PKG_VERSION")),
        );
    if !request.body.is_empty() {
        builder = builder.header(header::CONTENT_TYPE, "application/json");
    }
    if let Some(credentials) = credentials {
        builder = builder.header(header::AUTHORIZATION, credentials);
    }
    let body = Full::new(request.body.clone());
    builder.body(body).map_err(|error| error.to_string())
}

async fn send_on(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: http::Request<Full<Bytes>>,
) -> Result<(http::Response<Incoming>, AbortHandle), String> {
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    // It ends with an error that the answer or its body has, too.
    let driven = tokio::spawn(connection);
    match sender.send_request(request).await {
        Ok(response) => Ok((response, driven.abort_handle())),
        Err(error) => {
            driven.abort();
            Err(error.to_string())
        }
    }
}

impl Body {
    /// Waits for the next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        while let Some(frame) = self.incoming.frame().await {
            let frame = frame.map_err(|error| Failure::new(&self.url, error))?;
            // Trailers say nothing.
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Reads everything.
    ///
    /// # Errors
    ///
    /// Fails when there are more than `bytes_max` bytes.
    pub(crate) async fn collect(mut self, bytes_max: usize) -> Result<Bytes, Failure> {
        let mut all = BytesMut::new();
        while let Some(bytes) = self.next().await? {
            if all.len() + bytes.len() > bytes_max {
                let reason = format!("the answer has more than {bytes_max} bytes");
                return Err(Failure::new(&self.url, reason));
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all.freeze())
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
