//! What an answer says, in a form in which answers can be compared.

use std::collections::BTreeSet;

use hickory_proto::{
    op::Message,
    rr::{RData, Record},
};

use super::queries::Query;

/// What one of two answers has and the other one hasn't.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) part: Part,
    pub(super) side: Side,
    /// The code, the flag or the record.
    pub(super) what: String,
}

/// The parts of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Code,
    Flags,
    Question,
    Edns,
    Answers,
    Authorities,
    Additionals,
}

/// Whose answer has more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Ours,
    Theirs,
}

/// An answer, with its records in no order.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its length in bytes.
    pub(super) length: usize,
    pub(super) truncated: bool,
    pub(super) code: u16,
    pub(super) flags: BTreeSet<String>,
    /// Says so where it isn't that of the query, byte by byte.
    question: BTreeSet<String>,
    /// The version, and whether signatures are asked for; empty where there is no OPT record.
    edns: BTreeSet<String>,
    pub(super) answers: BTreeSet<String>,
    pub(super) authorities: BTreeSet<String>,
    pub(super) additionals: BTreeSet<String>,
}

impl Answer {
    /// Reads one.
    ///
    /// # Panics
    ///
    /// Panics where it can't be read.
    pub(super) fn read(bytes: &[u8], query: &Query) -> Self {
        let message =
            Message::from_vec(bytes).unwrap_or_else(|error| panic!("{error}: {bytes:x?}"));
        let metadata = &message.metadata;
        let flags = [
            ("AA", metadata.authoritative),
            ("TC", metadata.truncation),
            ("RD", metadata.recursion_desired),
            ("RA", metadata.recursion_available),
            ("AD", metadata.authentic_data),
            ("CD", metadata.checking_disabled),
        ];
        let flags = flags.iter().filter(|(_, set)| *set);
        let place = 12..12 + query.question_bytes();
        let same_question = bytes.get(place.clone()) == query.bytes.get(place);
        let question = (!same_question).then(|| format!("{:?}", message.queries));
        let edns = message.edns.as_ref().map(|edns| {
            let dnssec_ok = if edns.flags().dnssec_ok { " DO" } else { "" };
            format!("version {}{dnssec_ok}", edns.version())
        });
        Self {
            length: bytes.len(),
            truncated: metadata.truncation,
            code: u16::from(metadata.response_code),
            flags: flags.map(|(flag, _)| (*flag).to_owned()).collect(),
            question: question.into_iter().collect(),
            edns: edns.into_iter().collect(),
            answers: lines(&message.answers),
            authorities: lines(&message.authorities),
            additionals: lines(&message.additionals),
        }
    }

    /// Lists in what two answers differ: each code, flag or record that only one of them has.
    pub(super) fn differences(&self, other: &Self) -> Vec<Difference> {
        let code = |answer: &Self| [answer.code.to_string()].into();
        let mut found = Vec::new();
        let sets = [
            (Part::Code, &code(self), &code(other)),
            (Part::Flags, &self.flags, &other.flags),
            (Part::Question, &self.question, &other.question),
            (Part::Edns, &self.edns, &other.edns),
            (Part::Answers, &self.answers, &other.answers),
            (Part::Authorities, &self.authorities, &other.authorities),
            (Part::Additionals, &self.additionals, &other.additionals),
        ];
        for (part, ours, theirs) in sets {
            for (side, only) in [(Side::Ours, ours - theirs), (Side::Theirs, theirs - ours)] {
                let differences = only.into_iter();
                found.extend(differences.map(|what| Difference { part, side, what }));
            }
        }
        found
    }
}

/// Writes records as `name ttl type content`; names in lower case, for their case is the query's.
fn lines(records: &[Record]) -> BTreeSet<String> {
    let lines = records.iter().map(|record| {
        let content = match &record.data {
            RData::TXT(txt) => format!("{:?}", txt.txt_data),
            other => other.to_string().to_ascii_lowercase(),
        };
        let name = record.name.to_string().to_ascii_lowercase();
        format!("{name} {} {} {content}", record.ttl, record.record_type())
    });
    let count = records.len();
    let lines: BTreeSet<_> = lines.collect();
    assert_eq!(lines.len(), count, "a record comes twice: {lines:?}");
    lines
}
