//! `signpost reload`

use clap::Args;
use http::Method;

use super::{Failure, block_on, client::Client, say};

/// Have the server read its configuration again
#[derive(Debug, Args)]
pub(super) struct Reload {
    #[command(flatten)]
    client: Client,
}

impl Reload {
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(self.client.request(Method::POST, "/v1/reload"))?;
        say("reloaded")
    }
}
