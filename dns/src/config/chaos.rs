//! What is told of the server itself.

use serde::Deserialize;

/// The longest NSID in bytes: with it, every other option and the longest question an answer of
/// 512 bytes still has room for records.
const NSID_BYTES_MAX: usize = 64;

/// The longest text of one string in a TXT record in bytes (RFC 1035, section 3.3).
const TEXT_BYTES_MAX: usize = 255;

/// Holds `[dns.chaos]`: answers in class CH, by which servers tell of themselves (RFC 4892).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChaosConfig {
    /// The text of `version.bind` and `version.server`, at most 255 bytes; refused when empty.
    pub version: String,
    /// The text of `id.server` and `hostname.bind`, at most 255 bytes; refused when empty.
    pub id: String,
}

/// Says what is wrong with `[dns] nsid`.
pub(super) fn nsid_problem(nsid: &str) -> Option<String> {
    too_long(nsid, NSID_BYTES_MAX)
}

impl ChaosConfig {
    /// Says what is wrong with the values, by their keys.
    pub(super) fn problems(&self) -> impl Iterator<Item = (&'static str, String)> {
        let texts = [("version", &self.version), ("id", &self.id)];
        let texts = texts.into_iter();
        texts.filter_map(|(key, text)| Some((key, too_long(text, TEXT_BYTES_MAX)?)))
    }
}

fn too_long(text: &str, max: usize) -> Option<String> {
    (text.len() > max).then(|| format!("{} bytes, more than {max}", text.len()))
}
