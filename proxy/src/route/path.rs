//! The one form of a path, in which it is routed and forwarded (RFC 3986, section 6.2.2).

use std::borrow::Cow;

use crate::config::{DotSegments, EncodedSlash, PathParameters, PathRules};

/// Brings the path of a request into its normal form.
///
/// Percent-encoded letters, digits and `-._~` are decoded, other percent-encodings written in upper
/// case, dot segments and slashes treated as `rules` say; an empty path is `/`. A path that is in
/// the form already costs one look at its bytes. What comes out comes out the same a second time.
///
/// # Errors
///
/// Returns the reason when a server could take the path for another one, or the rules refuse it.
pub(crate) fn normalize(path: &str, rules: PathRules) -> Result<Cow<'_, str>, &'static str> {
    if rules.parameters == PathParameters::Reject && path.contains(';') {
        return Err("the path has parameters");
    }
    if is_plain(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    if path.is_empty() {
        return Ok(Cow::Borrowed("/"));
    }
    let decoded = decode(path.as_bytes(), rules.encoded_slash)?;
    let normal = resolve(&decoded, rules)?;
    match normal == path.as_bytes() {
        true => Ok(Cow::Borrowed(path)),
        false => match String::from_utf8(normal) {
            Ok(normal) => Ok(Cow::Owned(normal)),
            Err(_) => Err("the path is not ASCII"),
        },
    }
}

/// Puts `with` in the place of `prefix`, which the path is at or below of; both have no final slash,
/// or it doesn't count.
///
/// What comes out begins with one slash: servers and clients take what follows two for a host.
pub(crate) fn replace_prefix(path: &str, prefix: &str, with: &str) -> String {
    let rest = path
        .strip_prefix(prefix.trim_end_matches('/'))
        .unwrap_or(path);
    let path = format!("{}{rest}", with.trim_end_matches('/'));
    format!("/{}", path.trim_start_matches('/'))
}

/// Tells whether nothing in a path may need a change.
fn is_plain(path: &[u8]) -> bool {
    let mut before = 0;
    for byte in path {
        match byte {
            b'%' | b'\\' => return false,
            b'/' | b'.' if before == b'/' => return false,
            _ => before = *byte,
        }
    }
    !path.is_empty()
}

/// Decodes what means the same encoded, and writes what stays encoded in one way.
fn decode(path: &[u8], slashes: EncodedSlash) -> Result<Vec<u8>, &'static str> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, after @ ..] = rest {
        let (byte, length) = match (first, after) {
            (b'%', [high, low, ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (16 * high + low, 3),
                _ => return Err("the path has a malformed percent-encoding"),
            },
            (b'%', _) => return Err("the path has a malformed percent-encoding"),
            (byte, _) => (*byte, 1),
        };
        match byte {
            0 => return Err("the path has a NUL"),
            b'/' if length == 1 => decoded.push(b'/'),
            b'/' | b'\\' => match slashes {
                EncodedSlash::Reject => return Err("the path has an encoded slash or a backslash"),
                EncodedSlash::Decode => decoded.push(b'/'),
                EncodedSlash::Keep => {
                    decoded.extend(rest[..length].iter().map(u8::to_ascii_uppercase));
                }
            },
            byte if length == 1 || is_unreserved(byte) => decoded.push(byte),
            _ => decoded.extend(rest[..length].iter().map(u8::to_ascii_uppercase)),
        }
        rest = &rest[length..];
    }
    Ok(decoded)
}

/// Follows dot segments and merges slashes.
fn resolve(path: &[u8], rules: PathRules) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::with_capacity(path.len());
    let inner = path.strip_prefix(b"/").unwrap_or(path);
    let mut segments = inner.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let dots = segment == b"." || segment == b"..";
        if dots && rules.dot_segments == DotSegments::Reject {
            return Err("the path has dot segments");
        }
        if !dots && hides_dots(segment) {
            return Err("the path has dot segments that a server could follow");
        }
        if segment == b".." {
            let parent = out.iter().rposition(|byte| *byte == b'/');
            out.truncate(parent.unwrap_or(0));
        }
        match (dots || segment.is_empty(), is_last) {
            (true, true) => out.push(b'/'),
            (true, false) if dots || rules.merge_slashes => {}
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
            }
        }
    }
    Ok(out)
}

/// Tells whether a server could find dot segments in a segment: one that takes an encoded slash or a
/// backslash for a slash, or that drops what follows a semicolon.
fn hides_dots(segment: &[u8]) -> bool {
    let parted = String::from_utf8_lossy(segment)
        .replace("%2F", "/")
        .replace("%5C", "/")
        .replace('\\', "/");
    let mut pieces = parted.split('/');
    pieces.any(|piece| matches!(piece.split(';').next(), Some("." | "..")))
}

/// Tells whether a byte means the same encoded or not (RFC 3986, section 2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn digit(byte: u8) -> Option<u8> {
    let value = char::from(byte).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEPT: PathRules = PathRules {
        dot_segments: DotSegments::Normalize,
        merge_slashes: true,
        encoded_slash: EncodedSlash::Keep,
        parameters: PathParameters::Keep,
    };

    #[test]
    fn a_plain_path_is_not_copied() {
        for path in [
            "/",
            "/a",
            "/a/b.html",
            "/a/",
            "/a;b=c/d",
            "/a..b",
            "/.a/..b",
        ] {
            let normal = normalize(path, PathRules::default());
            assert!(
                matches!(normal, Ok(Cow::Borrowed(same)) if same == path),
                "{path}"
            );
        }
    }

    #[test]
    fn what_means_the_same_is_written_the_same() {
        for (path, normal) in [
            ("", "/"),
            ("/%61%2D%7e", "/a-~"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/%2541", "/%2541"),
            ("/a/../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/../..", "/"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/./a/./b/", "/a/b/"),
            ("//a///b//", "/a/b/"),
            ("/a//../b", "/b"),
            ("/...", "/..."),
            ("/a%2fb", "/a%2Fb"),
            ("/a\\b", "/a\\b"),
        ] {
            assert_eq!(normalize(path, KEPT).as_deref(), Ok(normal), "{path}");
        }
    }

    #[test]
    fn slashes_are_merged_and_decoded_where_the_rules_say_so() {
        let apart = PathRules {
            merge_slashes: false,
            ..KEPT
        };
        assert_eq!(normalize("//a//b", apart).as_deref(), Ok("//a//b"));
        assert_eq!(normalize("/a//../b", apart).as_deref(), Ok("/a/b"));
        let decoded = PathRules {
            encoded_slash: EncodedSlash::Decode,
            ..KEPT
        };
        assert_eq!(normalize("/a%2F..%5cb\\c", decoded).as_deref(), Ok("/b/c"));
    }

    #[test]
    fn what_could_be_taken_for_another_path_is_refused() {
        for path in ["/%", "/%2", "/%zz", "/%00", "/..;/a", "/a/.;x=y"] {
            assert!(normalize(path, PathRules::default()).is_err(), "{path}");
            assert!(normalize(path, KEPT).is_err(), "{path}");
        }
        for path in ["/a%2Fb", "/a%5cb", "/a\\b"] {
            assert!(normalize(path, PathRules::default()).is_err(), "{path}");
        }
        for path in ["/a%2f..%2Fb", "/..\\b", "/%2e%2e%5C", "/x%2F..;y"] {
            assert!(normalize(path, KEPT).is_err(), "{path}");
        }
        let strict = PathRules {
            dot_segments: DotSegments::Reject,
            ..PathRules::default()
        };
        assert!(normalize("/a/../b", strict).is_err());
        assert!(normalize("/a/%2e", strict).is_err());
        assert_eq!(normalize("//a", strict).as_deref(), Ok("/a"));
        let bare = PathRules {
            parameters: PathParameters::Reject,
            ..PathRules::default()
        };
        assert!(normalize("/internal;x/secret", bare).is_err());
        assert_eq!(normalize("/a/b", bare).as_deref(), Ok("/a/b"));
    }

    fn rules() -> impl Strategy<Value = PathRules> {
        let dots = prop_oneof![Just(DotSegments::Normalize), Just(DotSegments::Reject)];
        let slashes = prop_oneof![
            Just(EncodedSlash::Keep),
            Just(EncodedSlash::Reject),
            Just(EncodedSlash::Decode)
        ];
        let parameters = prop_oneof![Just(PathParameters::Keep), Just(PathParameters::Reject)];
        let all = (dots, any::<bool>(), slashes, parameters);
        all.prop_map(
            |(dot_segments, merge_slashes, encoded_slash, parameters)| PathRules {
                dot_segments,
                merge_slashes,
                encoded_slash,
                parameters,
            },
        )
    }

    proptest! {
        #[test]
        fn a_normal_path_is_normal_and_has_no_dot_segments(
            path in "(/|//|/\\.|/\\.\\.|%2[eEfF]|%5[cC]|%25|%41|%|\\\\|;|\\.|[a-c]){0,12}",
            rules in rules(),
        ) {
            let path = format!("/{path}");
            if let Ok(normal) = normalize(&path, rules) {
                let again = normalize(&normal, rules);
                prop_assert_eq!(again.as_deref(), Ok(&*normal));
                prop_assert!(normal.starts_with('/'));
                let decoded = normal.replace("%2F", "/").replace("%5C", "/").replace('\\', "/");
                for segment in decoded.split('/') {
                    prop_assert!(segment != "." && segment != "..", "{} in {}", segment, normal);
                }
                if rules.merge_slashes {
                    prop_assert!(!normal.contains("//"), "{}", normal);
                }
            }
        }

        #[test]
        fn a_path_never_climbs_above_its_root(
            inner in "(/a|/\\.\\.|/%2e%2E|/\\.|/){0,10}",
            below in "[a-c]{1,3}",
        ) {
            // What follows as many steps up as there are down is at the root, and not above it.
            let up = "/..".repeat(10);
            let normal = normalize(&format!("{inner}{up}/{below}"), KEPT).map(Cow::into_owned);
            prop_assert_eq!(normal, Ok(format!("/{below}")));
        }
    }
}
