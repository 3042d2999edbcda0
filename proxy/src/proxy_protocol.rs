//! The PROXY protocol, versions 1 and 2: what a load balancer says before the client's first byte.
//!
//! It is HAProxy's; `doc/proxy-protocol.txt` of its source defines it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header of version 1, in bytes with its CR LF.
const V1_BYTES_MAX: usize = 107;

/// The longest header of version 2, in bytes with the addresses and all that follows them; what the
/// smallest TCP segment holds, so that no sender makes longer ones without being told to.
const V2_BYTES_MAX: usize = 536;

const V1_SIGNATURE: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, version and command, family, and length of version 2, in bytes.
const V2_PREFIX_BYTES: usize = 16;

/// Says what a header says of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is the load balancer's own, or one of which it can't say more: its own addresses hold.
    Peer,
    /// It is a client's.
    Client {
        /// The client's own address.
        source: SocketAddr,
        /// Whom the client has connected to.
        destination: SocketAddr,
    },
}

/// Says how far a header is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// More bytes are needed.
    Partial,
    /// The header is so many bytes long.
    Complete(usize, Origin),
}

/// Says why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("it begins in neither of the two ways")]
    Signature,
    #[error("it is too long")]
    TooLong,
    #[error("its command or family is unknown")]
    Command,
    #[error("its addresses are malformed")]
    Addresses,
}

/// Reads the header that a connection begins with.
///
/// # Errors
///
/// Refuses what is no header as soon as that can be told: a guess would let a client say who it is.
pub(crate) fn read(bytes: &[u8]) -> Result<Read, Invalid> {
    if begins(bytes, V2_SIGNATURE) {
        return read_v2(bytes);
    }
    if begins(bytes, V1_SIGNATURE) {
        return read_v1(bytes);
    }
    Err(Invalid::Signature)
}

/// Tells whether bytes begin with a signature, as far as they are there.
fn begins(bytes: &[u8], signature: &[u8]) -> bool {
    let there = bytes.len().min(signature.len());
    bytes[..there] == signature[..there]
}

fn read_v1(bytes: &[u8]) -> Result<Read, Invalid> {
    let line = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', line) else {
        return match line.len() < V1_BYTES_MAX {
            true => Ok(Read::Partial),
            false => Err(Invalid::TooLong),
        };
    };
    let line = line[..end].strip_suffix(b"\r").ok_or(Invalid::Addresses)?;
    let text = std::str::from_utf8(line).map_err(|_| Invalid::Addresses)?;
    let mut words = text.split(' ').skip(1);
    let origin = match words.next() {
        // What follows is to be ignored.
        Some("UNKNOWN") => Origin::Peer,
        Some("TCP4") => v1_addresses::<Ipv4Addr>(words)?,
        Some("TCP6") => v1_addresses::<Ipv6Addr>(words)?,
        _ => return Err(Invalid::Command),
    };
    Ok(Read::Complete(end + 1, origin))
}

fn v1_addresses<'t, A>(mut words: impl Iterator<Item = &'t str>) -> Result<Origin, Invalid>
where
    A: std::str::FromStr + Into<IpAddr>,
{
    let address = |word: Option<&str>| -> Option<IpAddr> { Some(word?.parse::<A>().ok()?.into()) };
    let port = |word: Option<&str>| {
        let digits = word.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
        let padded = digits.len() > 1 && digits.starts_with('0');
        digits.parse::<u16>().ok().filter(|_| !padded)
    };
    let (source, destination) = (address(words.next()), address(words.next()));
    let (source_port, destination_port) = (port(words.next()), port(words.next()));
    match (
        source,
        destination,
        source_port,
        destination_port,
        words.next(),
    ) {
        (Some(source), Some(destination), Some(from), Some(to), None) => {
            Ok(client((source, from), (destination, to)))
        }
        _ => Err(Invalid::Addresses),
    }
}

fn read_v2(bytes: &[u8]) -> Result<Read, Invalid> {
    let Some((prefix, rest)) = bytes.split_at_checked(V2_PREFIX_BYTES) else {
        return Ok(Read::Partial);
    };
    let length = usize::from(u16::from_be_bytes([prefix[14], prefix[15]]));
    if V2_PREFIX_BYTES + length > V2_BYTES_MAX {
        return Err(Invalid::TooLong);
    }
    let is_local = match prefix[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err(Invalid::Command),
    };
    let address_bytes = match prefix[13] {
        // Unspecified, or a datagram's or a local socket's: no address of a client here.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => 0,
        0x11 => 12,
        0x21 => 36,
        _ => return Err(Invalid::Command),
    };
    if !is_local && length < address_bytes {
        return Err(Invalid::Addresses);
    }
    // The rest of it, such as what was said in TLS, is nothing that is asked for.
    let Some(addresses) = rest.get(..length) else {
        return Ok(Read::Partial);
    };
    let origin = match (is_local, address_bytes) {
        (true, _) | (false, 0) => Origin::Peer,
        (false, all) => v2_addresses(&addresses[..all]).ok_or(Invalid::Addresses)?,
    };
    Ok(Read::Complete(V2_PREFIX_BYTES + length, origin))
}

/// Reads both addresses and then both ports.
fn v2_addresses(bytes: &[u8]) -> Option<Origin> {
    let (addresses, ports) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    let (source, destination) = addresses.split_at(addresses.len() / 2);
    let address = |bytes: &[u8]| -> Option<IpAddr> {
        let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
        v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
            .ok()
    };
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    Some(client(
        (address(source)?, port(0)),
        (address(destination)?, port(2)),
    ))
}

/// An address of version 4 that is written as one of version 6 is one of version 4.
fn client(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Origin {
    Origin::Client {
        source: SocketAddr::new(source.0.to_canonical(), source.1),
        destination: SocketAddr::new(destination.0.to_canonical(), destination.1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn from(source: &str, destination: &str) -> Origin {
        Origin::Client {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [V2_SIGNATURE, &[command, family], &length, rest].concat()
    }

    #[test]
    fn a_line_names_both_addresses() {
        for (line, origin) in [
            (
                "PROXY TCP4 192.0.2.1 198.51.100.2 40000 80",
                from("192.0.2.1:40000", "198.51.100.2:80"),
            ),
            (
                "PROXY TCP6 2001:db8::1 2001:DB8::2 0 65535",
                from("[2001:db8::1]:0", "[2001:db8::2]:65535"),
            ),
            (
                "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2",
                from("192.0.2.1:1", "192.0.2.2:2"),
            ),
            ("PROXY UNKNOWN", Origin::Peer),
            ("PROXY UNKNOWN what ever", Origin::Peer),
        ] {
            let bytes = format!("{line}\r\nGET");
            let read = read(bytes.as_bytes());
            assert_eq!(read, Ok(Read::Complete(line.len() + 2, origin)), "{line}");
        }
    }

    #[test]
    fn a_line_that_is_not_to_the_letter_is_refused() {
        for line in [
            "GET / HTTP/1.1\r\n",
            "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
            "PROXY TCP4 ::1 ::2 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP6 [::1] [::2] 1 2\r\n",
            "PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n",
            "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY \r\n",
            "PROXY\r\n",
            "\r\nPROXY UNKNOWN\r\n",
        ] {
            assert!(read(line.as_bytes()).is_err(), "{line:?}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_BYTES_MAX - 16));
        assert!(read(long.as_bytes()).is_ok());
        assert_eq!(
            read(format!("PROXY UNKNOWN {}", "x".repeat(100)).as_bytes()),
            Err(Invalid::TooLong)
        );
    }

    #[test]
    fn a_binary_header_names_both_addresses_and_more() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 2, 0x9c, 0x40, 0, 80];
        let origin = from("192.0.2.1:40000", "198.51.100.2:80");
        assert_eq!(read(&v2(0x21, 0x11, &v4)), Ok(Read::Complete(28, origin)));
        let with_more = [&v4[..], &[4, 0, 1, 0]].concat();
        assert_eq!(
            read(&v2(0x21, 0x11, &with_more)),
            Ok(Read::Complete(32, origin))
        );
        let mut v6 = [0; 36];
        (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 3, 4);
        let origin = from("[::1]:3", "[::2]:4");
        assert_eq!(read(&v2(0x21, 0x21, &v6)), Ok(Read::Complete(52, origin)));
    }

    #[test]
    fn a_balancer_may_speak_for_itself() {
        for (command, family, rest) in [
            (0x20, 0x00, &[][..]),
            // What a LOCAL says of addresses is to be ignored, as little as it may be.
            (0x20, 0x11, &[1][..]),
            (0x21, 0x00, &[1, 2, 3]),
            (0x21, 0x12, &[0; 12]),
            (0x21, 0x31, &[0; 216]),
        ] {
            let bytes = v2(command, family, rest);
            assert_eq!(read(&bytes), Ok(Read::Complete(bytes.len(), Origin::Peer)));
        }
    }

    #[test]
    fn a_binary_header_that_is_not_to_the_letter_is_refused() {
        for (command, family, rest, error) in [
            (0x11, 0x11, 12, Invalid::Command),
            (0x22, 0x11, 12, Invalid::Command),
            (0x31, 0x11, 12, Invalid::Command),
            (0x21, 0x13, 12, Invalid::Command),
            (0x21, 0x41, 12, Invalid::Command),
            (0x21, 0x11, 11, Invalid::Addresses),
            (0x21, 0x21, 35, Invalid::Addresses),
            (0x21, 0x11, V2_BYTES_MAX - 15, Invalid::TooLong),
        ] {
            assert_eq!(read(&v2(command, family, &vec![0; rest])), Err(error));
        }
        let largest = v2(0x21, 0x11, &[0; V2_BYTES_MAX - 16]);
        assert!(matches!(
            read(&largest),
            Ok(Read::Complete(V2_BYTES_MAX, _))
        ));
    }

    proptest! {
        #[test]
        fn the_first_piece_of_a_header_is_neither_refused_nor_enough(cut in 0..28_usize) {
            let binary = v2(0x21, 0x11, &[1; 12]);
            prop_assert_eq!(read(&binary[..cut]), Ok(Read::Partial));
            let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n";
            prop_assert_eq!(read(&line[..cut]), Ok(Read::Partial));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..64), command: u8, family: u8) {
            for bytes in [v2(command, family, &bytes), bytes] {
                if let Ok(Read::Complete(length, _)) = read(&bytes) {
                    prop_assert!(length <= bytes.len());
                }
            }
        }
    }
}
