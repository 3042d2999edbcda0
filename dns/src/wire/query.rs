//! Reads a query.

use super::{Edns, FIXED_BYTES, HEADER_BYTES, Rcode, rtype};
use crate::name::NAME_BYTES_MAX;

/// What a query says, or how much of it could be read.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    pub(crate) id: [u8; 2],
    /// The flags that an answer repeats: opcode, RD and CD.
    pub(crate) flags: u16,
    /// The question, where there is exactly one and it could be read.
    pub(crate) question: Option<Question<'a>>,
    pub(crate) edns: Option<Edns<'a>>,
    /// The answer's code, when the message alone decides it.
    pub(crate) fault: Option<Rcode>,
}

/// What is asked.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    /// The bytes in the query: name, type and class.
    pub(crate) raw: &'a [u8],
    pub(crate) qtype: u16,
    pub(crate) class: u16,
}

/// Room for a question's name in lower case.
///
/// It is apart from the question, which is handed on from function to function.
#[derive(Debug)]
pub(crate) struct LowerCase([u8; NAME_BYTES_MAX]);

impl LowerCase {
    /// Makes the room.
    pub(crate) fn new() -> Self {
        Self([0; NAME_BYTES_MAX])
    }
}

/// The length of a question's type and class: all but its name.
const QUESTION_FIXED_BYTES: usize = 4;

const FLAG_QR: u16 = 0x8000;
const FLAGS_OPCODE: u16 = 0x7800;
const FLAG_RD: u16 = 0x0100;
const FLAG_CD: u16 = 0x0010;

impl<'a> Query<'a> {
    /// Tells whether the client wants others to be asked.
    pub(crate) fn wants_recursion(&self) -> bool {
        self.flags & FLAG_RD != 0
    }

    /// Reads a message; `None` where there must be no answer: no header, or itself an answer.
    pub(crate) fn parse(message: &'a [u8]) -> Option<Self> {
        let header = message.first_chunk::<HEADER_BYTES>()?;
        let field = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let flags = field(2);
        if flags & FLAG_QR != 0 {
            return None;
        }
        let mut query = Self {
            id: [header[0], header[1]],
            flags: flags & (FLAGS_OPCODE | FLAG_RD | FLAG_CD),
            question: None,
            edns: None,
            fault: None,
        };
        let counts = [field(4), field(6), field(8), field(10)];
        if query.read_sections(message, counts).is_none() {
            query.find_broken();
        }
        if flags & FLAGS_OPCODE != 0 {
            query.fault = Some(Rcode::NotImp);
        } else if query.fault.is_none() && query.edns.is_some_and(|edns| edns.version != 0) {
            query.fault = Some(Rcode::BadVers);
        }
        Some(query)
    }

    /// Reads what follows the header; `None` where that ends too early.
    ///
    /// One question and nothing else is asked for (RFC 9619), but an IXFR has a SOA with it, and an
    /// OPT may stand anywhere in the additional section. What is wrong before that is passed over
    /// where it can be, so that who speaks EDNS is told of it with EDNS (RFC 6891, section 7).
    /// Bytes behind the last record are ignored.
    fn read_sections(&mut self, message: &'a [u8], counts: [u16; 4]) -> Option<()> {
        let [questions, answers, authorities, additionals] = counts;
        let mut at = HEADER_BYTES;
        let question = Some(message).filter(|_| questions == 1);
        self.question = question.and_then(Question::parse);
        let mut qtype = 0;
        match &self.question {
            Some(question) => {
                at += question.raw.len();
                qtype = question.qtype;
            }
            // Without any a cookie may be asked for.
            None => {
                for _ in 0..questions {
                    self.find_broken();
                    at = skip_name(message, at)? + QUESTION_FIXED_BYTES;
                }
            }
        }
        let is_query = self.flags & FLAGS_OPCODE == 0;
        if is_query && (answers != 0 || authorities != 0 && qtype != rtype::IXFR) {
            self.find_broken();
        }
        for _ in 0..u32::from(answers) + u32::from(authorities) {
            at = read_record(message, at)?.next;
        }
        for _ in 0..additionals {
            let record = read_record(message, at)?;
            if record.rtype == rtype::OPT {
                self.read_edns(&record, message[at] == 0);
            }
            at = record.next;
        }
        Some(())
    }

    fn read_edns(&mut self, record: &Record<'a>, owned_by_root: bool) {
        if self.edns.is_some() || !owned_by_root {
            self.find_broken();
            return;
        }
        let (edns, good) = Edns::read(record.class, record.ttl, record.content);
        self.edns = Some(edns);
        if !good {
            self.find_broken();
        }
    }

    fn find_broken(&mut self) {
        self.fault = Some(Rcode::FormErr);
    }
}

impl<'a> Question<'a> {
    fn parse(message: &'a [u8]) -> Option<Self> {
        let mut at = HEADER_BYTES;
        // A name that starts the message's first section has nothing to point to.
        loop {
            match message.get(at)? {
                0 => break,
                len @ 1..=63 => at += 1 + usize::from(*len),
                _ => return None,
            }
            if at - HEADER_BYTES > NAME_BYTES_MAX {
                return None;
            }
        }
        let raw = message.get(HEADER_BYTES..at + 1 + QUESTION_FIXED_BYTES)?;
        let [.., t1, t2, c1, c2] = *raw else {
            return None;
        };
        Some(Self {
            raw,
            qtype: u16::from_be_bytes([t1, t2]),
            class: u16::from_be_bytes([c1, c2]),
        })
    }

    /// Returns the name in lower case, without the root's zero byte.
    pub(crate) fn name<'b>(&self, room: &'b mut LowerCase) -> &'b [u8] {
        let name = &self.raw[..self.raw.len() - QUESTION_FIXED_BYTES - 1];
        let lower = &mut room.0[..name.len()];
        lower.copy_from_slice(name);
        // The bytes that hold lengths are below 64, where there are no letters.
        lower.make_ascii_lowercase();
        lower
    }
}

/// A record of the query.
struct Record<'a> {
    rtype: u16,
    class: u16,
    ttl: [u8; 4],
    content: &'a [u8],
    /// Where the next record starts.
    next: usize,
}

fn read_record(message: &[u8], at: usize) -> Option<Record<'_>> {
    let at = skip_name(message, at)?;
    let [t1, t2, c1, c2, ttl @ .., l1, l2] = *message.get(at..)?.first_chunk::<FIXED_BYTES>()?;
    let start = at + FIXED_BYTES;
    let next = start + usize::from(u16::from_be_bytes([l1, l2]));
    Some(Record {
        rtype: u16::from_be_bytes([t1, t2]),
        class: u16::from_be_bytes([c1, c2]),
        ttl,
        content: message.get(start..next)?,
        next,
    })
}

/// Finds the end of a name, without following the pointer that it may end in.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    let start = at;
    loop {
        match message.get(at)? {
            0 => return Some(at + 1),
            len @ 1..=63 => at += 1 + usize::from(*len),
            0xc0.. => return Some(at + 2),
            _ => return None,
        }
        if at - start > NAME_BYTES_MAX {
            return None;
        }
    }
}
