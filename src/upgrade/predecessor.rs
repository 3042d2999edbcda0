//! The old process, as the new one sees it.

use std::{
    env,
    fs::File,
    io,
    os::{fd::AsFd, unix::process::parent_id},
};

use registry::{InstanceId, ServiceName};

use super::{Message, State, VARIABLE, channel::Channel};
use crate::inherited::{Given, Inherited, Purpose};

/// How many versions the old process may publish at the most while this one gets ready.
const VERSIONS_AHEAD: u64 = 1_000_000;

/// The process that this one replaces.
#[derive(Debug)]
pub(crate) struct Predecessor {
    channel: Channel,
    state: State,
    drained: Vec<(ServiceName, InstanceId)>,
}

impl Predecessor {
    /// Takes what the process that has started this one hands over; `None` when it was started otherwise.
    ///
    /// # Errors
    ///
    /// Returns in words why nothing can be taken.
    pub(crate) async fn meet() -> Result<Option<(Self, Inherited)>, String> {
        let from = env::var(VARIABLE).ok().and_then(|from| from.parse().ok());
        // A variable that was left over from another start says nothing.
        if from != Some(parent_id()) {
            return Ok(None);
        }
        let met = take_over().await;
        met.map(Some)
            .map_err(|error| format!("can't take over from process {}: {error}", parent_id()))
    }

    /// Returns a version that is above all that the old process will have published.
    pub(crate) fn version(&self) -> u64 {
        self.state.version + VERSIONS_AHEAD
    }

    /// Returns what it makes DNS cookies with.
    pub(crate) fn cookie_secret(&self) -> [u8; 16] {
        self.state.cookie_secret
    }

    /// Tells whether it has read a source.
    pub(crate) fn has_synced(&self, source: &str) -> bool {
        self.state.synced.iter().any(|name| name == source)
    }

    /// Lists the instances that operators have drain.
    pub(crate) fn drained(&self) -> &[(ServiceName, InstanceId)] {
        &self.drained
    }

    /// Has it close its stores.
    ///
    /// A process that is gone has closed them, too.
    pub(crate) async fn release_stores(&self) {
        if self
            .channel
            .send(&Message::ReleaseStores, None)
            .await
            .is_ok()
        {
            self.channel.receive().await.ok();
        }
    }

    /// Waits until it is gone without this process being ready, which then is all there is.
    pub(crate) async fn gone(&self) {
        while self.channel.receive().await.is_ok() {}
    }

    /// Says that this process serves.
    pub(crate) async fn end(self) {
        // It may be gone by itself.
        self.channel.send(&Message::Ready, None).await.ok();
    }
}

async fn take_over() -> io::Result<(Predecessor, Inherited)> {
    let end = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let channel = Channel::new(end)?;
    let mut inherited = Inherited::default();
    let mut drained = Vec::new();
    loop {
        match channel.receive().await? {
            (Message::Socket { part, listen }, Some(descriptor)) => inherited.add(Given {
                purpose: Purpose::Told(part),
                listen,
                socket: descriptor.into(),
            }),
            (Message::Drained { service, id }, None) => drained.push((service, id)),
            (Message::State(state), None) => {
                let predecessor = Predecessor {
                    channel,
                    state,
                    drained,
                };
                return Ok((predecessor, inherited));
            }
            (other, _) => return Err(io::Error::other(format!("{other:?} wasn't expected"))),
        }
    }
}
