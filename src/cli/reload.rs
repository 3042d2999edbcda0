//! `signpost reload`

use clap::Args;
use http::Method;

use super::{Failure, client::Client, runtime, say};

/// Have the server read its configuration again
#[derive(Debug, Args)]
pub(super) struct Reload {
    #[command(flatten)]
    client: Client,
}

impl Reload {
    pub(super) fn run(self) -> Result<(), Failure> {
        runtime()?.block_on(self.client.request(Method::POST, "/v1/reload"))?;
        say("reloaded");
        Ok(())
    }
}
