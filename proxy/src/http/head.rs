//! What request heads and response heads have in common: where they end, and what is wrong with
//! them.

use memchr::memchr;

/// The most header lines that any configuration can allow: their places are kept on the stack.
pub(crate) const HEADERS_MAX: usize = 256;

/// Says what is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// The syntax or the framing is not HTTP's.
    #[error("{0}")]
    Syntax(&'static str),
    /// There are more header lines than are allowed.
    #[error("too many header lines")]
    Headers,
    /// The version is neither 1.0 nor 1.1.
    #[error("the protocol version is not supported")]
    Version,
    /// The body is longer than is allowed.
    #[error("the body is too large")]
    Body,
    /// The body has a transfer coding besides `chunked`.
    #[error("the transfer coding is not supported")]
    Coding,
}

/// Names a version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Version {
    Http10,
    #[default]
    Http11,
}

impl Version {
    /// Reads the minor number that `httparse` gives.
    pub(crate) fn of(minor: Option<u8>) -> Self {
        match minor {
            Some(0) => Self::Http10,
            _ => Self::Http11,
        }
    }
}

/// Says how far a head is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    /// More bytes are needed; the bytes before `scanned` needn't be looked at again.
    Partial { scanned: usize },
    /// The head, with the empty line that ends it, is so many bytes long.
    Complete(usize),
}

/// Looks for the empty line that ends a head; `from` is what the scan before has returned, or 0.
///
/// # Errors
///
/// Refuses a line that ends in LF without CR (RFC 9112, section 2.2, allows either).
pub(crate) fn scan(bytes: &[u8], from: usize) -> Result<Scan, Malformed> {
    // `line` is where the line begins that the next LF ends: an empty one is CR LF alone.
    let mut line = from;
    let mut at = from;
    while let Some(found) = memchr(b'\n', &bytes[at..]) {
        let end = at + found;
        if end == 0 || bytes[end - 1] != b'\r' {
            return Err(Malformed::Syntax("a line ends in LF without CR"));
        }
        if end == line + 1 {
            return Ok(Scan::Complete(end + 1));
        }
        line = end + 1;
        at = line;
    }
    Ok(Scan::Partial { scanned: line })
}

/// Puts an error of the tokenizer in our words.
pub(crate) fn malformed(error: httparse::Error) -> Malformed {
    match error {
        httparse::Error::HeaderName => Malformed::Syntax("a header name is malformed"),
        httparse::Error::HeaderValue => Malformed::Syntax("a header value is malformed"),
        httparse::Error::NewLine => Malformed::Syntax("a line end is malformed"),
        httparse::Error::Status => Malformed::Syntax("the status line is malformed"),
        httparse::Error::Token => Malformed::Syntax("the request line is malformed"),
        httparse::Error::TooManyHeaders => Malformed::Headers,
        httparse::Error::Version => Malformed::Version,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_empty_line_ends_a_head() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        assert_eq!(scan(head, 0), Ok(Scan::Complete(head.len() - 4)));
        assert_eq!(scan(b"\r\n", 0), Ok(Scan::Complete(2)));
    }

    #[test]
    fn a_bare_line_feed_is_refused() {
        assert!(scan(b"GET / HTTP/1.1\nHost: a\r\n\r\n", 0).is_err());
        assert!(scan(b"GET / HTTP/1.1\r\nHost: a\r\n\n", 0).is_err());
        assert!(scan(b"\n", 0).is_err());
    }

    proptest! {
        #[test]
        fn a_scan_in_pieces_is_the_scan_of_the_whole(
            text in "[ab\r\n]{0,24}",
            cut in 0..24_usize,
        ) {
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            let pieces = match scan(&bytes[..cut], 0) {
                Ok(Scan::Partial { scanned }) => scan(bytes, scanned),
                done => done,
            };
            prop_assert_eq!(pieces, scan(bytes, 0));
        }
    }
}
