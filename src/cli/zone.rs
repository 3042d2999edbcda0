//! `signpost zone`

use clap::{Args, Subcommand};

use super::{Failure, block_on, client::Client, encode, say};

/// Show a DNS zone
#[derive(Debug, Subcommand)]
pub(super) enum Zone {
    /// Print a zone as a master file, which other name servers read
    Export(Export),
}

/// Print a zone as a master file, which other name servers read
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The zone's domain (svc.internal)
    domain: String,
    #[command(flatten)]
    client: Client,
}

impl Zone {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Export(verb) => verb.run(),
        }
    }
}

impl Export {
    fn run(self) -> Result<(), Failure> {
        let domain = encode(self.domain.trim_end_matches('.'));
        let file = block_on(self.client.get_text(&format!("/v1/zones/{domain}")))?;
        say(file.trim_end())
    }
}
