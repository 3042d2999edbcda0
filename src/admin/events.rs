//! `/v1/events`: every change as it is published (server-sent events).

use std::{sync::Arc, time::Duration};

use futures_util::stream;
use http::Response;
use registry::{Change, Instance, Snapshot};
use serde::Serialize;
use tokio::sync::{SemaphorePermit, watch};

use super::{
    Admin,
    body::{self, Body, Problem, too_many},
};

/// How often a quiet stream says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Serialize)]
struct Event<'a> {
    version: u64,
    service: &'a str,
    /// None when the service is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    instances: Option<&'a [Arc<Instance>]>,
}

/// One client's place in the stream of snapshots.
struct Cursor {
    admin: Arc<Admin>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    last: Option<Arc<Snapshot>>,
}

/// Starts a stream: first the version there is (`event: snapshot`), then each changed service.
///
/// Who reads too slowly gets several changes of one service as one.
pub(super) fn stream(admin: Arc<Admin>) -> Result<Response<Body>, Problem> {
    match admin.long_polls.try_acquire() {
        // Given back when the cursor is dropped.
        Ok(place) => SemaphorePermit::forget(place),
        Err(_) => return Err(too_many()),
    }
    let cursor = Cursor {
        snapshots: admin.controls.snapshots(),
        last: None,
        admin,
    };
    Ok(body::events(stream::unfold(
        cursor,
        |mut cursor| async move {
            let text = cursor.next().await?;
            Some((text, cursor))
        },
    )))
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.admin.long_polls.add_permits(1);
    }
}

impl Cursor {
    async fn next(&mut self) -> Option<String> {
        let Some(last) = self.last.take() else {
            let first = Arc::clone(&self.snapshots.borrow_and_update());
            let version = first.version();
            self.last = Some(first);
            return Some(format!(
                "event: snapshot\ndata: {{\"version\":{version}}}\n\n"
            ));
        };
        let mut draining = self.admin.draining.clone();
        let changed = tokio::select! {
            changed = tokio::time::timeout(HEARTBEAT, self.snapshots.changed()) => changed,
            // The process is about to end; the client comes back to another one.
            _ = draining.wait_for(|draining| *draining) => return None,
        };
        match changed {
            Err(_) => {
                self.last = Some(last);
                Some(": still here\n\n".to_owned())
            }
            Ok(changed) => {
                changed.ok()?;
                let new = Arc::clone(&self.snapshots.borrow_and_update());
                let text = events(&last, &new);
                self.last = Some(new);
                Some(text)
            }
        }
    }
}

fn events(old: &Snapshot, new: &Snapshot) -> String {
    let version = new.version();
    let mut text = String::new();
    for change in new.changes_since(old) {
        let event = Event {
            version,
            service: change.name().as_str(),
            instances: match change {
                Change::Put(_, service) => Some(&service.instances),
                Change::Remove(_) => None,
            },
        };
        let kind = match event.instances {
            Some(_) => "service",
            None => "service_removed",
        };
        let json = serde_json::to_string(&event).expect("our own types serialize");
        text.push_str(&format!("id: {version}\nevent: {kind}\ndata: {json}\n\n"));
    }
    if text.is_empty() {
        // Which sources have synced or are stale has changed, and no service.
        text = format!("id: {version}\nevent: snapshot\ndata: {{\"version\":{version}}}\n\n");
    }
    text
}
