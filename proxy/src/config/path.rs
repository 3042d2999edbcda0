//! The table `[proxy.path]`.

use serde::{Deserialize, Serialize};

/// Configures the one form that the path of every request is brought into, before it is routed; what
/// is routed is what is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PathRules {
    /// What becomes of the segments `.` and `..`.
    pub dot_segments: DotSegments,
    /// Whether several slashes are made one.
    pub merge_slashes: bool,
    /// What becomes of `%2F`, `%5C` and backslashes.
    pub encoded_slash: EncodedSlash,
    /// What becomes of parameters (`;`) in segments.
    pub parameters: PathParameters,
}

/// Says what becomes of the segments `.` and `..`, however they are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DotSegments {
    /// They are followed, to the root at most (RFC 3986, section 5.2.4); the default.
    #[default]
    Normalize,
    /// The request is answered with 400.
    Reject,
}

/// Says what becomes of slashes and backslashes that a server may take for a slash, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EncodedSlash {
    /// They stay as they are, and part no segments.
    Keep,
    /// The request is answered with 400; the default.
    #[default]
    Reject,
    /// They are slashes.
    Decode,
}

/// Says what becomes of a semicolon and what follows it in a segment, which some servers leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PathParameters {
    /// They are part of their segment (RFC 3986, section 3.3); the default.
    #[default]
    Keep,
    /// The request is answered with 400.
    Reject,
}

impl Default for PathRules {
    fn default() -> Self {
        Self {
            dot_segments: DotSegments::default(),
            merge_slashes: true,
            encoded_slash: EncodedSlash::default(),
            parameters: PathParameters::default(),
        }
    }
}
