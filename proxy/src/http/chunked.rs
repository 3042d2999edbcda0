//! The chunked transfer coding (RFC 9112, section 7.1).

use super::{
    Malformed, Scan,
    fields::may_trail,
    head::{malformed, scan},
};

/// The longest line with a chunk's size and extensions, in bytes with its CR LF.
const LINE_BYTES_MAX: usize = 1024;

/// The most bytes of extensions in one body: they carry nothing, and cost what they like otherwise.
const EXTENSION_BYTES_MAX: usize = 16 << 10;

/// The most bytes of trailer lines; less than a read buffer holds.
const TRAILER_BYTES_MAX: usize = 8 << 10;

/// The most trailer lines.
const TRAILERS_MAX: usize = 64;

/// Finds the data in a chunked body, of which it may be given any piece at a time.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    state: State,
    extension_bytes: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailers {
        scanned: usize,
    },
    Done,
}

/// Says what comes next in a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<'b> {
    /// Some of the data.
    Data(&'b [u8]),
    /// The end: the trailer lines, and the empty line after them.
    End(&'b [u8]),
    /// Nothing before more bytes are there.
    More,
}

impl Decoder {
    /// Tells whether the end has been seen.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes the next step; also returns how many bytes of `input` it has used.
    ///
    /// # Errors
    ///
    /// Refuses all that isn't to the letter: sizes with signs or above 64 bits, lines without CR,
    /// control bytes, data not followed by CR LF.
    pub(crate) fn step<'b>(&mut self, input: &'b [u8]) -> Result<(usize, Step<'b>), Malformed> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match self.state {
                State::Size => {
                    let Some((bytes, size)) = self.size(rest)? else {
                        return Ok((used, Step::More));
                    };
                    used += bytes;
                    self.state = match size {
                        0 => State::Trailers { scanned: 0 },
                        size => State::Data(size),
                    };
                }
                State::Data(_) if rest.is_empty() => return Ok((used, Step::More)),
                State::Data(left) => {
                    let bytes =
                        usize::try_from(left).map_or(rest.len(), |left| rest.len().min(left));
                    self.state = match left - bytes as u64 {
                        0 => State::DataEnd,
                        left => State::Data(left),
                    };
                    return Ok((used + bytes, Step::Data(&rest[..bytes])));
                }
                State::DataEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        used += 2;
                        self.state = State::Size;
                    }
                    [] | [b'\r'] => return Ok((used, Step::More)),
                    _ => return Err(Malformed::Syntax("a chunk is longer than its size")),
                },
                State::Trailers { scanned } => {
                    return match scan(rest, scanned)? {
                        Scan::Partial { .. } if rest.len() > TRAILER_BYTES_MAX => {
                            Err(Malformed::Syntax("the trailers are too large"))
                        }
                        Scan::Partial { scanned } => {
                            self.state = State::Trailers { scanned };
                            Ok((used, Step::More))
                        }
                        Scan::Complete(bytes) => {
                            self.state = State::Done;
                            Ok((used + bytes, Step::End(&rest[..bytes])))
                        }
                    };
                }
                State::Done => return Ok((used, Step::End(&[]))),
            }
        }
    }

    /// Reads the line that begins a chunk: how long it is, and the size it says.
    fn size(&mut self, input: &[u8]) -> Result<Option<(usize, u64)>, Malformed> {
        let wrong = Malformed::Syntax("a chunk size is malformed");
        let line = &input[..input.len().min(LINE_BYTES_MAX)];
        let Some(end) = memchr::memchr(b'\n', line) else {
            return match line.len() < LINE_BYTES_MAX {
                true => Ok(None),
                false => Err(Malformed::Syntax("a chunk line is too long")),
            };
        };
        let line = line[..end].strip_suffix(b"\r").ok_or(wrong)?;
        let digits = line
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let size = std::str::from_utf8(&line[..digits])
            .ok()
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or(wrong)?;
        self.extension(&line[digits..])?;
        Ok(Some((end + 1, size)))
    }

    fn extension(&mut self, text: &[u8]) -> Result<(), Malformed> {
        if text.is_empty() {
            return Ok(());
        }
        let begins = text.trim_ascii_start().first() == Some(&b';');
        let printable = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
        self.extension_bytes += text.len();
        match begins && text.iter().all(printable) && self.extension_bytes <= EXTENSION_BYTES_MAX {
            true => Ok(()),
            false => Err(Malformed::Syntax("a chunk extension is malformed")),
        }
    }
}

/// Appends one chunk.
pub(crate) fn encode(chunk: &[u8], out: &mut Vec<u8>) {
    if chunk.is_empty() {
        // It would be the end.
        return;
    }
    encode_size(chunk.len(), out);
    out.extend_from_slice(chunk);
    out.extend_from_slice(b"\r\n");
}

/// Appends the end of a body, with the trailer lines that may be passed on.
///
/// `trailers` are all lines with the empty one that ends them; `nominated` are the names that the
/// message's `Connection` lines have named.
///
/// # Errors
///
/// Refuses lines that are no header lines.
pub(crate) fn encode_end(
    trailers: &[u8],
    nominated: &[Box<[u8]>],
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    out.extend_from_slice(b"0\r\n");
    if trailers.len() > 2 {
        let mut slots = [httparse::EMPTY_HEADER; TRAILERS_MAX];
        let lines = match httparse::parse_headers(trailers, &mut slots).map_err(malformed)? {
            httparse::Status::Complete((_, lines)) => lines,
            httparse::Status::Partial => {
                return Err(Malformed::Syntax("the trailers are malformed"));
            }
        };
        for line in lines {
            let name = line.name.as_bytes();
            let is_named = nominated.iter().any(|one| one.eq_ignore_ascii_case(name));
            if !is_named && may_trail(line.name) {
                out.extend_from_slice(line.name.as_bytes());
                out.extend_from_slice(b": ");
                out.extend_from_slice(line.value);
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Appends the line that begins a chunk of `bytes` bytes.
fn encode_size(bytes: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let significant = (usize::BITS - bytes.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..significant).rev() {
        out.push(DIGITS[(bytes >> (4 * digit)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Data, trailers, and what follows the body.
    type Decoded = (Vec<u8>, Vec<u8>, Vec<u8>);

    /// Decodes a body that arrives in pieces.
    fn decode(pieces: &[&[u8]]) -> Result<Decoded, Malformed> {
        let mut decoder = Decoder::default();
        let (mut data, mut trailers, mut input) = (Vec::new(), Vec::new(), Vec::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            while !decoder.is_done() {
                let (used, step) = decoder.step(&input)?;
                match step {
                    Step::Data(bytes) => data.extend_from_slice(bytes),
                    Step::End(lines) => trailers.extend_from_slice(lines),
                    Step::More => {
                        input.drain(..used);
                        break;
                    }
                }
                input.drain(..used);
            }
        }
        match decoder.is_done() {
            true => Ok((data, trailers, input)),
            false => Err(Malformed::Syntax("cut off")),
        }
    }

    const BODY: &[u8] =
        b"5\r\nhello\r\n00A ;a=\"b\";c\r\n0123456789\r\n0\r\nX: y\r\nHost: z\r\n\r\nGET";

    #[test]
    fn a_body_split_at_every_byte_is_the_whole_body() {
        let whole = decode(&[BODY]).unwrap();
        assert_eq!(whole.0, b"hello0123456789");
        assert_eq!(whole.1, b"X: y\r\nHost: z\r\n\r\n");
        assert_eq!(whole.2, b"GET");
        for cut in 0..=BODY.len() {
            assert_eq!(
                decode(&[&BODY[..cut], &BODY[cut..]]).unwrap(),
                whole,
                "{cut}"
            );
        }
        let bytes: Vec<_> = BODY.chunks(1).collect();
        assert_eq!(decode(&bytes).unwrap(), whole);
    }

    #[test]
    fn chunks_that_could_be_read_in_two_ways_are_refused() {
        for body in [
            &b"5\nhello\r\n0\r\n\r\n"[..],
            b"+5\r\nhello\r\n0\r\n\r\n",
            b"-1\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b" 5\r\nhello\r\n0\r\n\r\n",
            b"5 \r\nhello\r\n0\r\n\r\n",
            b"5 x\r\nhello\r\n0\r\n\r\n",
            b"5;a\rb\r\nhello\r\n0\r\n\r\n",
            b"5;a\0\r\nhello\r\n0\r\n\r\n",
            b"\r\nhello\r\n0\r\n\r\n",
            b"g\r\n",
            b"10000000000000000\r\n",
            b"5\r\nhelloo\r\n0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"0\r\nX: y\n\r\n",
            b"0\r\n\n",
        ] {
            let decoded = decode(&[body]);
            let refused = decoded.is_err_and(|error| error != Malformed::Syntax("cut off"));
            assert!(refused, "{:?}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn what_has_no_end_is_refused_in_time() {
        let line = [b"5;".as_slice(), &[b'a'; 2 * LINE_BYTES_MAX]].concat();
        assert!(Decoder::default().step(&line).is_err());
        let trailers = [b"0\r\n".as_slice(), &b"a: b\r\n".repeat(2_000)].concat();
        assert!(Decoder::default().step(&trailers).is_err());
        let extended = b"1;aaaaaaaaaaaaaaa\r\nx\r\n".repeat(2_000);
        assert!(decode(&[&extended, b"0\r\n\r\n"]).is_err());
    }

    #[test]
    fn trailers_that_change_the_message_are_dropped() {
        let mut out = Vec::new();
        let lines = b"X: y\r\nContent-Length: 5\r\nHost: z\r\nZ:1\r\nset_cookie: a\r\n\
                      Authorization: b\r\nContent-Type: c\r\nX-Forwarded-User: d\r\n\
                      X-Mine: e\r\nIf-Match: f\r\n\r\n";
        let nominated = [b"x-mine".as_slice().into()];
        encode_end(lines, &nominated, &mut out).unwrap();
        assert_eq!(out, b"0\r\nX: y\r\nZ: 1\r\n\r\n");
        assert!(encode_end(b"a b: c\r\n\r\n", &[], &mut out).is_err());
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes(
            chunks in vec(vec(any::<u8>(), 0..40), 0..6),
            cut in 0..200_usize,
        ) {
            let mut body = Vec::new();
            for chunk in &chunks {
                encode(chunk, &mut body);
            }
            encode_end(b"", &[], &mut body).unwrap();
            let cut = cut.min(body.len());
            let decoded = decode(&[&body[..cut], &body[cut..]]).unwrap();
            prop_assert_eq!(decoded.0, chunks.concat());
            prop_assert!(decoded.2.is_empty());
        }

        #[test]
        fn any_bytes_are_decoded_the_same_in_pieces(body in vec(prop::sample::select(
            &b"05aA;\r\nx: "[..]), 0..40), cut in 0..40_usize,
        ) {
            let cut = cut.min(body.len());
            prop_assert_eq!(decode(&[&body]), decode(&[&body[..cut], &body[cut..]]));
        }
    }
}
