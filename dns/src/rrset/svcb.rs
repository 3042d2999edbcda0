//! SVCB and HTTPS records (RFC 9460).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{RrSet, encode::Builder};
use crate::{
    http::{Endpoint, HTTP_1},
    name::Name,
};

/// The most addresses of one family in a record: they are hints, and all are at the target's name.
const HINTS_MAX: usize = 8;

/// Keys of parameters (RFC 9460, section 14.3.2), in the order in which they must stand.
pub(crate) mod key {
    pub(crate) const ALPN: u16 = 1;
    pub(crate) const NO_DEFAULT_ALPN: u16 = 2;
    pub(crate) const PORT: u16 = 3;
    pub(crate) const IPV4_HINT: u16 = 4;
    pub(crate) const IPV6_HINT: u16 = 6;
}

/// What one SVCB or HTTPS record says.
#[derive(Debug)]
pub(crate) struct Svcb<'a> {
    /// Not 0, for that would make it an alias (RFC 9460, section 2.4.1); the lowest goes first.
    pub(crate) priority: u16,
    pub(crate) target: Name,
    pub(crate) endpoint: Endpoint,
    /// The target's addresses.
    pub(crate) addresses: &'a [IpAddr],
}

impl Svcb<'_> {
    /// Encodes the parameters.
    fn params(&self) -> Vec<u8> {
        let mut params = Vec::new();
        let mut put = |key: u16, value: &[u8]| {
            params.extend(key.to_be_bytes());
            params.extend((value.len() as u16).to_be_bytes());
            params.extend(value);
        };
        let mut ids = Vec::new();
        for id in &self.endpoint.alpn {
            ids.push(id.len() as u8);
            ids.extend(id.as_bytes());
        }
        put(key::ALPN, &ids);
        if self.lacks_default() {
            put(key::NO_DEFAULT_ALPN, &[]);
        }
        put(key::PORT, &self.endpoint.port.to_be_bytes());
        let v4: Vec<_> = self.v4().flat_map(|v4| v4.octets()).collect();
        let v6: Vec<_> = self.v6().flat_map(|v6| v6.octets()).collect();
        // A list without a value is malformed (RFC 9460, section 7.3).
        for (key, hints) in [(key::IPV4_HINT, v4), (key::IPV6_HINT, v6)] {
            if !hints.is_empty() {
                put(key, &hints);
            }
        }
        params
    }

    /// Tells whether clients must be told that there is no HTTP/1.1, which they would try otherwise:
    /// over TCP, even where there is nothing but HTTP/3 (RFC 9460, section 7.1.2).
    fn lacks_default(&self) -> bool {
        !self.endpoint.alpn.contains(&HTTP_1)
    }

    fn v4(&self) -> impl Iterator<Item = Ipv4Addr> {
        let all = self.addresses.iter();
        all.filter_map(|address| match address {
            IpAddr::V4(v4) => Some(*v4),
            IpAddr::V6(_) => None,
        })
        .take(HINTS_MAX)
    }

    fn v6(&self) -> impl Iterator<Item = Ipv6Addr> {
        let all = self.addresses.iter();
        all.filter_map(|address| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => Some(*v6),
        })
        .take(HINTS_MAX)
    }
}

/// Writes the record's content as in a zone file (RFC 9460, section 2.1).
impl fmt::Display for Svcb<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alpn = self.endpoint.alpn.join(",");
        write!(f, "{} {}. alpn={alpn}", self.priority, self.target)?;
        if self.lacks_default() {
            f.write_str(" no-default-alpn")?;
        }
        write!(f, " port={}", self.endpoint.port)?;
        let v4: Vec<_> = self.v4().map(|v4| v4.to_string()).collect();
        let v6: Vec<_> = self.v6().map(|v6| v6.to_string()).collect();
        for (key, hints) in [("ipv4hint", v4), ("ipv6hint", v6)] {
            if !hints.is_empty() {
                write!(f, " {key}={}", hints.join(","))?;
            }
        }
        Ok(())
    }
}

/// Makes SVCB or HTTPS records, and the address records that go with them; `None` when there are
/// none.
pub(crate) fn svcb(rtype: u16, records: &[Svcb<'_>], ttl: u32) -> Option<RrSet> {
    let mut builder = Builder::new(rtype, ttl);
    for record in records {
        let priority = record.priority.to_be_bytes();
        builder.push(&[&priority, record.target.as_bytes(), &[0], &record.params()]);
        builder.push_additional(record.addresses);
    }
    builder.finish_some()
}
