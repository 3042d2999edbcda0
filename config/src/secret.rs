//! A password or token that never shows in a log.

use std::{fmt, path::Path};

/// Holds a secret; its `Debug` form hides the value.
///
/// Secrets stand in files of their own and the configuration names the file (`token_file = "..."`), so
/// that a configuration can be shown, kept under version control and sent to a colleague.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Creates a secret from its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Loads a secret from a file, without the line end that editors add.
    ///
    /// # Errors
    ///
    /// Returns the reason in words when the file can't be read or is empty.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("can't read {}: {error}", path.display()))?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(format!("{} is empty", path.display()));
        }
        Ok(Self::new(text))
    }

    /// Returns the text; whoever calls this takes care where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares with what a client sent, in a time that doesn't depend on where they differ.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differences = own
            .iter()
            .zip(candidate)
            .fold(0, |sum, (a, b)| sum | (a ^ b));
        own.len() == candidate.len() && differences == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_its_text_and_compares_whole() {
        let secret = Secret::new("s3cret");
        assert_eq!(format!("{secret:?}"), "Secret(hidden)");
        assert!(secret.matches(b"s3cret"));
        assert!(!secret.matches(b"s3cre"));
        assert!(!secret.matches(b"s3cret2"));
        assert!(!secret.matches(b"S3cret"));
    }

    #[test]
    fn loads_without_the_line_end_and_refuses_an_empty_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "abc \n").unwrap();
        assert_eq!(Secret::load(&path).unwrap().expose(), "abc ");
        std::fs::write(&path, "\n").unwrap();
        assert!(Secret::load(&path).unwrap_err().ends_with("is empty"));
    }
}
