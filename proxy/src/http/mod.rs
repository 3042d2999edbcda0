//! HTTP/1.1 on bytes: heads, framing, chunks and the headers that a proxy rewrites (RFC 9110,
//! 9112).
//!
//! Nothing here does input or output. `httparse` cuts a head into tokens; it refuses folded lines,
//! spaces before a colon, control bytes and a bare CR, and lets a bare LF pass, which
//! [`scan`](head::scan) refuses.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod buffer;
pub(crate) mod chunked;
pub(crate) mod fields;
pub(crate) mod forwarded;
pub(crate) mod head;
pub(crate) mod host;
pub(crate) mod marks;
pub(crate) mod problem;
pub(crate) mod request;
pub(crate) mod response;

/// Tells whether a text is a token (RFC 9110, section 5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    let is_token_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token_byte)
}

pub(crate) use body::{Body, Coding};
pub(crate) use buffer::Buffer;
pub(crate) use head::{HEADERS_MAX, Malformed, Scan, Version};

/// Tells whether a text is the value of a header (RFC 9110, section 5.5), of ASCII alone.
pub(crate) fn is_field_value(text: &str) -> bool {
    let is_value_byte = |byte: u8| byte.is_ascii_graphic() || byte == b' ' || byte == b'\t';
    text.bytes().all(is_value_byte) && text.trim() == text
}
