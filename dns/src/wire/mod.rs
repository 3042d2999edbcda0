//! The format of messages (RFC 1035, section 4): reading a query, writing an answer.
//!
//! ```text
//! header   12 bytes: id, flags, and how many questions, answers, authorities and additionals
//! follow question name, type, class record   name, type, class, ttl (4 bytes), length (2 bytes),
//! that many bytes
//! ```

mod answer;
mod edns;
mod query;

pub(crate) use answer::{Answer, Section, fixed, pointer, wire_len};
pub(crate) use edns::{Edns, ExtendedError, Opt};
pub(crate) use query::{LowerCase, Query, Question};

/// The length of a message's header.
pub(crate) const HEADER_BYTES: usize = 12;

/// The length of a record's type, class, TTL and length: all but its name and content.
pub(crate) const FIXED_BYTES: usize = 10;

/// The owner of every record that was encoded in advance: a pointer to the question's name.
pub(crate) const OWNER_IS_QUESTION: [u8; 2] = [0xc0, HEADER_BYTES as u8];

/// The class of the internet.
pub(crate) const CLASS_IN: u16 = 1;

/// The class in which servers tell of themselves (RFC 4892).
pub(crate) const CLASS_CH: u16 = 3;

/// Types of records and of questions.
pub(crate) mod rtype {
    pub(crate) const A: u16 = 1;
    pub(crate) const NS: u16 = 2;
    pub(crate) const CNAME: u16 = 5;
    pub(crate) const SOA: u16 = 6;
    pub(crate) const PTR: u16 = 12;
    pub(crate) const HINFO: u16 = 13;
    pub(crate) const TXT: u16 = 16;
    pub(crate) const AAAA: u16 = 28;
    pub(crate) const SRV: u16 = 33;
    pub(crate) const OPT: u16 = 41;
    pub(crate) const SVCB: u16 = 64;
    pub(crate) const HTTPS: u16 = 65;
    pub(crate) const TKEY: u16 = 249;
    pub(crate) const TSIG: u16 = 250;
    pub(crate) const IXFR: u16 = 251;
    pub(crate) const AXFR: u16 = 252;
    pub(crate) const MAILB: u16 = 253;
    pub(crate) const MAILA: u16 = 254;
    pub(crate) const ANY: u16 = 255;
}

/// Says how a query went (RFC 1035, section 4.1.1; RFC 6891, section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Rcode {
    /// The name exists; there may be no record of the type.
    NoError,
    /// The query can't be read.
    FormErr,
    /// The name is ours and it isn't known yet whether it exists.
    ServFail,
    /// The name doesn't exist.
    NxDomain,
    /// The kind of query isn't supported.
    NotImp,
    /// The name isn't ours, or we don't answer that about it.
    Refused,
    /// The version of EDNS isn't known.
    BadVers,
    /// A valid cookie is wanted (RFC 7873, section 8).
    BadCookie,
}

impl Rcode {
    /// Every code that an answer can have.
    pub const ALL: [Self; 8] = [
        Self::NoError,
        Self::FormErr,
        Self::ServFail,
        Self::NxDomain,
        Self::NotImp,
        Self::Refused,
        Self::BadVers,
        Self::BadCookie,
    ];

    /// Returns the number, 12 bits wide.
    pub fn code(self) -> u16 {
        match self {
            Self::NoError => 0,
            Self::FormErr => 1,
            Self::ServFail => 2,
            Self::NxDomain => 3,
            Self::NotImp => 4,
            Self::Refused => 5,
            Self::BadVers => 16,
            Self::BadCookie => 23,
        }
    }

    /// Returns the mnemonic, such as `NXDOMAIN`.
    pub fn label(self) -> &'static str {
        match self {
            Self::NoError => "NOERROR",
            Self::FormErr => "FORMERR",
            Self::ServFail => "SERVFAIL",
            Self::NxDomain => "NXDOMAIN",
            Self::NotImp => "NOTIMP",
            Self::Refused => "REFUSED",
            Self::BadVers => "BADVERS",
            Self::BadCookie => "BADCOOKIE",
        }
    }
}
