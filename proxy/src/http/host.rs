//! The host that a request is for (RFC 3986, section 3.2).

use std::net::Ipv6Addr;

/// Checks an authority without user information and returns its host: no port, no final dot.
///
/// An address of version 6 keeps its brackets. Returns `None` when it is no authority.
pub(crate) fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')?;
            rest[..end].parse::<Ipv6Addr>().ok()?;
            authority.split_at(end + 2)
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let (host, port) = authority.split_at(end);
            if !host.bytes().all(is_name_byte) {
                return None;
            }
            (host.strip_suffix('.').unwrap_or(host), port)
        }
    };
    match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {}
        None if port.is_empty() => {}
        _ => return None,
    }
    Some(host)
}

/// Tells whether a byte may stand in a registered name: unreserved, sub-delims, percent-encoded.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_and_the_final_dot_are_no_part_of_the_host() {
        for (authority, expected) in [
            ("web.svc.internal", "web.svc.internal"),
            ("Web:8080", "Web"),
            ("web.:80", "web"),
            ("web:", "web"),
            ("", ""),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(host(authority), Some(expected), "{authority}");
        }
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        for authority in [
            "a b",
            "user@web",
            "web:80x",
            "web:80:80",
            "[::1",
            "[::g]",
            "[::1]x",
            "a/b",
            "a,b",
            "a?b",
            "a\\b",
            "a\"b",
        ] {
            assert_eq!(host(authority), None, "{authority}");
        }
    }
}
