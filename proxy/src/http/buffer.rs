//! Bytes that were read and not yet used.

/// Holds bytes between a socket and what parses them; what is used is consumed from the front.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// All of it initialised, so that no read has to clear it first.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// Creates a buffer with room for `bytes` bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            bytes: vec![0; bytes],
            start: 0,
            end: 0,
        }
    }

    /// Returns what was read and not consumed.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Tells whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Returns how many bytes it can hold.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Marks `bytes` bytes at the front as used.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        debug_assert!(self.start <= self.end, "consumed more than was read");
        if self.start == self.end {
            self.clear();
        }
    }

    /// Forgets all there is.
    pub(crate) fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Returns where the next bytes go; empty only when the buffer is full.
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        if self.end == self.bytes.len() && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.bytes[self.end..]
    }

    /// Takes over `bytes` bytes that were written to [`spare`](Self::spare).
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.end += bytes;
        debug_assert!(
            self.end <= self.bytes.len(),
            "read more than there was room"
        );
    }

    /// Makes room for at least `bytes` bytes in all.
    pub(crate) fn grow(&mut self, bytes: usize) {
        if self.bytes.len() < bytes {
            self.bytes.resize(bytes, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut Buffer, bytes: &[u8]) -> usize {
        let spare = buffer.spare();
        let taken = spare.len().min(bytes.len());
        spare[..taken].copy_from_slice(&bytes[..taken]);
        buffer.advance(taken);
        taken
    }

    #[test]
    fn a_full_buffer_makes_room_of_what_was_consumed() {
        let mut buffer = Buffer::new(4);
        assert_eq!(put(&mut buffer, b"abcdef"), 4);
        assert!(buffer.spare().is_empty());
        buffer.consume(3);
        assert_eq!(put(&mut buffer, b"efg"), 3);
        assert_eq!(buffer.filled(), b"defg");
        buffer.grow(8);
        assert_eq!(put(&mut buffer, b"hijkl"), 4);
        assert_eq!(buffer.filled(), b"defghijk");
    }
}
