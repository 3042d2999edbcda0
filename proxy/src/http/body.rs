//! A message's body on its way through: one framing comes in, the same or another goes out.

use super::{
    Buffer, Malformed,
    chunked::{self, Decoder, Step},
};

/// Says how a body ends as it arrives.
#[derive(Debug)]
enum Framing {
    /// After so many more bytes.
    Length(u64),
    Chunked(Decoder),
    /// When the connection ends, for which [`Body::end`] stands.
    UntilClose,
    Done,
}

/// Says how a body goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As it is: its length is known, or it ends with the connection.
    Plain,
    Chunked,
}

/// Follows one body through the proxy.
#[derive(Debug)]
pub(crate) struct Body {
    framing: Framing,
    coding: Coding,
    bytes: u64,
    /// The most bytes that it may have.
    most: u64,
    /// Names that trailers of this message may not have.
    nominated: Vec<Box<[u8]>>,
}

impl Body {
    /// Creates a body of `bytes` bytes; 0 stands for none.
    pub(crate) fn length(bytes: u64) -> Self {
        let framing = match bytes {
            0 => Framing::Done,
            bytes => Framing::Length(bytes),
        };
        Self::new(framing, Coding::Plain)
    }

    /// Creates a body that arrives in chunks; `nominated` are the names of lines that belong to
    /// the connection, and so are dropped from the trailers.
    pub(crate) fn chunked(coding: Coding, nominated: Vec<Box<[u8]>>) -> Self {
        Self {
            nominated,
            ..Self::new(Framing::Chunked(Decoder::default()), coding)
        }
    }

    /// Creates a body that arrives until the connection ends.
    pub(crate) fn until_close(coding: Coding) -> Self {
        Self::new(Framing::UntilClose, coding)
    }

    fn new(framing: Framing, coding: Coding) -> Self {
        Self {
            framing,
            coding,
            bytes: 0,
            most: u64::MAX,
            nominated: Vec::new(),
        }
    }

    /// Limits the body to `bytes` bytes of content: [`transfer`](Self::transfer) refuses one that
    /// says or turns out to be longer.
    pub(crate) fn at_most(self, bytes: u64) -> Self {
        Self {
            most: bytes,
            ..self
        }
    }

    /// Tells whether all of it has been seen.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.framing, Framing::Done)
    }

    /// Tells whether it ends with the connection.
    pub(crate) fn ends_by_close(&self) -> bool {
        matches!(self.framing, Framing::UntilClose)
    }

    /// Returns how many bytes of content have passed.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Tells whether bytes go out just as they come in, so that [`plain`](Self::plain) can be used.
    pub(crate) fn is_plain(&self) -> bool {
        self.coding == Coding::Plain
            && matches!(self.framing, Framing::Length(_) | Framing::UntilClose)
    }

    /// Tells whether more than `bytes` bytes are known to be to come.
    pub(crate) fn exceeds(&self, bytes: u64) -> bool {
        match self.framing {
            Framing::Length(left) => left > bytes,
            Framing::Chunked(_) | Framing::UntilClose => self.bytes > bytes,
            Framing::Done => false,
        }
    }

    /// Returns how many of `available` bytes belong to a body that is plain.
    pub(crate) fn plain(&self, available: usize) -> usize {
        match self.framing {
            Framing::Length(left) => {
                usize::try_from(left).map_or(available, |left| available.min(left))
            }
            _ => available,
        }
    }

    /// Marks `bytes` bytes of a plain body as passed.
    pub(crate) fn passed(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if let Framing::Length(left) = &mut self.framing {
            *left -= bytes as u64;
            if *left == 0 {
                self.framing = Framing::Done;
            }
        }
    }

    /// Moves what there is of the body from `input` to the end of `out`.
    ///
    /// # Errors
    ///
    /// Refuses malformed chunks and too large a body; what came before that has been moved, of a
    /// body that says its length nothing.
    pub(crate) fn transfer(
        &mut self,
        input: &mut Buffer,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        if self.exceeds(self.most) {
            return Err(Malformed::Body);
        }
        if let Framing::Chunked(decoder) = &mut self.framing {
            loop {
                let (used, step) = decoder.step(input.filled())?;
                let more = matches!(step, Step::Data(_));
                match (step, self.coding) {
                    (Step::Data(bytes), coding) => {
                        self.bytes += bytes.len() as u64;
                        if self.bytes > self.most {
                            return Err(Malformed::Body);
                        }
                        match coding {
                            Coding::Plain => out.extend_from_slice(bytes),
                            Coding::Chunked => chunked::encode(bytes, out),
                        }
                    }
                    (Step::End(trailers), Coding::Chunked) => {
                        chunked::encode_end(trailers, &self.nominated, out)?;
                    }
                    (Step::End(_), Coding::Plain) | (Step::More, _) => {}
                }
                input.consume(used);
                if !more {
                    break;
                }
            }
            if decoder.is_done() {
                self.framing = Framing::Done;
            }
            return Ok(());
        }
        if self.is_done() {
            return Ok(());
        }
        let bytes = self.plain(input.filled().len());
        match self.coding {
            Coding::Plain => out.extend_from_slice(&input.filled()[..bytes]),
            Coding::Chunked => chunked::encode(&input.filled()[..bytes], out),
        }
        input.consume(bytes);
        self.passed(bytes);
        Ok(())
    }

    /// Says that the connection has ended; returns whether that is this body's proper end.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) -> bool {
        let proper = matches!(self.framing, Framing::UntilClose);
        if proper {
            self.framing = Framing::Done;
            if self.coding == Coding::Chunked {
                out.extend_from_slice(b"0\r\n\r\n");
            }
        }
        proper
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(bytes: &[u8]) -> Buffer {
        let mut buffer = Buffer::new(64);
        buffer.spare()[..bytes.len()].copy_from_slice(bytes);
        buffer.advance(bytes.len());
        buffer
    }

    #[test]
    fn a_length_takes_its_bytes_and_leaves_the_next_request() {
        let (mut body, mut input, mut out) = (Body::length(5), buffer(b"helloGET"), Vec::new());
        body.transfer(&mut input, &mut out).unwrap();
        assert_eq!(
            (out.as_slice(), input.filled()),
            (&b"hello"[..], &b"GET"[..])
        );
        assert!(body.is_done());
        body.transfer(&mut input, &mut out).unwrap();
        assert_eq!(input.filled(), b"GET");
    }

    #[test]
    fn chunks_lose_their_extensions_and_keep_their_trailers() {
        let mut input = buffer(b"5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\nGET");
        let (mut body, mut out) = (Body::chunked(Coding::Chunked, Vec::new()), Vec::new());
        body.transfer(&mut input, &mut out).unwrap();
        assert_eq!(out, b"5\r\nhello\r\n0\r\nA: b\r\n\r\n");
        assert_eq!(input.filled(), b"GET");
        assert!(body.is_done());
        assert_eq!(body.bytes(), 5);
    }

    #[test]
    fn a_body_above_its_limit_is_refused_as_soon_as_that_is_known() {
        for (most, refused) in [(5, false), (4, true)] {
            let (mut body, mut out) = (Body::length(5).at_most(most), Vec::new());
            let moved = body.transfer(&mut buffer(b"he"), &mut out);
            assert_eq!((moved.is_err(), out.is_empty()), (refused, refused));
            let mut body = Body::chunked(Coding::Chunked, Vec::new()).at_most(most);
            body.transfer(&mut buffer(b"4\r\nhell\r\n"), &mut out)
                .unwrap();
            let moved = body.transfer(&mut buffer(b"1\r\no\r\n0\r\n\r\n"), &mut out);
            assert_eq!(moved.err(), refused.then_some(Malformed::Body));
        }
    }

    #[test]
    fn a_client_without_chunks_gets_plain_bytes() {
        let mut input = buffer(b"5\r\nhello\r\n0\r\n\r\n");
        let (mut body, mut out) = (Body::chunked(Coding::Plain, Vec::new()), Vec::new());
        body.transfer(&mut input, &mut out).unwrap();
        assert_eq!(out, b"hello");
    }

    #[test]
    fn only_a_body_until_close_may_end_with_the_connection() {
        let (mut body, mut out) = (Body::until_close(Coding::Chunked), Vec::new());
        body.transfer(&mut buffer(b"hello"), &mut out).unwrap();
        assert!(body.end(&mut out));
        assert_eq!(out, b"5\r\nhello\r\n0\r\n\r\n");
        assert!(!Body::length(5).end(&mut out));
        assert!(!Body::chunked(Coding::Plain, Vec::new()).end(&mut out));
    }
}
