//! Answers with nothing but that the client should come by TCP.

use super::{Outcome, Place, Request, edns, kind_of};
use crate::{
    CookieKind, Rcode, Zones,
    config::UDP_PAYLOAD_MIN,
    wire::{Answer, LowerCase, Query},
};

/// Writes an empty answer that has the client ask again over TCP, in place of the whole one.
///
/// An error of the name's isn't told: some clients take it as the last word, with TC or without.
pub(crate) fn respond_truncated(zones: &Zones, request: &Request<'_>, out: &mut [u8]) -> Outcome {
    let Some(query) = Query::parse(request.message) else {
        return Outcome::Dropped;
    };
    let (cookie, opt) = edns::answer_edns(zones.policy(), request, &query);
    let Some(mut answer) = Answer::start(&query, opt, out, UDP_PAYLOAD_MIN.into()) else {
        return Outcome::Dropped;
    };
    answer.set_truncated();
    let rcode = match (query.fault, &query.question) {
        (Some(fault), _) => fault,
        // A cookie alone may be asked for.
        (None, None) if cookie == CookieKind::Absent => Rcode::FormErr,
        (None, _) => Rcode::NoError,
    };
    Outcome::Answered {
        bytes: answer.finish(&query, rcode),
        rcode,
        truncated: true,
        cookie,
        zone: Place::find(zones, &query, &mut LowerCase::new()).slot(),
        qtype: kind_of(&query),
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{Message, ResponseCode};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Transport,
        respond::{
            respond,
            tests::{any_query, broken_query},
        },
        testing::{Ask, CLIENT, NOW, web_by},
    };

    /// The whole answer's outcome, and that of the empty one with its message.
    fn both(query: &[u8]) -> Option<(Outcome, Outcome, Message)> {
        let zones = web_by("").with_cookies(std::sync::Arc::new(crate::Cookies::new([7; 16])));
        let request = Request {
            message: query,
            client: CLIENT,
            transport: Transport::Udp,
            keepalive: None,
            now: NOW,
            seed: 1,
        };
        let mut out = [0; 1232];
        let whole = respond(&zones, &request, &mut out);
        let empty = respond_truncated(&zones, &request, &mut out);
        let Outcome::Answered { bytes, .. } = empty else {
            assert_eq!(whole, Outcome::Dropped);
            return None;
        };
        assert!(bytes <= UDP_PAYLOAD_MIN.into());
        Some((whole, empty, Message::from_vec(&out[..bytes]).unwrap()))
    }

    #[test]
    fn a_client_that_asks_for_a_cookie_alone_gets_one() {
        let mut ask = Ask::new("", 1).options(&[(10, &[1; 8])]);
        ask.counts[0] = 0;
        let mut query = ask.bytes();
        query.drain(12..17);
        let (_, _, message) = both(&query).unwrap();
        assert_eq!(message.metadata.response_code, ResponseCode::NoError);
        let edns = message.edns.unwrap();
        assert_eq!(edns.options().as_ref().len(), 1);
    }

    proptest! {
        #[test]
        fn an_empty_answer_says_no_more_than_that_there_is_a_whole_one(
            query in prop_oneof![any_query(), broken_query(any_query())],
        ) {
            let Some((whole, empty, message)) = both(&query) else {
                return Ok(());
            };
            prop_assert!(message.metadata.truncation);
            prop_assert!(message.answers.is_empty() && message.authorities.is_empty());
            prop_assert!(message.additionals.is_empty());
            prop_assert_eq!(&message.metadata.id.to_be_bytes()[..], &query[..2]);
            let subject = |outcome| match outcome {
                Outcome::Answered { zone, qtype, cookie, .. } => Some((zone, qtype, cookie)),
                Outcome::Forwarded { .. } | Outcome::Dropped => None,
            };
            prop_assert_eq!(subject(whole), subject(empty));
        }
    }
}
