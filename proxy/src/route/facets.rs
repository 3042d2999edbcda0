//! What routes may look at in a request besides host and path.

use std::{
    borrow::Cow,
    cell::OnceCell,
    net::{IpAddr, SocketAddr},
};

use httparse::Header;
use ipnet::IpNet;
use smallvec::SmallVec;

use crate::{config::Scheme, http::fields::tokens};

/// Shows a request to routes; what takes work to find is found once, when it is asked for.
#[derive(Debug)]
pub(crate) struct Facets<'a> {
    pub(crate) method: &'a str,
    /// The port that the client has connected to.
    pub(crate) port: u16,
    pub(crate) headers: &'a [Header<'a>],
    pub(crate) query: Option<&'a str>,
    /// Who has connected.
    peer: IpAddr,
    /// Whether what the peer says of the scheme counts.
    is_trusted: bool,
    scheme: OnceCell<Scheme>,
    /// The proxies whose word on who the client is counts.
    proxies: &'a [IpNet],
    client: OnceCell<IpAddr>,
    parameters: OnceCell<Parameters<'a>>,
}

type Parameters<'a> = SmallVec<[(Cow<'a, [u8]>, Cow<'a, [u8]>); 4]>;

impl<'a> Facets<'a> {
    /// Shows a request from `peer`; the port is unknown until [`Facets::at_port`] says it.
    pub(crate) fn new(
        method: &'a str,
        headers: &'a [Header<'a>],
        query: Option<&'a str>,
        peer: IpAddr,
        proxies: &'a [IpNet],
    ) -> Self {
        Self {
            method,
            port: 0,
            headers,
            query,
            peer,
            is_trusted: false,
            scheme: OnceCell::new(),
            proxies,
            client: OnceCell::new(),
            parameters: OnceCell::new(),
        }
    }

    /// Says to which port the client has connected.
    pub(crate) fn at_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// Says whether the peer is believed which scheme the client has used.
    pub(crate) fn trusted(self, is_trusted: bool) -> Self {
        Self { is_trusted, ..self }
    }

    /// Says which scheme the client has used.
    pub(crate) fn by(self, scheme: Scheme) -> Self {
        Self {
            scheme: OnceCell::from(scheme),
            ..self
        }
    }

    /// Returns the scheme that the client has used, as far as a trusted proxy says it.
    pub(crate) fn scheme(&self) -> Scheme {
        *self.scheme.get_or_init(|| {
            let mut said = self.values("x-forwarded-proto").flat_map(tokens);
            match said.next() {
                Some(first) if self.is_trusted && first.eq_ignore_ascii_case(b"https") => {
                    Scheme::Https
                }
                _ => Scheme::Http,
            }
        })
    }

    /// Lists the values of all lines with this name.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let lines = self.headers.iter();
        lines
            .filter(move |line| line.name.eq_ignore_ascii_case(name))
            .map(|line| line.value)
    }

    /// Returns the client's address: the last one in `X-Forwarded-For` that isn't a trusted proxy's,
    /// as far as trusted proxies have written it, else the peer's.
    pub(crate) fn client(&self) -> IpAddr {
        *self.client.get_or_init(|| {
            let is_proxy = |address: &IpAddr| self.proxies.iter().any(|net| net.contains(address));
            let mut client = self.peer;
            let lines: SmallVec<[&[u8]; 2]> = self.values("x-forwarded-for").collect();
            let lines = lines.iter().rev();
            let mut hops = lines.flat_map(|line| line.rsplit(|byte| *byte == b','));
            while is_proxy(&client) {
                // What can't be read says nothing of who was before it.
                let Some(hop) = hops.next().and_then(address) else {
                    break;
                };
                client = hop;
            }
            client
        })
    }

    /// Lists the parameters of the query, decoded.
    pub(crate) fn parameters(&self) -> &Parameters<'a> {
        self.parameters.get_or_init(|| {
            let pairs = self.query.unwrap_or_default().as_bytes();
            let pairs = pairs.split(|byte| *byte == b'&');
            pairs
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let equals = memchr::memchr(b'=', pair);
                    let (name, value) = match equals {
                        Some(at) => (&pair[..at], &pair[at + 1..]),
                        None => (pair, &pair[pair.len()..]),
                    };
                    (decode(name), decode(value))
                })
                .collect()
        })
    }
}

/// Reads one address of `X-Forwarded-For`, which may have a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>();
    let address = address.or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// Decodes a name or a value of a query as forms write it; what is malformed stays as it is.
fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'%', b'+', text).is_none() {
        return Cow::Borrowed(text);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let encoded = match (first, after) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)),
            _ => None,
        };
        let (byte, length) = match (first, encoded) {
            (_, Some((high, low))) => ((16 * high + low) as u8, 3),
            (b'+', None) => (b' ', 1),
            (byte, None) => (*byte, 1),
        };
        decoded.push(byte);
        rest = &rest[length..];
    }
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let headers: Vec<_> = lines
            .iter()
            .map(|line| Header {
                name: "X-Forwarded-For",
                value: line.as_bytes(),
            })
            .collect();
        let proxies = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let facets = Facets::new("GET", &headers, None, peer.parse().unwrap(), &proxies);
        facets.client().to_string()
    }

    #[test]
    fn the_client_is_the_last_one_whom_no_trusted_proxy_is() {
        for (peer, lines, expected) in [
            ("192.0.2.1", &["198.51.100.1"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            (
                "10.0.0.1",
                &["203.0.113.9", "198.51.100.1, 10.9.9.9"],
                "198.51.100.1",
            ),
            ("10.0.0.1", &["10.0.0.3,10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("::1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", &["198.51.100.1:80"], "198.51.100.1"),
        ] {
            assert_eq!(client(peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn parameters_are_decoded() {
        let query = Some("a=1&b=%41+%zz&&c&=d&a=2=3");
        let facets = Facets::new("GET", &[], query, [127, 0, 0, 1].into(), &[]);
        let parameters = facets.parameters().iter();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let pairs: Vec<_> = parameters
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        let expected = [
            ("a", "1"),
            ("b", "A %zz"),
            ("c", ""),
            ("", "d"),
            ("a", "2=3"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs, expected);
    }
}
