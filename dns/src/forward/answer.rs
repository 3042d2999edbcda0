//! Answers of what resolvers say.

use hickory_proto::op::{DnsResponse, Message, OpCode, ResponseCode};
use hickory_resolver::net::{DnsError, NetError};

/// The largest answer over UDP that is taken of a resolver; RFC 6891, section 6.2.5.
pub(super) const PAYLOAD: u16 = 1232;

/// What an answer ends by.
pub(super) struct End {
    /// The longest that the answer may be, in bytes.
    pub(super) limit: u16,
    /// The OPT record; empty for a client without EDNS.
    pub(super) opt: Vec<u8>,
}

/// Says that nobody could be asked, or that all have failed.
pub(super) fn failed(query: &Message, end: &End) -> Vec<u8> {
    encode(empty(query, ResponseCode::ServFail), end)
}

/// Says that nobody is asked about such names.
pub(super) fn refused(query: &Message, end: &End) -> Vec<u8> {
    encode(empty(query, ResponseCode::Refused), end)
}

/// Says that a query can't be read; its header is there.
pub(super) fn malformed(query: &[u8]) -> Vec<u8> {
    let id = query.first_chunk().map(|id| u16::from_be_bytes(*id));
    let id = id.unwrap_or_default();
    let answer = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
    answer.to_vec().unwrap_or_default()
}

/// Says what was found: records, that there are none, or that nothing is known.
pub(super) fn of(query: &Message, found: Result<DnsResponse, NetError>, end: &End) -> Vec<u8> {
    let answer = match found {
        Ok(found) => {
            let found = found.into_message();
            let mut answer = empty(query, found.metadata.response_code);
            answer.metadata.authentic_data = found.metadata.authentic_data;
            answer.answers = found.answers;
            answer.authorities = found.authorities;
            answer.additionals = found.additionals;
            answer
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(nothing))) => {
            let mut answer = empty(query, nothing.response_code);
            // They say for how long that may be believed (RFC 2308), and prove it.
            answer.authorities = match (nothing.authorities, nothing.soa) {
                (Some(all), _) => all.to_vec(),
                (None, soa) => soa
                    .into_iter()
                    .map(|soa| soa.into_record_of_rdata())
                    .collect(),
            };
            answer
        }
        Err(NetError::Dns(DnsError::ResponseCode(code))) => empty(query, code),
        Err(_) => empty(query, ResponseCode::ServFail),
    };
    encode(answer, end)
}

fn empty(query: &Message, code: ResponseCode) -> Message {
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.metadata.checking_disabled = query.metadata.checking_disabled;
    answer.metadata.recursion_available = true;
    answer.metadata.response_code = code;
    answer.add_queries(query.queries.iter().cloned());
    answer
}

/// Encodes an answer; one that is too long is cut, and says so.
fn encode(answer: Message, end: &End) -> Vec<u8> {
    let room = usize::from(end.limit).saturating_sub(end.opt.len());
    let mut bytes = answer.to_vec().unwrap_or_default();
    if bytes.is_empty() || bytes.len() > room {
        bytes = answer.truncate().to_vec().unwrap_or_default();
    }
    end.put(answer.metadata.response_code, &mut bytes);
    bytes
}

impl End {
    /// Appends the OPT record, with what the header has no room for of the code (RFC 6891, section 6.1.3).
    fn put(&self, code: ResponseCode, bytes: &mut Vec<u8>) {
        let Some(count) = bytes.get_mut(10..12).filter(|_| !self.opt.is_empty()) else {
            return;
        };
        let more = u16::from_be_bytes([count[0], count[1]]) + 1;
        count.copy_from_slice(&more.to_be_bytes());
        let start = bytes.len();
        bytes.extend_from_slice(&self.opt);
        // Behind the root's name, the type and the payload.
        bytes[start + 5] = code.high();
    }
}
