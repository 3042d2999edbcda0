//! Cookies that keep a client at an instance, signed so that no client makes one up.

use std::{fmt, path::Path};

use config::Secret;
use hmac::{Hmac, KeyInit, Mac};
use registry::{InstanceId, ServiceName};
use sha2::Sha256;

use crate::config::Sticky;

/// The size of a signature, in bytes: the left half of HMAC-SHA256 (RFC 2104, section 5).
const SIGNATURE_BYTES: usize = 16;

/// The shortest key that a file may give, in bytes.
const KEY_BYTES_MIN: usize = 16;

/// Holds the keys with which cookies are signed: the first one signs, all are believed.
#[derive(Clone)]
pub(crate) struct Keys(Vec<Hmac<Sha256>>);

/// Says what a cookie says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat<'v> {
    pub(crate) service: &'v str,
    pub(crate) instance: &'v str,
    /// When the cookie ends, in seconds since 1970.
    pub(crate) expires: u64,
}

impl Keys {
    /// Makes the one key that nobody else has, of random bytes.
    pub(crate) fn own(bytes: [u8; 32]) -> Self {
        Self(vec![mac(&bytes)])
    }

    /// Loads keys from a file, one in each line.
    ///
    /// # Errors
    ///
    /// Returns the reason in words when the file can't be read or has a short line.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let text = Secret::load(path)?;
        let keys = text.expose().lines().enumerate().map(|(at, line)| {
            let key = line.trim();
            match key.len() < KEY_BYTES_MIN {
                true => Err(format!(
                    "{}: line {} is shorter than {KEY_BYTES_MIN} characters",
                    path.display(),
                    at + 1
                )),
                false => Ok(mac(key.as_bytes())),
            }
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// Makes the line that sets a cookie; `now` is in seconds since 1970.
    pub(crate) fn set_cookie(
        &self,
        sticky: &Sticky,
        service: &ServiceName,
        instance: &InstanceId,
        now: u64,
    ) -> String {
        let name = sticky.cookie.as_deref().unwrap_or_default();
        let ttl = sticky.ttl.get().as_secs();
        let seat = Seat {
            service: service.as_str(),
            instance: instance.as_str(),
            expires: now.saturating_add(ttl),
        };
        let signature = self.0[0].clone().chain_update(seat.signed(name)).finalize();
        let signature = &signature.into_bytes()[..SIGNATURE_BYTES];
        let signature: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        let secure = if sticky.secure { "; Secure" } else { "" };
        format!(
            "Set-Cookie: {name}=1.{:x}.{signature}.{}.{}; Path=/; Max-Age={ttl}; HttpOnly; \
             SameSite={}{secure}\r\n",
            seat.expires,
            seat.instance,
            seat.service,
            sticky.same_site.as_str(),
        )
    }

    /// Reads the value of a cookie; `None` when it isn't one of ours, or over.
    pub(crate) fn read<'v>(&self, name: &str, value: &'v [u8], now: u64) -> Option<Seat<'v>> {
        let value = std::str::from_utf8(value).ok()?;
        let mut parts = value.strip_prefix("1.")?.splitn(4, '.');
        let (expires, signature) = (parts.next()?, bytes(parts.next()?)?);
        let seat = Seat {
            expires: u64::from_str_radix(expires, 16).ok()?,
            instance: parts.next()?,
            service: parts.next()?,
        };
        let is_good = |key: &Hmac<Sha256>| {
            let signed = key.clone().chain_update(seat.signed(name));
            signed.verify_truncated_left(&signature).is_ok()
        };
        (seat.expires > now && self.0.iter().any(is_good)).then_some(seat)
    }
}

impl Seat<'_> {
    /// Returns what is signed; the name belongs to it, as other routes may have other cookies.
    fn signed(&self, name: &str) -> String {
        let (instance, service) = (self.instance, self.service);
        format!("{name}=1.{:x}.{instance}.{service}", self.expires)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(hidden)")
    }
}

/// Lists the values of all cookies with this name in the values of `Cookie` lines (RFC 6265, section
/// 4.2.1).
pub(crate) fn cookies<'v>(
    lines: impl Iterator<Item = &'v [u8]>,
    name: &str,
) -> impl Iterator<Item = &'v [u8]> {
    let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        value.strip_prefix(b"=")
    })
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length will do")
}

fn bytes(hex: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    let mut bytes = [0; SIGNATURE_BYTES];
    if hex.len() != 2 * SIGNATURE_BYTES {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (16 * digit(pair[0])? + digit(pair[1])?) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(keys: &Keys) -> String {
        let sticky = Sticky {
            cookie: Some("seat".to_owned()),
            ..Sticky::default()
        };
        let (service, id) = ("app.prod".parse().unwrap(), "i-1".parse().unwrap());
        let line = keys.set_cookie(&sticky, &service, &id, 1000);
        let end = "; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax\r\n";
        let value = line.strip_suffix(end).unwrap();
        value.strip_prefix("Set-Cookie: seat=").unwrap().to_owned()
    }

    #[test]
    fn a_cookie_is_read_as_it_was_made_until_it_is_over() {
        let keys = Keys::own([7; 32]);
        let value = value(&keys);
        let seat = Seat {
            service: "app.prod",
            instance: "i-1",
            expires: 4600,
        };
        assert_eq!(keys.read("seat", value.as_bytes(), 4599), Some(seat));
        assert_eq!(keys.read("seat", value.as_bytes(), 4600), None);
        assert_eq!(keys.read("other", value.as_bytes(), 1000), None);
    }

    #[test]
    fn what_others_have_made_or_changed_is_not_believed() {
        let keys = Keys::own([7; 32]);
        let value = value(&keys);
        assert_eq!(Keys::own([8; 32]).read("seat", value.as_bytes(), 0), None);
        for at in 0..value.len() {
            let mut changed = value.clone().into_bytes();
            changed[at] ^= 1;
            assert_eq!(keys.read("seat", &changed, 0), None, "{at}");
        }
        for value in ["", "1.", "1.a.b.c.d", "1.ff..i.s", "\u{e9}"] {
            assert_eq!(keys.read("seat", value.as_bytes(), 0), None, "{value}");
        }
    }

    #[test]
    fn keys_come_from_the_lines_of_a_file_and_the_first_signs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let load = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Keys::load(&path)
        };
        let old = load("0123456789abcdef\n").unwrap();
        let both = load("fedcba9876543210\n0123456789abcdef\n").unwrap();
        assert!(both.read("seat", value(&old).as_bytes(), 0).is_some());
        assert!(old.read("seat", value(&both).as_bytes(), 0).is_none());
        let reason = load("0123456789abcdef\nshort\n").unwrap_err();
        assert!(
            reason.ends_with("line 2 is shorter than 16 characters"),
            "{reason}"
        );
    }

    #[test]
    fn cookies_are_found_in_all_lines() {
        let lines = [&b"a=1; seat=2;seat=3"[..], b"seats=4", b" seat=5=6 "];
        let found: Vec<_> = cookies(lines.into_iter(), "seat").collect();
        assert_eq!(found, [&b"2"[..], b"3", b"5=6"]);
    }
}
