//! Domain names as DNS carries them.

use std::{
    cmp, fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// The most bytes of a name without the root's zero byte (RFC 1035, section 2.3.4: 255 with it).
pub(crate) const NAME_BYTES_MAX: usize = 254;

/// The most bytes of one label.
pub(crate) const LABEL_BYTES_MAX: usize = 63;

/// How many bytes of a name have room beside its length in the space of a pointer to more.
const SHORT_BYTES_MAX: usize = 22;

/// Holds a name in lower case: each label behind a byte with its length, without the root's zero
/// byte.
///
/// Without the root, a name relative to a domain and an absolute one are the same thing, and
/// putting the one before the other is a concatenation.
#[derive(Clone)]
pub(crate) struct Name(Bytes);

/// Most names are short, and are compared on every query: those are kept in place.
#[derive(Clone)]
enum Bytes {
    Short(u8, [u8; SHORT_BYTES_MAX]),
    Long(Arc<[u8]>),
}

impl Name {
    /// Parses `a.b.c`, with or without a final dot; the labels may have any characters but dots.
    ///
    /// # Errors
    ///
    /// Returns the reason in words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut name = NameBuf::default();
        for label in text.strip_suffix('.').unwrap_or(text).split('.') {
            if label.is_empty() || label.len() > LABEL_BYTES_MAX {
                return Err(format!("has a label of {} bytes", label.len()));
            }
            name.push(label)
                .map_err(|TooLong| format!("has more than {NAME_BYTES_MAX} bytes"))?;
        }
        Ok(name.finish())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short(len, bytes) => &bytes[..usize::from(*len)],
            Bytes::Long(bytes) => bytes,
        }
    }

    /// Returns the part before `domain`, when this name is `domain` or below it.
    pub(crate) fn relative_to(&self, domain: &Self) -> Option<Self> {
        relative(self.as_bytes(), domain.as_bytes()).map(Self::from)
    }

    /// Returns the name that starts with this one and goes on with `domain`, if there can be one.
    pub(crate) fn below(&self, domain: &Self) -> Result<Self, TooLong> {
        let mut name = NameBuf::default();
        name.extend(self.as_bytes())?;
        name.extend(domain.as_bytes())?;
        Ok(name.finish())
    }
}

impl From<&[u8]> for Name {
    fn from(bytes: &[u8]) -> Self {
        let mut short = [0; SHORT_BYTES_MAX];
        Self(match short.get_mut(..bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                Bytes::Short(bytes.len() as u8, short)
            }
            None => Bytes::Long(bytes.into()),
        })
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, label) in labels(self.as_bytes()).enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            f.write_str(&String::from_utf8_lossy(label))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Says that a label or a name is longer than DNS allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Builds a name on the stack, label by label from the left.
#[derive(Debug, Clone)]
pub(crate) struct NameBuf {
    bytes: [u8; NAME_BYTES_MAX],
    len: usize,
}

impl Default for NameBuf {
    fn default() -> Self {
        Self {
            bytes: [0; NAME_BYTES_MAX],
            len: 0,
        }
    }
}

impl NameBuf {
    /// Adds a label in lower case.
    pub(crate) fn push(&mut self, label: &str) -> Result<(), TooLong> {
        self.push_parts([label.as_bytes()])
    }

    /// Adds `_label`, as the names of SRV records have them (RFC 2782).
    pub(crate) fn push_underscored(&mut self, label: &str) -> Result<(), TooLong> {
        self.push_parts([b"_", label.as_bytes()])
    }

    /// Adds bytes that are labels already.
    pub(crate) fn extend(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        let room = self.bytes[self.len..]
            .get_mut(..bytes.len())
            .ok_or(TooLong)?;
        room.copy_from_slice(bytes);
        self.len += bytes.len();
        Ok(())
    }

    pub(crate) fn finish(&self) -> Name {
        Name::from(&self.bytes[..self.len])
    }

    fn push_parts<const N: usize>(&mut self, parts: [&[u8]; N]) -> Result<(), TooLong> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len > LABEL_BYTES_MAX || self.len + 1 + len > NAME_BYTES_MAX {
            return Err(TooLong);
        }
        self.extend(&[len as u8])?;
        for part in parts {
            self.extend(part)?;
        }
        self.bytes[self.len - len..self.len].make_ascii_lowercase();
        Ok(())
    }
}

/// Lists the labels of a name from the left.
pub(crate) fn labels(mut name: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = name.split_first()?;
        let (label, rest) = rest.split_at_checked(usize::from(*len))?;
        name = rest;
        Some(label)
    })
}

/// Returns the name without its first label; `None` for the empty name.
pub(crate) fn parent(name: &[u8]) -> Option<&[u8]> {
    let len = usize::from(*name.first()?);
    name.get(1 + len..)
}

/// Returns what stands before `domain` in `name`, when it is `domain` or below it.
pub(crate) fn relative<'a>(name: &'a [u8], domain: &[u8]) -> Option<&'a [u8]> {
    let before = name.strip_suffix(domain)?;
    // The bytes may agree by accident in the middle of a label.
    let mut rest = name;
    while rest.len() > domain.len() {
        rest = parent(rest)?;
    }
    (rest.len() == domain.len()).then_some(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn a_name_is_read_in_lower_case_and_written_back() {
        assert_eq!(name("Web.SVC.internal.").to_string(), "web.svc.internal");
        assert_eq!(name("a.b").as_bytes(), b"\x01a\x01b");
    }

    #[test]
    fn only_whole_labels_make_a_domain() {
        let domain = name("b.c");
        assert_eq!(name("a.b.c").relative_to(&domain), Some(name("a")));
        assert_eq!(name("b.c").relative_to(&domain).unwrap().as_bytes(), b"");
        assert_eq!(name("ab.c").relative_to(&domain), None);
        // The label "x\x01b" ends in the bytes of the label "b".
        let tricky = Name::from(&b"\x03x\x01b\x01c"[..]);
        assert_eq!(tricky.relative_to(&domain), None);
    }

    #[test]
    fn what_is_too_long_is_refused() {
        assert!(Name::parse(&"x".repeat(64)).is_err());
        assert!(Name::parse(&vec!["x".repeat(63); 4].join(".")).is_err());
        assert!(Name::parse("a..b").is_err());
        let mut buf = NameBuf::default();
        assert_eq!(buf.push_underscored(&"x".repeat(63)), Err(TooLong));
        assert_eq!(buf.push_underscored("TCP"), Ok(()));
        assert_eq!(buf.finish().to_string(), "_tcp");
    }

    #[test]
    fn names_are_joined_and_taken_apart() {
        assert_eq!(name("a.b").below(&name("c")), Ok(name("a.b.c")));
        let long = name(&vec!["x".repeat(63); 3].join("."));
        assert_eq!(long.below(&long), Err(TooLong));
        assert_eq!(parent(b"\x01a\x01b"), Some(&b"\x01b"[..]));
        assert_eq!(parent(b""), None);
    }
}
