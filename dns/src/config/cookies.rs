//! What DNS cookies are configured by.

use std::path::PathBuf;

use config::Secret;
use serde::Deserialize;

use crate::Cookies;

/// Holds `[dns.cookies]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CookiesConfig {
    /// The file with the secrets that cookies are made with, 32 hexadecimal digits in each line.
    ///
    /// The first makes cookies, those of the others are still taken. Without a file the secret is
    /// made up at the start.
    pub secret_file: Option<PathBuf>,
    /// Whether only clients that show a valid cookie are answered over UDP.
    pub required: bool,
}

impl CookiesConfig {
    /// Loads the secrets, if they are to come from a file.
    ///
    /// # Errors
    ///
    /// Returns the reason in words when the file can't be read or holds something else.
    pub fn load(&self) -> Result<Option<Cookies>, String> {
        let Some(path) = &self.secret_file else {
            return Ok(None);
        };
        let cookies = Cookies::parse(Secret::load(path)?.expose());
        cookies
            .map(Some)
            .map_err(|reason| format!("{}: {reason}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_from_a_file_if_there_is_to_be_one() {
        assert_eq!(CookiesConfig::default().load(), Ok(None));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cookies");
        let config = CookiesConfig {
            secret_file: Some(path.clone()),
            required: false,
        };
        assert!(config.load().unwrap_err().starts_with("can't read"));
        std::fs::write(&path, "00".repeat(16) + "\n").unwrap();
        assert_eq!(config.load(), Ok(Some(Cookies::new([0; 16]))));
        std::fs::write(&path, "secret").unwrap();
        let error = config.load().unwrap_err();
        assert_eq!(
            error,
            format!("{}: line 1 is not 32 hexadecimal digits", path.display())
        );
    }
}
