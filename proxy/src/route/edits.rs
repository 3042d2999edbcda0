//! Changes of header lines, ready for use.

use crate::config::HeaderEdits;

/// Holds the changes that a route makes to the header lines of a message.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    /// The names whose lines are left out, in lower case.
    dropped: Vec<Box<str>>,
    /// Lines that are added, with their ends.
    lines: Box<[u8]>,
}

impl Edits {
    /// Prepares changes; `None` when there are none.
    pub(super) fn of(config: &HeaderEdits) -> Option<Self> {
        let mut lines = Vec::new();
        for (name, value) in config.set.iter().chain(&config.add) {
            for piece in [name, ": ", value, "\r\n"] {
                lines.extend_from_slice(piece.as_bytes());
            }
        }
        let dropped = config.set.keys().chain(&config.remove);
        let dropped: Vec<_> = dropped
            .map(|name| name.to_ascii_lowercase().into())
            .collect();
        let some = !lines.is_empty() || !dropped.is_empty();
        let lines = lines.into();
        some.then_some(Self { dropped, lines })
    }

    /// Returns the names whose lines are left out, in lower case.
    pub(crate) fn dropped(&self) -> &[Box<str>] {
        &self.dropped
    }

    /// Returns the lines that are added, with their ends.
    pub(crate) fn lines(&self) -> &[u8] {
        &self.lines
    }
}
