//! The files of the page; they are part of the program and ask nobody else.

use http::{HeaderValue, Response, StatusCode, header};

use crate::http_server::body::{self, Body};

/// The paths, what is there, and of which type.
const FILES: [(&str, &str, &str); 5] = [
    (
        "/",
        include_str!("page/index.html"),
        "text/html; charset=utf-8",
    ),
    (
        "/index.html",
        include_str!("page/index.html"),
        "text/html; charset=utf-8",
    ),
    (
        "/page.css",
        include_str!("page/page.css"),
        "text/css; charset=utf-8",
    ),
    (
        "/page.js",
        include_str!("page/page.js"),
        "text/javascript; charset=utf-8",
    ),
    ("/icon.svg", include_str!("page/icon.svg"), "image/svg+xml"),
];

/// Lets nothing into the page that isn't from here, and the page into no other one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Returns the file at a path.
pub(super) fn file(path: &str) -> Option<Response<Body>> {
    let (_, text, kind) = FILES.iter().find(|(at, _, _)| *at == path)?;
    let mut response = body::with_type(StatusCode::OK, kind, *text);
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    Some(response)
}
