//! Tells a page when there is something else to show.

use std::{sync::Arc, time::Duration};

use futures_util::stream;
use http::Response;
use registry::Snapshot;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::api::Bamboo;
use crate::{
    compat::Dynamic,
    http_server::body::{self, Body, Problem, too_many},
};

/// How often a stream shows that it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The least time between two events: a page reads everything again for each.
const PAUSE: Duration = Duration::from_millis(200);

/// Where a listener is.
struct Cursor {
    bamboo: Arc<Bamboo>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    dynamic: watch::Receiver<Arc<Dynamic>>,
    is_first: bool,
}

/// Answers with events (`text/event-stream`): `changed`, at first and then whenever something is new.
pub(super) fn stream(bamboo: &Arc<Bamboo>) -> Result<Response<Body>, Problem> {
    let permit = bamboo.listeners.try_acquire().map_err(|_| too_many())?;
    // The cursor gives it back.
    permit.forget();
    let cursor = Cursor {
        snapshots: bamboo.controls.snapshots(),
        dynamic: bamboo.views.dynamic(),
        bamboo: Arc::clone(bamboo),
        is_first: true,
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
        self.bamboo.listeners.add_permits(1);
    }
}

impl Cursor {
    async fn next(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.is_first) {
            let mut draining = self.bamboo.draining.clone();
            let news = async {
                tokio::select! {
                    changed = self.snapshots.changed() => changed.is_ok(),
                    changed = self.dynamic.changed() => changed.is_ok(),
                }
            };
            let news = tokio::select! {
                news = timeout(HEARTBEAT, news) => news.ok(),
                // The process is about to end; the page comes back to another one.
                _ = draining.wait_for(|draining| *draining) => Some(false),
            };
            match news {
                None => return Some(": still here\n\n".to_owned()),
                Some(false) => return None,
                Some(true) => sleep(PAUSE).await,
            }
        }
        self.dynamic.borrow_and_update();
        let version = self.snapshots.borrow_and_update().version();
        Some(format!(
            "event: changed\ndata: {{\"version\":{version}}}\n\n"
        ))
    }
}
