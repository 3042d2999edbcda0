//! Which addresses a reverse name stands for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smallvec::SmallVec;

use crate::name::{labels, relative};

/// Holds addresses that start alike: those of a reverse name and of the names below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) first: IpAddr,
    pub(crate) last: IpAddr,
}

impl Block {
    /// Reads a name under `in-addr.arpa` (RFC 1035, section 3.5) or `ip6.arpa` (RFC 3596), whole or
    /// from some label on.
    pub(crate) fn parse(name: &[u8]) -> Option<Self> {
        if let Some(octets) = relative(name, b"\x07in-addr\x04arpa") {
            let (bits, free) = bits(octets, 32, 8, decimal)?;
            let address = |bits: u128| Ipv4Addr::from(bits as u32).into();
            return Some(Self {
                first: address(bits),
                last: address(bits | ones(free)),
            });
        }
        let nibbles = relative(name, b"\x03ip6\x04arpa")?;
        let (bits, free) = bits(nibbles, 128, 4, nibble)?;
        Some(Self {
            first: Ipv6Addr::from(bits).into(),
            last: Ipv6Addr::from(bits | ones(free)).into(),
        })
    }

    /// Returns the address, where the name is whole.
    pub(crate) fn address(self) -> Option<IpAddr> {
        (self.first == self.last).then_some(self.first)
    }
}

/// Reads labels of `width` bits each, the last one first; returns the bits in front, and how many of
/// `total` are free behind them.
fn bits(
    name: &[u8],
    total: usize,
    width: usize,
    read: impl Fn(&[u8]) -> Option<u8>,
) -> Option<(u128, usize)> {
    // No more are worth a look than an address has.
    let most = total / width + 1;
    let labels: SmallVec<[&[u8]; 36]> = labels(name).take(most).collect();
    let free = total.checked_sub(labels.len() * width)?;
    let mut bits = 0;
    for label in labels.into_iter().rev() {
        bits = bits << width | u128::from(read(label)?);
    }
    Some((bits.checked_shl(free as u32).unwrap_or(0), free))
}

/// Returns `count` ones, up to 128.
fn ones(count: usize) -> u128 {
    u128::MAX.checked_shr(128 - count as u32).unwrap_or(0)
}

/// Reads one hexadecimal digit, in lower case as all names are.
fn nibble(label: &[u8]) -> Option<u8> {
    let &[digit] = label else {
        return None;
    };
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

/// Reads a number from 0 to 255; "01" and "+1" are no ways to write 1 here.
fn decimal(label: &[u8]) -> Option<u8> {
    let digits = label.iter().all(u8::is_ascii_digit);
    let shortest = label.len() == 1 || label.first() != Some(&b'0');
    if !digits || !shortest {
        return None;
    }
    str::from_utf8(label).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    fn block_of(text: &str) -> Option<Block> {
        Block::parse(Name::parse(text).unwrap().as_bytes())
    }

    fn address_of(text: &str) -> Option<IpAddr> {
        block_of(text)?.address()
    }

    #[test]
    fn reverse_names_are_addresses() {
        let v4 = address_of("3.2.0.192.in-addr.arpa");
        assert_eq!(v4, Some("192.0.2.3".parse().unwrap()));
        let v6 = format!(
            "{}8.b.d.0.1.0.0.2.ip6.arpa",
            "1.".to_owned() + &"0.".repeat(23)
        );
        assert_eq!(address_of(&v6), Some("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn a_name_that_is_not_whole_stands_for_all_below_it() {
        for (name, first, last) in [
            ("in-addr.arpa", "0.0.0.0", "255.255.255.255"),
            ("10.in-addr.arpa", "10.0.0.0", "10.255.255.255"),
            ("0.2.10.in-addr.arpa", "10.2.0.0", "10.2.0.255"),
            ("ip6.arpa", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            (
                "2.ip6.arpa",
                "2000::",
                "2fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (
                "8.b.d.0.1.0.0.2.ip6.arpa",
                "2001:db8::",
                "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
        ] {
            let block = block_of(name).unwrap();
            let expected = [first, last].map(|text| text.parse::<IpAddr>().unwrap());
            assert_eq!([block.first, block.last], expected, "{name}");
            assert_eq!(block.address(), None, "{name}");
        }
    }

    #[test]
    fn other_names_are_none() {
        for text in [
            "1.0.0.127.in-addr.arpa.x",
            "5.1.0.0.127.in-addr.arpa",
            "256.0.0.127.in-addr.arpa",
            "01.0.0.127.in-addr.arpa",
            "+1.0.0.127.in-addr.arpa",
            "00.0.0.127.in-addr.arpa",
            "x.0.0.127.in-addr.arpa",
            "10.ip6.arpa",
            "g.ip6.arpa",
            "arpa",
        ] {
            assert_eq!(block_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_label_that_ends_like_the_domain_is_not_below_it() {
        let v4 = b"\x011\x010\x010\x03127\x0d\x07in-addr\x04arpa";
        assert_eq!(Block::parse(v4), None);
        let v6 = [&b"\x010".repeat(32)[..], b"\x09\x03ip6\x04arpa"].concat();
        assert_eq!(Block::parse(&v6), None);
    }

    #[test]
    fn every_octet_has_one_way_to_be_written() {
        for octet in 0..=u8::MAX {
            assert_eq!(decimal(octet.to_string().as_bytes()), Some(octet));
        }
        assert_eq!(decimal(b""), None);
    }
}
