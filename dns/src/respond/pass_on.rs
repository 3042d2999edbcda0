//! Queries that others answer.

use super::{Request, edns};
use crate::{
    Zones,
    forward::{Asked, Reply},
    wire::{Opt, Query},
};

/// Hands a query over to be forwarded, with what this server says of itself in each of its answers.
pub(crate) fn pass_on(zones: &Zones, request: &Request<'_>, reply: Reply) {
    let policy = zones.policy();
    let (Some(forwarder), Some(query)) = (&policy.forwarder, Query::parse(request.message)) else {
        return;
    };
    let (_, opt) = edns::answer_edns(policy, request, &query);
    let asked = Asked {
        message: request.message,
        transport: request.transport,
        payload_max: policy.udp_payload_max,
        opt: opt.as_ref().map(Opt::to_vec).unwrap_or_default(),
    };
    forwarder.forward(asked, reply);
}
