//! What answers depend on beside names and records.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;

use crate::{
    Config, Cookies, Forwarder, RateLimitConfig,
    wire::{CLASS_CH, OWNER_IS_QUESTION, fixed, rtype},
};

/// Holds the parts of the configuration that decide the form of answers.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    /// The longest answer over UDP in bytes.
    pub(crate) udp_payload_max: u16,
    /// Makes and checks cookies; without it there are none.
    pub(crate) cookies: Option<Arc<Cookies>>,
    cookies_required: bool,
    /// The name of this server (RFC 5001); empty when it isn't told.
    pub(crate) nsid: Box<[u8]>,
    /// The whole TXT record of `version.bind` in class CH.
    pub(crate) chaos_version: Option<Box<[u8]>>,
    /// The whole TXT record of `id.server` in class CH.
    pub(crate) chaos_id: Option<Box<[u8]>>,
    /// How answers over UDP are limited; the same `Arc` as long as the configuration is.
    pub(crate) rate_limit: Arc<RateLimitConfig>,
    /// Has resolvers asked for names that are nobody's here; nobody does without it.
    pub(crate) forwarder: Option<Arc<Forwarder>>,
    /// Whose queries it gets; nobody's when forwarding is off.
    forwarded: Box<[IpNet]>,
}

impl Policy {
    /// Takes what a configuration says.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            udp_payload_max: config.udp_payload_max,
            cookies: None,
            cookies_required: config.cookies.required,
            nsid: config.nsid.as_bytes().into(),
            chaos_version: chaos_record(&config.chaos.version),
            chaos_id: chaos_record(&config.chaos.id),
            rate_limit: Arc::new(config.rate_limit.clone()),
            forwarder: None,
            forwarded: match config.forward.is_on() {
                true => config.forward.clients.iter().map(IpNet::trunc).collect(),
                false => Box::default(),
            },
        }
    }

    /// Tells whether a client's queries for other names are forwarded.
    pub(crate) fn forwards(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.forwarder.is_some() && self.forwarded.iter().any(|net| net.contains(&client))
    }

    /// Tells whether only clients that show a valid cookie are answered over UDP.
    pub(crate) fn demands_cookies(&self) -> bool {
        self.cookies_required && self.cookies.is_some()
    }
}

/// Encodes a TXT record in class CH with a text of at most 255 bytes; `None` without one.
fn chaos_record(text: &str) -> Option<Box<[u8]>> {
    let len = u8::try_from(text.len()).ok().filter(|len| *len > 0)?;
    let mut fields = fixed(rtype::TXT, 0, 1 + text.len());
    let [_, _, class @ .., _, _, _, _, _, _] = &mut fields;
    *class = CLASS_CH.to_be_bytes();
    Some(
        [&OWNER_IS_QUESTION[..], &fields, &[len], text.as_bytes()]
            .concat()
            .into(),
    )
}
