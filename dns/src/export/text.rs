//! Names and records as master files have them.

use std::{
    fmt::{self, Write},
    net::{Ipv4Addr, Ipv6Addr},
};

use crate::{
    name::labels,
    rrset::key::{ALPN, IPV4_HINT, IPV6_HINT, NO_DEFAULT_ALPN, PORT},
    wire::rtype,
};

/// A name without the root's zero byte, written as an absolute one.
pub(super) struct Absolute<'a>(pub(super) &'a [u8]);

impl fmt::Display for Absolute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for label in labels(self.0) {
            for byte in label {
                write_byte(f, *byte, b" .\\\"();@$")?;
            }
            f.write_char('.')?;
        }
        if self.0.is_empty() {
            f.write_char('.')?;
        }
        Ok(())
    }
}

/// A record's type and content, written as both.
pub(super) struct Record<'a>(pub(super) u16, pub(super) &'a [u8]);

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Self(rtype, content) = self;
        match known(rtype, content) {
            Some(text) => f.write_str(&text),
            None => write_unknown(f, rtype, content),
        }
    }
}

/// Writes a type and a content that has no form of its own (RFC 3597, section 5).
fn write_unknown(f: &mut fmt::Formatter<'_>, rtype: u16, content: &[u8]) -> fmt::Result {
    write!(f, "TYPE{rtype} \\# {}", content.len())?;
    if !content.is_empty() {
        f.write_char(' ')?;
    }
    content.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Returns the text of a record; `None` for what has no form of its own here.
fn known(rtype: u16, content: &[u8]) -> Option<String> {
    Some(match rtype {
        rtype::A => format!("A {}", Ipv4Addr::from(<[u8; 4]>::try_from(content).ok()?)),
        rtype::AAAA => {
            let address = Ipv6Addr::from(<[u8; 16]>::try_from(content).ok()?);
            format!("AAAA {address}")
        }
        rtype::NS => format!("NS {}", whole_name(content)?),
        rtype::CNAME => format!("CNAME {}", whole_name(content)?),
        rtype::PTR => format!("PTR {}", whole_name(content)?),
        rtype::SRV => {
            let (priority, content) = number(content)?;
            let (weight, content) = number(content)?;
            let (port, content) = number(content)?;
            format!("SRV {priority} {weight} {port} {}", whole_name(content)?)
        }
        rtype::TXT => format!("TXT{}", strings(content)?),
        rtype::SVCB => format!("SVCB {}", service_binding(content)?),
        rtype::HTTPS => format!("HTTPS {}", service_binding(content)?),
        _ => return None,
    })
}

/// Reads the name that a content consists of.
fn whole_name(content: &[u8]) -> Option<Absolute<'_>> {
    let (name, rest) = name(content)?;
    rest.is_empty().then_some(name)
}

/// Reads a name and returns what follows its end.
fn name(content: &[u8]) -> Option<(Absolute<'_>, &[u8])> {
    let mut end = 0;
    while let len @ 1.. = *content.get(end)? {
        end += 1 + usize::from(len);
    }
    Some((Absolute(&content[..end]), &content[end + 1..]))
}

/// Reads a number of two bytes and returns what follows it.
fn number(content: &[u8]) -> Option<(u16, &[u8])> {
    let (bytes, rest) = content.split_first_chunk()?;
    Some((u16::from_be_bytes(*bytes), rest))
}

/// Writes the strings that a content consists of, each in quotes behind a space.
fn strings(mut content: &[u8]) -> Option<String> {
    let mut text = String::new();
    while let Some((len, rest)) = content.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(*len))?;
        text.push_str(" \"");
        for byte in string {
            write_byte(&mut text, *byte, b"\\\"").ok()?;
        }
        text.push('"');
        content = rest;
    }
    Some(text)
}

/// Writes the content of SVCB and HTTPS records (RFC 9460, section 2.1).
fn service_binding(content: &[u8]) -> Option<String> {
    let (priority, content) = number(content)?;
    let (target, mut content) = name(content)?;
    let mut text = format!("{priority} {target}");
    while !content.is_empty() {
        let (key, rest) = number(content)?;
        let (len, rest) = number(rest)?;
        let (value, rest) = rest.split_at_checked(usize::from(len))?;
        text.push(' ');
        text.push_str(&parameter(key, value)?);
        content = rest;
    }
    Some(text)
}

/// Writes one parameter; `None` where it would need more quoting than every server understands.
fn parameter(key: u16, value: &[u8]) -> Option<String> {
    Some(match key {
        ALPN => format!("alpn={}", list(alpn(value)?)?),
        NO_DEFAULT_ALPN if value.is_empty() => "no-default-alpn".to_owned(),
        PORT => format!("port={}", u16::from_be_bytes(value.try_into().ok()?)),
        IPV4_HINT => format!("ipv4hint={}", hints::<_, Ipv4Addr>(value)?),
        IPV6_HINT => format!("ipv6hint={}", hints::<_, Ipv6Addr>(value)?),
        _ => return None,
    })
}

/// Writes addresses of `N` bytes each; `None` where there is none, or not a whole one.
fn hints<const N: usize, A: From<[u8; N]> + ToString>(value: &[u8]) -> Option<String> {
    let (hints, []) = value.as_chunks::<N>() else {
        return None;
    };
    list(
        hints
            .iter()
            .map(|hint| A::from(*hint).to_string())
            .collect(),
    )
}

/// Writes items with commas between them; `None` where there is none.
fn list(items: Vec<String>) -> Option<String> {
    (!items.is_empty()).then(|| items.join(","))
}

/// Reads a list of protocol ids.
fn alpn(mut value: &[u8]) -> Option<Vec<String>> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._/".contains(byte);
    let mut ids = Vec::new();
    while let Some((len, rest)) = value.split_first() {
        let (id, rest) = rest.split_at_checked(usize::from(*len))?;
        if id.is_empty() || !id.iter().all(plain) {
            return None;
        }
        ids.push(String::from_utf8_lossy(id).into_owned());
        value = rest;
    }
    Some(ids)
}

/// Writes a byte, escaped where it isn't printable ASCII or is one of those that mean something.
fn write_byte(to: &mut impl Write, byte: u8, meaning: &[u8]) -> fmt::Result {
    match byte {
        // A name may have one, and not every server takes it behind a backslash.
        b' ' if meaning.contains(&byte) => to.write_str("\\032"),
        b' '..=b'~' if meaning.contains(&byte) => write!(to, "\\{}", char::from(byte)),
        b' '..=b'~' => to.write_char(char::from(byte)),
        _ => write!(to, "\\{byte:03}"),
    }
}
