//! DNS cookies (RFC 7873): who has one has been reached at its address before.
//!
//! They are made in the way that servers agree on (RFC 9018, section 4, version 1), so that
//! replicas with the same secret take each other's:
//!
//! ```text
//! version (1)   reserved (3 bytes)   timestamp (4)
//! hash (8) = SipHash-2-4(client's cookie | version | reserved | timestamp | client's address)
//! ```

use std::{fmt, hash::Hasher as _, iter, net::IpAddr};

use siphasher::sip::SipHasher24;

/// The length of what a client makes up and gets back.
pub(crate) const CLIENT_BYTES: usize = 8;

/// The length of the cookies that we make.
const SERVER_BYTES: usize = 16;

/// The length of both in an answer.
pub(crate) const COOKIE_BYTES: usize = CLIENT_BYTES + SERVER_BYTES;

/// The length of what comes before the hash in a cookie of ours.
const HEAD_BYTES: usize = 8;

/// The version of cookies that we make and take.
const VERSION: u8 = 1;

/// How old a cookie may be in seconds (RFC 9018, section 4.3).
const AGE_MAX: i32 = 3600;

/// How far in the future a cookie may have been made in seconds, for clocks differ.
const AHEAD_MAX: i32 = 300;

/// The length of a secret.
const SECRET_BYTES: usize = 16;

/// The most secrets there can be: each is tried before a cookie is found wrong.
const SECRETS_MAX: usize = 8;

/// Says what cookie a query came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CookieKind {
    /// None that could be read.
    Absent,
    /// The client's part alone, as in a first query.
    ClientOnly,
    /// One that we made for this client not long ago.
    Valid,
    /// Another one.
    Invalid,
}

impl CookieKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Absent, Self::ClientOnly, Self::Valid, Self::Invalid];

    /// Returns the name of the kind, such as `client_only`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::ClientOnly => "client_only",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }
}

/// Makes and checks cookies; its `Debug` form hides the secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookies {
    /// Makes cookies.
    secret: [u8; SECRET_BYTES],
    /// Those that made cookies before, which are still taken.
    former: Vec<[u8; SECRET_BYTES]>,
}

impl Cookies {
    /// Creates cookies with one secret.
    pub fn new(secret: [u8; SECRET_BYTES]) -> Self {
        Self {
            secret,
            former: Vec::new(),
        }
    }

    /// Parses secrets, 1 to 8 lines of 32 hexadecimal digits: the one that makes cookies, then
    /// those whose cookies are still taken.
    ///
    /// # Errors
    ///
    /// Returns the reason in words, which tells nothing of the secrets.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().zip(1..);
        let secrets = lines.map(|(line, number)| {
            parse_secret(line).ok_or_else(|| format!("line {number} is not 32 hexadecimal digits"))
        });
        let secrets = secrets.collect::<Result<Vec<_>, _>>()?;
        if secrets.len() > SECRETS_MAX {
            return Err(format!(
                "{} secrets, more than {SECRETS_MAX}",
                secrets.len()
            ));
        }
        let (secret, former) = secrets.split_first().ok_or("there is no secret")?;
        Ok(Self {
            secret: *secret,
            former: former.to_vec(),
        })
    }

    /// Makes a cookie for a client at an address: its own part and ours.
    pub(crate) fn make(
        &self,
        client: &[u8; CLIENT_BYTES],
        address: IpAddr,
        now: u32,
    ) -> [u8; COOKIE_BYTES] {
        let mut cookie = [0; COOKIE_BYTES];
        cookie[..CLIENT_BYTES].copy_from_slice(client);
        cookie[CLIENT_BYTES] = VERSION;
        cookie[CLIENT_BYTES + 4..CLIENT_BYTES + HEAD_BYTES].copy_from_slice(&now.to_be_bytes());
        let (signed, hash) = cookie.split_at_mut(CLIENT_BYTES + HEAD_BYTES);
        hash.copy_from_slice(&sign(&self.secret, signed, address).to_le_bytes());
        cookie
    }

    /// Checks the server's part of a cookie that came from a client at an address.
    pub(crate) fn check(
        &self,
        client: &[u8; CLIENT_BYTES],
        server: &[u8],
        address: IpAddr,
        now: u32,
    ) -> CookieKind {
        if server.is_empty() {
            return CookieKind::ClientOnly;
        }
        let Some((head, hash)) = server.split_first_chunk::<HEAD_BYTES>() else {
            return CookieKind::Invalid;
        };
        let [version, _, _, _, made @ ..] = *head;
        let hash = hash.try_into().map(u64::from_le_bytes).ok();
        let Some(hash) = hash.filter(|_| version == VERSION && is_fresh(made, now)) else {
            return CookieKind::Invalid;
        };
        let mut signed = [0; CLIENT_BYTES + HEAD_BYTES];
        signed[..CLIENT_BYTES].copy_from_slice(client);
        signed[CLIENT_BYTES..].copy_from_slice(head);
        let mut secrets = iter::once(&self.secret).chain(&self.former);
        match secrets.any(|secret| sign(secret, &signed, address) == hash) {
            true => CookieKind::Valid,
            false => CookieKind::Invalid,
        }
    }
}

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookies(hidden)")
    }
}

/// Tells whether a cookie of this timestamp is neither too old nor from too far in the future.
fn is_fresh(made: [u8; 4], now: u32) -> bool {
    // Timestamps start anew after 2106, and are compared as serial numbers (RFC 1982).
    let age = now.wrapping_sub(u32::from_be_bytes(made)) as i32;
    (-AHEAD_MAX..=AGE_MAX).contains(&age)
}

fn sign(secret: &[u8; SECRET_BYTES], signed: &[u8], address: IpAddr) -> u64 {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(signed);
    // By a socket for both families a client of v4 comes with an address of v6.
    match address.to_canonical() {
        IpAddr::V4(v4) => hasher.write(&v4.octets()),
        IpAddr::V6(v6) => hasher.write(&v6.octets()),
    }
    hasher.finish()
}

fn parse_secret(line: &str) -> Option<[u8; SECRET_BYTES]> {
    let line = line.trim();
    let digits = line.chars().map(|digit| digit.to_digit(16));
    let digits = digits.collect::<Option<Vec<u32>>>()?;
    let (pairs, rest) = digits.as_chunks();
    let bytes = pairs.iter().map(|[high, low]| (high << 4 | low) as u8);
    let bytes = Some(bytes.collect::<Vec<_>>()).filter(|_| rest.is_empty());
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
        assert_eq!(text.len(), 2 * N);
        std::array::from_fn(byte)
    }

    /// Checks a cookie that came and returns the one that goes.
    fn exchange(
        cookies: &Cookies,
        came: &str,
        address: &str,
        now: u32,
    ) -> (CookieKind, [u8; COOKIE_BYTES]) {
        let client = hex(&came[..16]);
        let server: Vec<u8> = match came.len() {
            16 => Vec::new(),
            _ => hex::<16>(&came[16..]).into(),
        };
        let address = address.parse().unwrap();
        let kind = cookies.check(&client, &server, address, now);
        (kind, cookies.make(&client, address, now))
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    #[test]
    fn a_client_learns_a_cookie_and_renews_it() {
        // RFC 9018, sections A.1 and A.2.
        let cookies = Cookies::parse(SECRET).unwrap();
        let address = "198.51.100.100";
        let first = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        assert_eq!(
            exchange(&cookies, "2464c4abcf10c957", address, 1_559_731_985),
            (CookieKind::ClientOnly, hex(first))
        );
        let later = hex("2464c4abcf10c957010000005cf7a871d4a564a1442aca77");
        assert_eq!(
            exchange(&cookies, first, address, 1_559_734_385),
            (CookieKind::Valid, later)
        );
    }

    #[test]
    fn reserved_bytes_are_signed_and_not_looked_at() {
        // RFC 9018, section A.3: the cookie is almost two hours old when it is renewed.
        let cookies = Cookies::parse(SECRET).unwrap();
        let came = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
        let address = "203.0.113.203";
        let goes = hex("fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e");
        assert_eq!(
            exchange(&cookies, came, address, 1_559_734_700),
            (CookieKind::Invalid, goes)
        );
        let (kind, _) = exchange(&cookies, came, address, 1_559_728_000);
        assert_eq!(kind, CookieKind::Valid);
    }

    #[test]
    fn cookies_of_the_secret_before_are_taken() {
        // RFC 9018, section A.4.
        let (new, old) = (
            "445536bcd2513298075a5d379663c962",
            "dd3bdf9344b678b185a6f5cb60fca715",
        );
        let came = "22681ab97d52c298010000005cf7c57926556bd0934c72f8";
        let address = "2001:db8:220:1:59de:d0f4:8769:82b8";
        let goes = hex("22681ab97d52c298010000005cf7c609a6bb79d16625507a");
        let both = Cookies::parse(&format!("{new}\n{old}")).unwrap();
        assert_eq!(
            exchange(&both, came, address, 1_559_741_961),
            (CookieKind::Valid, goes)
        );
        let new = Cookies::parse(new).unwrap();
        assert_eq!(
            exchange(&new, came, address, 1_559_741_961),
            (CookieKind::Invalid, goes)
        );
    }

    #[test]
    fn a_cookie_is_good_for_its_client_and_an_hour() {
        let cookies = Cookies::new([7; 16]);
        let made = u32::MAX - 10;
        let [client, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let cookie = cookies.make(&[1; 8], client, made);
        let check = |own: u8, address, now: u32| {
            cookies.check(&[own; 8], &cookie[CLIENT_BYTES..], address, now)
        };
        let at = |after: i32| check(1, client, made.wrapping_add_signed(after));
        for after in [-300, 0, 3600] {
            assert_eq!(at(after), CookieKind::Valid, "{after}");
        }
        for after in [-301, 3601, i32::MIN] {
            assert_eq!(at(after), CookieKind::Invalid, "{after}");
        }
        assert_eq!(check(2, client, made), CookieKind::Invalid);
        assert_eq!(check(1, other, made), CookieKind::Invalid);
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(check(1, mapped, made), CookieKind::Valid);
    }

    #[test]
    fn a_cookie_that_differs_in_any_bit_is_wrong() {
        let cookies = Cookies::new([7; 16]);
        let client = "2001:db8::1".parse().unwrap();
        let cookie = cookies.make(&[1; 8], client, 1000);
        for bit in 0..8 * SERVER_BYTES {
            let mut server = cookie[CLIENT_BYTES..].to_vec();
            server[bit / 8] ^= 1 << (bit % 8);
            let kind = cookies.check(&[1; 8], &server, client, 1000);
            assert_eq!(kind, CookieKind::Invalid, "{bit}");
        }
        for len in [8, 15, 17, 32] {
            let mut server = cookie[CLIENT_BYTES..].to_vec();
            server.resize(len, 0);
            let kind = cookies.check(&[1; 8], &server, client, 1000);
            assert_eq!(kind, CookieKind::Invalid, "{len}");
        }
    }

    #[test]
    fn secrets_are_lines_of_digits_and_never_shown() {
        assert_eq!(
            Cookies::parse(&format!("{SECRET}\r\n")),
            Ok(Cookies::new(hex(SECRET)))
        );
        let long = format!("{SECRET}\n").repeat(9);
        for (text, reason) in [
            ("", "there is no secret"),
            (&SECRET[1..], "line 1 is not 32 hexadecimal digits"),
            (&format!("{SECRET}00"), "line 1 is not"),
            (&format!("{SECRET}\n+{}", &SECRET[1..]), "line 2 is not"),
            (&long, "9 secrets, more than 8"),
        ] {
            let error = Cookies::parse(text).unwrap_err();
            assert!(error.contains(reason) && !error.contains(&SECRET[5..]));
        }
        assert_eq!(format!("{:?}", Cookies::new([7; 16])), "Cookies(hidden)");
    }

    #[test]
    fn kinds_are_counted_at_their_place_in_the_list() {
        for (index, kind) in CookieKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }
}
