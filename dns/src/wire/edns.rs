//! The OPT record (RFC 6891): reading a query's, writing an answer's.

use super::{FIXED_BYTES, Rcode, fixed, rtype};
use crate::cookie::{CLIENT_BYTES, COOKIE_BYTES};

/// The length of an OPT record without options: the root's name and what every record has.
const OPT_BYTES: usize = 1 + FIXED_BYTES;

/// The length of what stands before an option's content: 2 bytes of code, 2 of length.
const OPTION_HEAD_BYTES: usize = 4;

/// The length of a keepalive's content.
const KEEPALIVE_BYTES: usize = 2;

/// The length of an extended error without a text.
const EXTENDED_ERROR_BYTES: usize = OPTION_HEAD_BYTES + 2;

/// The bit in the OPT record's flags that asks for signatures (RFC 3225).
const FLAG_DO: u8 = 0x80;

/// Codes of options.
mod code {
    pub(super) const NSID: u16 = 3;
    pub(super) const SUBNET: u16 = 8;
    pub(super) const COOKIE: u16 = 10;
    pub(super) const KEEPALIVE: u16 = 11;
    pub(super) const EXTENDED_ERROR: u16 = 15;
}

/// What the query's OPT record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edns<'a> {
    /// The largest answer over UDP in bytes that the client can take.
    pub(crate) payload: u16,
    /// Anything but 0 isn't known to us.
    pub(crate) version: u8,
    /// Whether signatures are asked for (DO).
    pub(crate) dnssec_ok: bool,
    /// Whether the server's name is asked for (RFC 5001).
    pub(crate) nsid_asked: bool,
    /// Whether the client wants to keep a TCP connection (RFC 7828).
    pub(crate) keepalive_asked: bool,
    /// The content of the client subnet option (RFC 7871, section 6), when it is well-formed.
    pub(crate) subnet: Option<&'a [u8]>,
    /// The cookie, when it is well-formed.
    pub(crate) cookie: Option<CookieOption<'a>>,
}

/// The cookie of a query (RFC 7873, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CookieOption<'a> {
    /// What the client made up.
    pub(crate) client: &'a [u8; CLIENT_BYTES],
    /// What it has from a server, 8 to 32 bytes, or nothing.
    pub(crate) server: &'a [u8],
}

impl<'a> CookieOption<'a> {
    /// Reads an option's content; `None` when its length can't be (RFC 7873, section 5.2.2).
    fn read(content: &'a [u8]) -> Option<Self> {
        let (client, server) = content.split_first_chunk()?;
        matches!(server.len(), 0 | 8..=32).then_some(Self { client, server })
    }
}

impl<'a> Edns<'a> {
    /// Reads the fields of an OPT record; returns as well whether its options are well-formed.
    ///
    /// Of options that come twice the first holds, as RFC 7873, section 5.2 has it for cookies.
    pub(super) fn read(payload: u16, ttl: [u8; 4], content: &'a [u8]) -> (Self, bool) {
        let mut edns = Self {
            payload,
            version: ttl[1],
            dnssec_ok: ttl[2] & FLAG_DO != 0,
            nsid_asked: false,
            keepalive_asked: false,
            subnet: None,
            cookie: None,
        };
        // Another version may have another form of options, or none.
        let good = edns.version != 0 || edns.read_options(content);
        (edns, good)
    }

    fn read_options(&mut self, mut options: &'a [u8]) -> bool {
        let mut good = true;
        while !options.is_empty() {
            let Some((&[c1, c2, l1, l2], rest)) = options.split_first_chunk() else {
                return false;
            };
            let len = usize::from(u16::from_be_bytes([l1, l2]));
            let Some((content, rest)) = rest.split_at_checked(len) else {
                return false;
            };
            good &= self.read_option(u16::from_be_bytes([c1, c2]), content);
            options = rest;
        }
        good
    }

    /// Takes an option; returns whether it is well-formed, which those that we don't know are.
    fn read_option(&mut self, code: u16, content: &'a [u8]) -> bool {
        match code {
            // A content is to be ignored (RFC 5001, section 2.1).
            code::NSID => {
                self.nsid_asked = true;
                true
            }
            // Clients have no say in how long.
            code::KEEPALIVE => {
                self.keepalive_asked = true;
                true
            }
            // Some that want nothing of their address told don't say of which kind it is either. Others
            // couldn't read such an option in an answer.
            code::SUBNET if content == [0; 4] => true,
            code::SUBNET if self.subnet.is_none() => {
                self.subnet = Some(content).filter(|content| is_subnet(content));
                self.subnet.is_some()
            }
            code::COOKIE if self.cookie.is_none() => {
                self.cookie = CookieOption::read(content);
                self.cookie.is_some()
            }
            _ => true,
        }
    }
}

/// Tells whether a client subnet option is as RFC 7871, section 6 wants it in a query: 2 bytes of
/// family, the prefix length of the source, that of the scope (0), and the prefix.
fn is_subnet(content: &[u8]) -> bool {
    let Some((&[0, family, source, 0], prefix)) = content.split_first_chunk() else {
        return false;
    };
    let bits_max = match family {
        1 => 32,
        2 => 128,
        _ => return false,
    };
    let beyond = match source % 8 {
        0 => 0,
        bits => 0xff_u8 >> bits,
    };
    source <= bits_max
        && prefix.len() == usize::from(source.div_ceil(8))
        && prefix.last().is_none_or(|last| last & beyond == 0)
}

/// Says why a query went as it did, beyond the response code (RFC 8914, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtendedError {
    /// A source of the zone has lost its store; what it said may be old.
    StaleAnswer = 3,
    /// The answer isn't known yet.
    NotReady = 14,
    /// Nobody is told that.
    Prohibited = 18,
    /// As [`ExtendedError::StaleAnswer`], where the answer is that there is no such name.
    StaleNxDomain = 19,
    /// The name is in none of the zones.
    NotAuthoritative = 20,
}

/// The OPT record of an answer, less what is known only when the answer is.
#[derive(Debug)]
pub(crate) struct Opt<'a> {
    /// The largest query over UDP in bytes that we take.
    pub(crate) payload: u16,
    /// Repeated from the query (RFC 3225, section 3), although nothing here is signed.
    pub(crate) dnssec_ok: bool,
    /// The server's name, where it is asked for and told.
    pub(crate) nsid: Option<&'a [u8]>,
    /// The query's client subnet. Its scope stays 0: the answer is the same for every client.
    pub(crate) subnet: Option<&'a [u8]>,
    /// How long the connection is kept without a query, in units of 100 ms (RFC 7828).
    pub(crate) keepalive: Option<u16>,
    /// A new cookie for who sent one.
    pub(crate) cookie: Option<[u8; COOKIE_BYTES]>,
}

impl Opt<'_> {
    /// Returns the most bytes that the record takes, with an extended error.
    pub(super) fn len_max(&self) -> usize {
        let options = [
            self.nsid.map(<[u8]>::len),
            self.subnet.map(<[u8]>::len),
            self.keepalive.map(|_| KEEPALIVE_BYTES),
            self.cookie.map(|cookie| cookie.len()),
        ];
        let options = options.into_iter().flatten();
        OPT_BYTES + options.map(|len| OPTION_HEAD_BYTES + len).sum::<usize>() + EXTENDED_ERROR_BYTES
    }

    /// Returns the record without an error.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len_max()];
        let length = self.write(&mut bytes, Rcode::NoError, None);
        bytes.truncate(length);
        bytes
    }

    /// Writes the record at the start of `out`, which has room for [`Opt::len_max`]; returns its
    /// length.
    pub(super) fn write(
        &self,
        out: &mut [u8],
        rcode: Rcode,
        error: Option<ExtendedError>,
    ) -> usize {
        let mut at = OPT_BYTES;
        if let Some(nsid) = self.nsid {
            at = put_option(out, at, code::NSID, nsid);
        }
        if let Some(subnet) = self.subnet {
            at = put_option(out, at, code::SUBNET, subnet);
        }
        if let Some(keepalive) = self.keepalive {
            at = put_option(out, at, code::KEEPALIVE, &keepalive.to_be_bytes());
        }
        if let Some(cookie) = self.cookie {
            at = put_option(out, at, code::COOKIE, &cookie);
        }
        if let Some(error) = error {
            let number = (error as u16).to_be_bytes();
            at = put_option(out, at, code::EXTENDED_ERROR, &number);
        }
        let [code_high, _] = (rcode.code() << 4).to_be_bytes();
        let flags = if self.dnssec_ok { FLAG_DO } else { 0 };
        let ttl = u32::from_be_bytes([code_high, 0, flags, 0]);
        out[0] = 0;
        out[1..OPT_BYTES].copy_from_slice(&fixed(rtype::OPT, ttl, at - OPT_BYTES));
        // Where other records have their class.
        out[3..5].copy_from_slice(&self.payload.to_be_bytes());
        at
    }
}

/// Writes an option at `at`; returns where it ends.
fn put_option(out: &mut [u8], at: usize, code: u16, content: &[u8]) -> usize {
    let start = at + OPTION_HEAD_BYTES;
    let end = start + content.len();
    // A record's content is shorter than 65,536 bytes, and an option's is part of one.
    let len = content.len() as u16;
    out[at..at + 2].copy_from_slice(&code.to_be_bytes());
    out[at + 2..start].copy_from_slice(&len.to_be_bytes());
    out[start..end].copy_from_slice(content);
    end
}
