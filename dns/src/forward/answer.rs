//! Answers of what resolvers say.

use hickory_proto::op::{DnsResponse, Edns, Message, OpCode, ResponseCode};
use hickory_resolver::net::{DnsError, NetError};

/// The largest answer over UDP that is taken, as clients are told; RFC 6891, section 6.2.5.
pub(super) const PAYLOAD: u16 = 1232;

/// Says that nobody could be asked, or that all have failed.
pub(super) fn failed(query: &Message, limit: u16) -> Vec<u8> {
    encode(empty(query, ResponseCode::ServFail), limit)
}

/// Says that nobody is asked about such names.
pub(super) fn refused(query: &Message, limit: u16) -> Vec<u8> {
    encode(empty(query, ResponseCode::Refused), limit)
}

/// Says that a query can't be read; its header is there.
pub(super) fn malformed(query: &[u8]) -> Vec<u8> {
    let id = query.first_chunk().map(|id| u16::from_be_bytes(*id));
    let id = id.unwrap_or_default();
    let answer = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
    answer.to_vec().unwrap_or_default()
}

/// Says what was found: records, that there are none, or that nothing is known.
pub(super) fn of(query: &Message, found: Result<DnsResponse, NetError>, limit: u16) -> Vec<u8> {
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
    encode(answer, limit)
}

fn empty(query: &Message, code: ResponseCode) -> Message {
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.metadata.checking_disabled = query.metadata.checking_disabled;
    answer.metadata.recursion_available = true;
    answer.metadata.response_code = code;
    answer.add_queries(query.queries.iter().cloned());
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD);
        edns.set_dnssec_ok(
            query
                .edns
                .as_ref()
                .is_some_and(|edns| edns.flags().dnssec_ok),
        );
        answer.set_edns(edns);
    }
    answer
}

/// Encodes an answer; one that is too long is cut, and says so.
fn encode(answer: Message, limit: u16) -> Vec<u8> {
    let bytes = answer.to_vec().unwrap_or_default();
    if !bytes.is_empty() && bytes.len() <= usize::from(limit) {
        return bytes;
    }
    answer.truncate().to_vec().unwrap_or_default()
}
