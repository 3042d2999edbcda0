//! Records out of a stream of bytes: `<decimal length>\n<bytes>`, again and again (Mesos's RecordIO).

use bytes::{Buf, Bytes, BytesMut};

/// The most digits of a length.
const DIGITS_MAX: usize = 20;

/// Takes a stream apart, however its bytes are cut into pieces.
#[derive(Debug)]
pub(super) struct Records {
    buffer: BytesMut,
    /// The length of the record whose bytes come next, once it is known.
    wanted: Option<usize>,
    bytes_max: usize,
}

impl Records {
    /// Starts before the first record; none may be longer than `bytes_max`.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            wanted: None,
            bytes_max,
        }
    }

    /// Takes the next bytes of the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next record that is whole.
    ///
    /// # Errors
    ///
    /// Returns in words what is no length, or too long a record; the stream can't be read on then.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, String> {
        let wanted = match self.wanted {
            Some(wanted) => wanted,
            None => match self.length()? {
                Some(length) => length,
                None => return Ok(None),
            },
        };
        self.wanted = Some(wanted);
        if self.buffer.len() < wanted {
            return Ok(None);
        }
        self.wanted = None;
        Ok(Some(self.buffer.split_to(wanted).freeze()))
    }

    /// Reads a line with a length; empty lines are passed over.
    fn length(&mut self) -> Result<Option<usize>, String> {
        loop {
            let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
                let shown = String::from_utf8_lossy(&self.buffer[..self.buffer.len().min(40)]);
                return match self.buffer.len() > DIGITS_MAX {
                    true => Err(format!("`{shown}` is no length of a record")),
                    false => Ok(None),
                };
            };
            let line = self.buffer.split_to(end);
            self.buffer.advance(1);
            let line = String::from_utf8_lossy(&line);
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let shown: String = line.chars().take(40).collect();
            let length: usize = line
                .parse()
                .map_err(|_| format!("`{shown}` is no length of a record"))?;
            return match length > self.bytes_max {
                true => Err(format!(
                    "a record has {length} bytes, more than {} (event_bytes_max)",
                    self.bytes_max
                )),
                false => Ok(Some(length)),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(records: &mut Records) -> Result<Vec<Bytes>, String> {
        std::iter::from_fn(|| records.next().transpose()).collect()
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_makes_no_difference(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            cut in 1..7_usize,
        ) {
            let mut stream = Vec::new();
            for body in &bodies {
                stream.extend(format!("{}\n", body.len()).into_bytes());
                stream.extend(body);
            }
            let mut records = Records::new(100);
            let mut read = Vec::new();
            for piece in stream.chunks(cut) {
                records.push(piece);
                read.extend(all(&mut records).unwrap());
            }
            prop_assert_eq!(read, bodies);
        }
    }

    #[test]
    fn what_is_no_length_ends_the_stream() {
        for (stream, reason) in [
            ("x\n{}", "`x` is no length of a record"),
            (
                "<html>no stream of records",
                "`<html>no stream of records` is no length of a record",
            ),
            ("-1\n", "`-1` is no length of a record"),
            (
                "101\n",
                "a record has 101 bytes, more than 100 (event_bytes_max)",
            ),
        ] {
            let mut records = Records::new(100);
            records.push(stream.as_bytes());
            assert_eq!(records.next(), Err(reason.to_owned()), "{stream}");
        }
    }

    #[test]
    fn empty_lines_are_passed_over() {
        let mut records = Records::new(100);
        records.push(b"\n\r\n2\nab\n1\r\nc");
        assert_eq!(all(&mut records).unwrap(), [&b"ab"[..], b"c"]);
    }
}
