//! By what a message can be followed through several programs: the request's id, and `Via`.

use smallvec::SmallVec;

use super::{
    Version,
    fields::{Field, Fields},
};

/// The longest id of somebody else that is kept, in bytes.
const KEPT_BYTES_MAX: usize = 128;

/// How many digits an id of ours has.
const DIGITS: usize = 32;

/// How many bytes of lines need no allocation: an id of ours and `Via`, with names as they are usual.
const ADDED_BYTES: usize = 96;

/// Says what messages are marked with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    /// The name of the header with the id; empty for none.
    pub(crate) request_id_header: String,
    /// Whether the client gets the id as well.
    pub(crate) request_id_returned: bool,
    /// Our name in `Via`; empty for no such header.
    pub(crate) via: String,
}

/// Makes ids: each is another one, and none says anything.
#[derive(Debug)]
pub(crate) struct Ids {
    /// What all of them begin with is written once.
    digits: [u8; DIGITS],
    next: u64,
}

/// Names one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestId<'b> {
    /// A trusted proxy has said it.
    Kept(&'b str),
    Made([u8; DIGITS]),
}

impl Ids {
    /// Creates a maker of ids that nobody with other random numbers makes.
    pub(crate) fn new(prefix: u64, first: u64) -> Self {
        let mut digits = [0; DIGITS];
        hexadecimal(prefix, &mut digits[..DIGITS / 2]);
        Self {
            digits,
            next: first,
        }
    }

    pub(crate) fn make(&mut self) -> RequestId<'static> {
        self.next = self.next.wrapping_add(1);
        hexadecimal(self.next, &mut self.digits[DIGITS / 2..]);
        RequestId::Made(self.digits)
    }
}

impl<'b> RequestId<'b> {
    /// Finds the id that a request has come with; `None` when it has none, several, or no good one.
    ///
    /// What is found, and what a server could take for it, is of the kind [`Field::RequestId`] then.
    pub(crate) fn find(name: &str, trusted: bool, fields: &mut Fields<'_, 'b>) -> Option<Self> {
        if !fields.mark(name, Field::RequestId) || !trusted {
            return None;
        }
        let mut values = fields.values(Field::RequestId);
        let value = values.next().filter(|_| values.next().is_none())?;
        let is_good = value.len() <= KEPT_BYTES_MAX && value.iter().all(u8::is_ascii_graphic);
        let text = std::str::from_utf8(value).ok()?;
        (is_good && !text.is_empty()).then_some(Self::Kept(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Kept(text) => text,
            Self::Made(digits) => std::str::from_utf8(digits).unwrap_or_default(),
        }
    }
}

/// Holds the lines that a request's responses get from us.
#[derive(Debug, Default)]
pub(crate) struct Added {
    lines: SmallVec<[u8; ADDED_BYTES]>,
    /// How many bytes at the front are the name of the header with the id.
    name_bytes: usize,
    /// How many bytes at the front are the line with the id.
    id_bytes: usize,
    /// Where the response's minor version stands.
    minor: Option<usize>,
}

impl Added {
    pub(crate) fn new(marks: &Marks, id: Option<&RequestId<'_>>) -> Self {
        let mut added = Self::default();
        if let Some(id) = id.filter(|_| marks.request_id_returned) {
            for piece in line(&marks.request_id_header, id.as_str()) {
                added.lines.extend_from_slice(piece);
            }
            added.name_bytes = marks.request_id_header.len();
            added.id_bytes = added.lines.len();
        }
        if !marks.via.is_empty() {
            for piece in via_line(Version::Http11, &marks.via) {
                added.lines.extend_from_slice(piece);
            }
            added.minor = Some(added.lines.len() - marks.via.len() - b"1 \r\n".len());
        }
        added
    }

    /// Returns the name of the line of which there must be one only; empty for none.
    pub(crate) fn name(&self) -> &str {
        std::str::from_utf8(&self.lines[..self.name_bytes]).unwrap_or_default()
    }

    /// Appends the line of a response that isn't passed on but made by us.
    pub(crate) fn encode_id(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.lines[..self.id_bytes]);
    }

    /// Appends the lines to the head of a response of this version.
    pub(crate) fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.lines);
        if let (Some(at), Version::Http10) = (self.minor, version) {
            out[start + at] = b'0';
        }
    }
}

/// Returns the pieces of one line.
pub(crate) fn line<'t>(name: &'t str, value: &'t str) -> [&'t [u8]; 4] {
    [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"]
}

/// Returns the pieces of our `Via` line (RFC 9110, section 7.6.3) for a message that came in this
/// version.
pub(crate) fn via_line(version: Version, name: &str) -> [&[u8]; 3] {
    let start: &[u8] = match version {
        Version::Http10 => b"Via: 1.0 ",
        Version::Http11 => b"Via: 1.1 ",
    };
    [start, name.as_bytes(), b"\r\n"]
}

fn hexadecimal(number: u64, out: &mut [u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digits = (0..16).rev().map(|digit| (number >> (4 * digit)) & 15);
    for (byte, digit) in out.iter_mut().zip(digits) {
        *byte = HEX[digit as usize];
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use httparse::Header;

    use super::*;

    fn find(values: &[&str], trusted: bool) -> Option<String> {
        let headers: Vec<_> = values
            .iter()
            .map(|value| Header {
                name: "X-Request-ID",
                value: value.as_bytes(),
            })
            .collect();
        let mut fields = Fields::read(&headers, Version::Http11).unwrap();
        let id = RequestId::find("x-request-id", trusted, &mut fields);
        id.map(|id| id.as_str().to_owned())
    }

    #[test]
    fn only_one_good_id_of_a_trusted_proxy_is_kept() {
        assert_eq!(find(&["a-1"], true).as_deref(), Some("a-1"));
        let longest = "a".repeat(KEPT_BYTES_MAX);
        assert_eq!(find(&[&longest], true), Some(longest.clone()));
        let longer = format!("{longest}a");
        let bad = [
            &[][..],
            &["a", "b"],
            &[""],
            &["a b"],
            &["\u{e9}"],
            &[longer.as_str()],
        ];
        for values in bad {
            assert_eq!(find(values, true), None, "{values:?}");
        }
        assert_eq!(find(&["a-1"], false), None);
    }

    #[test]
    fn every_id_is_another_one() {
        let (mut one, mut two) = (Ids::new(1, 7), Ids::new(2, u64::MAX - 3));
        let all: HashSet<_> = (0..10)
            .flat_map(|_| [one.make(), two.make()])
            .map(|id| id.as_str().to_owned())
            .collect();
        assert_eq!(all.len(), 20);
        assert!(all.contains("00000000000000010000000000000008"));
        assert!(all.contains("00000000000000020000000000000000"));
    }

    #[test]
    fn a_response_says_in_which_version_it_came() {
        let marks = Marks {
            via: "gate".into(),
            ..Marks::default()
        };
        let added = Added::new(&marks, None);
        for (version, line) in [
            (Version::Http10, "Via: 1.0 gate\r\n"),
            (Version::Http11, "Via: 1.1 gate\r\n"),
        ] {
            let mut out = b"x".to_vec();
            added.encode(version, &mut out);
            assert_eq!(out, format!("x{line}").as_bytes());
        }
        assert_eq!(added.name(), "");
    }

    #[test]
    fn usual_lines_for_responses_are_not_allocated() {
        let marks = Marks {
            request_id_header: "x-request-id".into(),
            request_id_returned: true,
            via: "gate.example.com".into(),
        };
        let id = Ids::new(1, 7).make();
        let added = Added::new(&marks, Some(&id));
        assert!(!added.lines.spilled());
        let mut out = Vec::new();
        added.encode(Version::Http11, &mut out);
        let lines = format!(
            "x-request-id: {}\r\nVia: 1.1 gate.example.com\r\n",
            id.as_str()
        );
        assert_eq!(out, lines.as_bytes());
    }
}
