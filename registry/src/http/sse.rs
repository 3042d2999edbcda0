//! Events out of a stream of bytes: the event streams of the HTML standard (server-sent events).

use bytes::{Buf, Bytes, BytesMut};

/// Takes a stream of events apart, however its bytes are cut into pieces.
///
/// It yields the data of each event, of several lines joined by line feeds; names, ids and comments are
/// passed over.
#[derive(Debug)]
pub(crate) struct Events {
    buffer: BytesMut,
    /// How many bytes at the front have no end of a line.
    searched: usize,
    data: BytesMut,
    has_data: bool,
    /// Whether a line ended in a carriage return, so that a line feed that follows is no other line.
    after_return: bool,
    bytes_max: usize,
}

impl Events {
    /// Starts before the first event; none may have more than `bytes_max` of data.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            searched: 0,
            data: BytesMut::new(),
            has_data: false,
            after_return: false,
            bytes_max,
        }
    }

    /// Takes the next bytes of the stream.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the data of the next event that is whole.
    ///
    /// # Errors
    ///
    /// Returns in words that an event is too long; the stream can't be read on then.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, String> {
        while let Some(line) = self.line()? {
            if line.is_empty() {
                if std::mem::take(&mut self.has_data) {
                    return Ok(Some(self.data.split().freeze()));
                }
                continue;
            }
            let (field, value) = match memchr(b':', &line) {
                Some(at) => (&line[..at], &line[at + 1..]),
                None => (&line[..], &line[line.len()..]),
            };
            if field != b"data" {
                continue;
            }
            if std::mem::replace(&mut self.has_data, true) {
                self.data.extend_from_slice(b"\n");
            }
            self.data
                .extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
            if self.data.len() > self.bytes_max {
                return Err(self.too_long());
            }
        }
        Ok(None)
    }

    /// Takes the next line that is whole; it may end in CR LF, LF or CR.
    fn line(&mut self) -> Result<Option<Bytes>, String> {
        if self.after_return && !self.buffer.is_empty() {
            self.after_return = false;
            if self.buffer[0] == b'\n' {
                self.buffer.advance(1);
            }
        }
        let mut rest = self.buffer[self.searched..].iter();
        let Some(end) = rest.position(|byte| matches!(byte, b'\n' | b'\r')) else {
            self.searched = self.buffer.len();
            return match self.searched > self.bytes_max {
                true => Err(self.too_long()),
                false => Ok(None),
            };
        };
        let line = self.buffer.split_to(self.searched + end).freeze();
        self.searched = 0;
        self.after_return = self.buffer.get_u8() == b'\r';
        Ok(Some(line))
    }

    fn too_long(&self) -> String {
        format!("an event has more than {} bytes", self.bytes_max)
    }
}

fn memchr(byte: u8, bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|one| *one == byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Vec<String> {
        let mut events = Events::new(100);
        let mut all = Vec::new();
        for piece in pieces {
            events.push(piece);
            while let Some(data) = events.next().unwrap() {
                all.push(String::from_utf8(data.to_vec()).unwrap());
            }
        }
        all
    }

    #[test]
    fn events_are_found_however_the_stream_is_cut() {
        let text = b": hello\r\nevent: a\r\ndata: {\"x\": 1}\r\n\r\n\r\n\ndata:two\rdata: lines\r\rid: 7\n\n\
            data\n\ndata: never ended\n";
        let expected = ["{\"x\": 1}", "two\nlines", ""];
        assert_eq!(all(&[text]), expected);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(all(&bytes), expected);
    }

    #[test]
    fn what_never_ends_is_too_long() {
        let mut events = Events::new(100);
        events.push(&[b'x'; 101]);
        assert!(events.next().unwrap_err().contains("100"));
        let mut events = Events::new(100);
        for _ in 0..20 {
            events.push(b"data: 1234567890\n");
        }
        assert!(events.next().is_err());
    }
}
