//! `signpost deregister`

use clap::Args;
use http::Method;
use registry::{InstanceId, ServiceName};

use super::{Failure, block_on, client::Client, say};

/// Remove an instance
#[derive(Debug, Args)]
pub(super) struct Deregister {
    /// The service
    service: ServiceName,
    /// The instance's id
    id: InstanceId,
    #[command(flatten)]
    client: Client,
}

impl Deregister {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self {
            service,
            id,
            client,
        } = self;
        let path = format!("/v1/services/{service}/instances/{id}");
        block_on(client.request(Method::DELETE, &path))?;
        say(&format!("{service}/{id} removed"))
    }
}
