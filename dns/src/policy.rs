//! What answers depend on beside names and records.

use std::sync::Arc;

use crate::{Config, Cookies};

/// Holds the parts of the configuration that decide the form of answers.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    /// The longest answer over UDP in bytes.
    pub(crate) udp_payload_max: u16,
    /// Makes and checks cookies; without it there are none.
    pub(crate) cookies: Option<Arc<Cookies>>,
    cookies_required: bool,
}

impl Policy {
    /// Takes what a configuration says.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            udp_payload_max: config.udp_payload_max,
            cookies: None,
            cookies_required: config.cookies.required,
        }
    }

    /// Tells whether only clients that show a valid cookie are answered over UDP.
    pub(crate) fn demands_cookies(&self) -> bool {
        self.cookies_required && self.cookies.is_some()
    }
}
