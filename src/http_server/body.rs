//! Bodies of requests and responses.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{
    BodyExt, Full, LengthLimitError, Limited, StreamBody, combinators::UnsyncBoxBody,
};
use hyper::body::{Frame, Incoming};
use serde::Serialize;

/// How large the body of a request may be.
pub(crate) const BODY_BYTES_MAX: usize = 64 << 10;

/// How long a client has to send it.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The body of any response.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What goes wrong with a request: the response is a problem document (RFC 9457).
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// What is wrong, for this request, in words.
    pub(crate) detail: String,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
        }
    }

    /// The request itself is wrong.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// There is no such thing.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn response(&self) -> Response<Body> {
        let document = Document {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        let mut response = json(self.status, &document);
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let soon = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
        response
    }
}

impl From<registry::Stopped> for Problem {
    fn from(stopped: registry::Stopped) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, stopped.to_string())
    }
}

/// Refuses one more client that would wait for something.
pub(crate) fn too_many() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many clients wait for changes already",
    )
}

/// Makes a response of server-sent events, each with its end (`text/event-stream`).
pub(crate) fn events(texts: impl Stream<Item = String> + Send + 'static) -> Response<Body> {
    let frames = texts.map(|text| Ok(Frame::data(Bytes::from(text))));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// Makes a JSON response.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let mut text = serde_json::to_vec_pretty(value).expect("our own types serialize");
    text.push(b'\n');
    with_type(status, "application/json", text)
}

/// Makes a response with a body of the given type.
pub(crate) fn with_type(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Reads a request's body, up to [`BODY_BYTES_MAX`] and for no longer than [`BODY_TIMEOUT`].
pub(crate) async fn read(body: Incoming) -> Result<Bytes, Problem> {
    let body = Limited::new(body, BODY_BYTES_MAX).collect();
    let Ok(body) = tokio::time::timeout(BODY_TIMEOUT, body).await else {
        return Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the body didn't arrive within {BODY_TIMEOUT:?}"),
        ));
    };
    match body {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body has more than {BODY_BYTES_MAX} bytes"),
        )),
        Err(error) => Err(Problem::bad_request(format!(
            "the body didn't arrive: {error}"
        ))),
    }
}
