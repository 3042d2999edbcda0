//! Answers in class CH, where servers tell of themselves (RFC 4892).

use super::refuse;
use crate::{
    Rcode,
    policy::Policy,
    wire::{Answer, ExtendedError, LowerCase, Question, Section, rtype},
};

/// Answers a question in class CH; what isn't to be told is refused.
pub(super) fn answer_chaos(
    policy: &Policy,
    question: &Question<'_>,
    answer: &mut Answer<'_>,
) -> Rcode {
    let record = match question.name(&mut LowerCase::new()) {
        b"\x07version\x04bind" | b"\x07version\x06server" => &policy.chaos_version,
        b"\x02id\x06server" | b"\x08hostname\x04bind" => &policy.chaos_id,
        _ => &None,
    };
    let Some(record) = record else {
        return refuse(answer, ExtendedError::Prohibited);
    };
    answer.set_authoritative(true);
    let wanted = matches!(question.qtype, rtype::TXT | rtype::ANY);
    if wanted && !answer.put(Section::Answer, 1, record) {
        answer.set_truncated();
    }
    Rcode::NoError
}
