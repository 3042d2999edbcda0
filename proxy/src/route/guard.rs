//! A route's door: who may pass, and what the others are answered.

use std::sync::Arc;

use crate::{
    config::{Auth, Respond},
    http::answer::Answer,
};

/// Holds what a route asks for before anything else.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) auth: Auth,
    challenge: Box<str>,
    respond: Arc<Respond>,
}

impl Guard {
    pub(super) fn new(auth: &Auth) -> Self {
        let respond = Respond {
            status: 401,
            body: "this needs a user's name and password\n".to_owned(),
            ..Respond::default()
        };
        Self {
            auth: auth.clone(),
            // RFC 7617, section 2.1: names and passwords are in UTF-8.
            challenge: format!("Basic realm=\"{}\", charset=\"UTF-8\"", auth.realm).into(),
            respond: Arc::new(respond),
        }
    }

    /// Makes the answer to whoever may not pass (RFC 9110, section 15.5.2).
    pub(crate) fn refusal(&self) -> Answer {
        let challenge = ("WWW-Authenticate", self.challenge.as_ref().to_owned());
        Answer::fixed(&self.respond).with(challenge)
    }
}
