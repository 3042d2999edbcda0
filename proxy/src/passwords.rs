//! Passwords that clients send: each is compared with its hash once, and known from then on.

use std::{cell::RefCell, collections::HashSet, fmt, num::NonZeroUsize};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use httparse::Header;
use sha_crypt::{PasswordVerifier, ShaCrypt};
use sha2::Sha256;
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::config::Auth;

/// The most right passwords that one worker knows; they are compared anew when there are more.
const KNOWN_MAX: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not zero");

/// The longest password that is compared, in bytes, as that of `crypt(3)`: comparing takes the square of it.
const PASSWORD_BYTES_MAX: usize = 256;

/// The most requests that wait for a comparison in one worker; more are refused.
const WAITING_MAX: usize = 256;

/// Knows which passwords are right. A comparison takes milliseconds by intent, so it has a thread of
/// its own, one at a time for each worker.
pub(crate) struct Passwords {
    key: Hmac<Sha256>,
    known: RefCell<HashSet<Digest>>,
    turn: Semaphore,
    /// One for each request that may wait for its turn.
    places: Semaphore,
}

/// Stands for a user, a password and its hash, without telling any of them.
pub(crate) type Digest = [u8; 32];

/// Says what is known of a request's password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    /// It is wrong, or there is none.
    Wrong,
    /// It has to be compared.
    Unknown(Unverified),
}

/// Holds a password that has to be compared.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Unverified {
    pub(crate) digest: Digest,
    /// Whether there is such a user; if not, the time that a comparison takes mustn't tell so.
    is_user: bool,
    password: Vec<u8>,
    hash: Box<str>,
}

impl Passwords {
    /// Knows none yet.
    pub(crate) fn new() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the system has random bytes");
        Self {
            key: Hmac::new_from_slice(&key).expect("a key of any length will do"),
            known: RefCell::default(),
            turn: Semaphore::new(1),
            places: Semaphore::new(WAITING_MAX),
        }
    }

    /// Judges the credentials in a request's headers; `wrong` were compared in vain.
    pub(crate) fn judge(
        &self,
        auth: &Auth,
        headers: &[Header<'_>],
        wrong: Option<&Digest>,
    ) -> Verdict {
        let credentials = credentials(headers);
        let Some((name, password)) = credentials.filter(|(_, password)| {
            // Nobody has such a one.
            password.len() <= PASSWORD_BYTES_MAX
        }) else {
            return Verdict::Wrong;
        };
        let own = auth.users.get(&name);
        let Some(hash) = own.or_else(|| auth.users.values().next()) else {
            return Verdict::Wrong;
        };
        let digest = self.digest(&[name.as_bytes(), hash.expose().as_bytes(), &password]);
        // Another route may know somebody of the same hash.
        if own.is_some() && self.known.borrow().contains(&digest) {
            return Verdict::Right;
        }
        if wrong == Some(&digest) {
            return Verdict::Wrong;
        }
        Verdict::Unknown(Unverified {
            digest,
            is_user: own.is_some(),
            password,
            hash: hash.expose().into(),
        })
    }

    /// Compares a password with its hash; afterwards a right one is known.
    pub(crate) async fn verify(&self, unverified: Unverified) {
        let Ok(_place) = self.places.try_acquire() else {
            return;
        };
        let _turn = self.turn.acquire().await;
        // Another connection may have brought it before.
        if self.known.borrow().contains(&unverified.digest) {
            return;
        }
        let (digest, is_user) = (unverified.digest, unverified.is_user);
        let compared = spawn_blocking(move || {
            let verifier = ShaCrypt::default();
            let hash: &str = &unverified.hash;
            verifier.verify_password(&unverified.password, hash).is_ok()
        });
        // What can't be compared isn't right.
        if compared.await.unwrap_or(false) && is_user {
            let mut known = self.known.borrow_mut();
            if known.len() >= KNOWN_MAX.get() {
                known.clear();
            }
            known.insert(digest);
        }
    }

    fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut mac = self.key.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// Reads the one line `Authorization: Basic …` (RFC 7617, section 2).
fn credentials(headers: &[Header<'_>]) -> Option<(String, Vec<u8>)> {
    let mut lines = headers
        .iter()
        .filter(|line| line.name.eq_ignore_ascii_case("authorization"));
    let value = lines.next()?.value;
    if lines.next().is_some() {
        return None;
    }
    let space = memchr::memchr(b' ', value)?;
    let (scheme, encoded) = value.split_at(space);
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim_ascii()).ok()?;
    let colon = memchr::memchr(b':', &decoded)?;
    let name = std::str::from_utf8(&decoded[..colon]).ok()?;
    Some((name.to_owned(), decoded[colon + 1..].to_vec()))
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords(hidden)")
    }
}

impl fmt::Debug for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unverified(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PasswordHash;

    /// `secret`, as `openssl passwd -5 -salt saltsalt` has hashed it.
    const HASH: &str = "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA";

    fn auth() -> Auth {
        Auth {
            realm: "r".to_owned(),
            users: [("ann".to_owned(), PasswordHash::new(HASH))].into(),
        }
    }

    fn judge(passwords: &Passwords, values: &[String], wrong: Option<&Digest>) -> Verdict {
        let line = |value| Header {
            name: "Authorization",
            value,
        };
        let values = values.iter().map(|value| value.as_bytes());
        let headers: Vec<_> = values.map(line).collect();
        passwords.judge(&auth(), &headers, wrong)
    }

    fn basic(credentials: &str) -> String {
        format!("Basic {}", STANDARD.encode(credentials))
    }

    #[tokio::test]
    async fn a_right_password_is_compared_once() {
        let passwords = Passwords::new();
        let right = [basic("ann:secret").replace("Basic", "bAsIc ")];
        let Verdict::Unknown(unverified) = judge(&passwords, &right, None) else {
            panic!("it was not compared yet");
        };
        passwords.verify(unverified).await;
        assert_eq!(judge(&passwords, &right, None), Verdict::Right);
    }

    #[tokio::test]
    async fn a_wrong_password_and_an_unknown_user_are_compared_and_refused() {
        let passwords = Passwords::new();
        for wrong in ["ann:Secret", "ann:", "bob:secret", ":secret", "ann:secret:"] {
            let values = [basic(wrong)];
            let Verdict::Unknown(unverified) = judge(&passwords, &values, None) else {
                panic!("{wrong} was not compared");
            };
            let digest = unverified.digest;
            passwords.verify(unverified).await;
            assert_eq!(
                judge(&passwords, &values, Some(&digest)),
                Verdict::Wrong,
                "{wrong}"
            );
        }
    }

    #[tokio::test]
    async fn somebody_else_of_the_same_hash_is_nobody_here() {
        let passwords = Passwords::new();
        let values = [basic("ann:secret")];
        let Verdict::Unknown(unverified) = judge(&passwords, &values, None) else {
            panic!("it was not compared yet");
        };
        passwords.verify(unverified).await;
        let others = Auth {
            users: [("bob".to_owned(), PasswordHash::new(HASH))].into(),
            ..auth()
        };
        let header = Header {
            name: "authorization",
            value: values[0].as_bytes(),
        };
        let verdict = passwords.judge(&others, &[header], None);
        assert!(matches!(verdict, Verdict::Unknown(one) if !one.is_user));
    }

    #[test]
    fn what_are_no_credentials_is_refused_at_once() {
        let passwords = Passwords::new();
        let right = basic("ann:secret");
        for values in [
            vec![],
            vec!["Basic".to_owned()],
            vec!["Basic ?".to_owned()],
            vec![basic("ann")],
            vec![right.replace("Basic", "Bearer")],
            vec![basic(&format!("ann:{}", "x".repeat(257)))],
            vec![right.clone(), right],
        ] {
            assert_eq!(
                judge(&passwords, &values, None),
                Verdict::Wrong,
                "{values:?}"
            );
        }
    }
}
