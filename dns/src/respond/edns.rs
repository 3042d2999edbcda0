//! What of EDNS an answer depends on, and what it says by it.

use super::Request;
use crate::{
    CookieKind,
    cookie::COOKIE_BYTES,
    policy::Policy,
    wire::{Opt, Query},
};

/// Says what cookie came with a query, and answers its OPT record with one.
pub(super) fn answer_edns<'a>(
    policy: &'a Policy,
    request: &Request<'_>,
    query: &Query<'a>,
) -> (CookieKind, Option<Opt<'a>>) {
    let Some(edns) = query.edns else {
        return (CookieKind::Absent, None);
    };
    let (kind, cookie) = exchange_cookies(policy, request, query);
    let nsid = Some(&*policy.nsid).filter(|nsid| !nsid.is_empty());
    let opt = Opt {
        payload: policy.udp_payload_max,
        dnssec_ok: edns.dnssec_ok,
        nsid: nsid.filter(|_| edns.nsid_asked),
        subnet: edns.subnet,
        keepalive: request.keepalive.filter(|_| edns.keepalive_asked),
        cookie,
    };
    (kind, Some(opt))
}

/// Checks the cookie of a query and makes a new one for who has sent any.
fn exchange_cookies(
    policy: &Policy,
    request: &Request<'_>,
    query: &Query<'_>,
) -> (CookieKind, Option<[u8; COOKIE_BYTES]>) {
    let came = query.edns.and_then(|edns| edns.cookie);
    let (Some(cookies), Some(came)) = (&policy.cookies, came) else {
        return (CookieKind::Absent, None);
    };
    let Request { client, now, .. } = *request;
    let kind = cookies.check(came.client, came.server, client, now);
    (kind, Some(cookies.make(came.client, client, now)))
}
