//! How servers that are asked over TLS are known, and how they know us.

use std::{fs, io, path::Path, path::PathBuf};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde::{Deserialize, Serialize};

use crate::Problem;

/// Says which servers are trusted over TLS, and who we are to them: the table `tls`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientTls {
    /// The file with the certificates (PEM) that servers' certificates come from; those that the
    /// system trusts, when it isn't there.
    pub ca_file: Option<PathBuf>,
    /// The file with our certificate and those between it and its root (PEM).
    pub cert_file: Option<PathBuf>,
    /// The file with the key of our certificate (PEM).
    pub key_file: Option<PathBuf>,
}

impl ClientTls {
    /// Lists what is wrong beyond what the types can tell; keys are relative to the table.
    pub fn problems(&self) -> Vec<Problem> {
        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => vec![Problem::new("key_file", "is missing beside cert_file")],
            (None, Some(_)) => vec![Problem::new("cert_file", "is missing beside key_file")],
            _ => Vec::new(),
        }
    }

    /// Reads the files.
    ///
    /// # Errors
    ///
    /// Returns in words which file can't be read, or holds nothing of use.
    pub fn load(&self) -> Result<ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        match &self.ca_file {
            Some(path) => {
                for certificate in certificates(path)? {
                    let added = roots.add(certificate);
                    added.map_err(|error| format!("{}: {error}", path.display()))?;
                }
            }
            // Some of a system's may be of a kind that nobody can use.
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let builder = ClientConfig::builder().with_root_certificates(roots);
        match (&self.cert_file, &self.key_file) {
            (Some(cert_file), Some(key_file)) => {
                let key = PrivateKeyDer::from_pem_file(key_file)
                    .map_err(|error| format!("{}: {error}", key_file.display()))?;
                let certificates = certificates(cert_file)?;
                let config = builder.with_client_auth_cert(certificates, key);
                config.map_err(|error| format!("{}: {error}", cert_file.display()))
            }
            _ => Ok(builder.with_no_client_auth()),
        }
    }
}

/// Reads all certificates of a file.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read(path).map_err(|error: io::Error| named(&error))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let read = read.map_err(|error| named(&error))?;
    match read.is_empty() {
        true => Err(named(&"has no certificate in PEM")),
        false => Ok(read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_needs_its_key_and_a_file_something_of_use() {
        let tls: ClientTls = toml::from_str("cert_file = 'c'").unwrap();
        assert_eq!(tls.problems()[0].key, "key_file");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let tls = ClientTls {
            ca_file: Some(path.clone()),
            ..ClientTls::default()
        };
        let reason = tls.load().unwrap_err();
        assert!(reason.contains("ca.pem"), "{reason}");
        fs::write(&path, "nothing").unwrap();
        let reason = tls.load().unwrap_err();
        assert!(reason.ends_with("has no certificate in PEM"), "{reason}");
        assert!(ClientTls::default().load().is_ok());
    }
}
