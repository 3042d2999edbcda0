//! A master's state as a document: what its stream lacks, and all that masters without a stream say.

use url::Url;

use super::{picture::Picture, record::pid};
use crate::{
    Error,
    http::{Client, Failure, Request},
};

/// Where the state is: the first form is that of Mesos 1.x, the others those of the ones before.
const PATHS: [&str; 3] = ["/master/state", "/state", "/master/state.json"];

/// Reads the states of masters.
#[derive(Debug, Clone)]
pub(super) struct States {
    pub(super) client: Client,
    /// The largest document.
    pub(super) bytes_max: usize,
}

/// A master's state.
#[derive(Debug)]
pub(super) struct State {
    pub(super) picture: Picture,
    /// Whom it calls the leader: host and port.
    pub(super) leader: Option<(String, u16)>,
}

impl States {
    pub(super) async fn read(&self, master: &Url) -> Result<State, Error> {
        let mut first = None;
        for path in PATHS {
            let url = master.join(path)?;
            match self.client.read(Request::get(&url), self.bytes_max).await {
                Ok(text) => {
                    let picture =
                        Picture::of_state(&text).map_err(|reason| Failure::new(&url, reason))?;
                    let leader = picture.leader.as_deref().and_then(pid);
                    let leader = leader.map(|(host, port)| (host.to_owned(), port));
                    return Ok(State { picture, leader });
                }
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.map_or_else(|| "there is no state".into(), Into::into))
    }
}
