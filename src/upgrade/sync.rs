//! How a new process gets to know what the old one knows.

use std::{collections::BTreeMap, time::Duration};

use ::config::Problem;
use registry::{Controls, Stopped, sources};

use super::Predecessor;

/// How long host names are waited for that haven't been looked up yet.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(5);

/// How often it is asked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Syncs with all sources, those last whose store the old process has to close before.
///
/// What the old process knows is waited for, for as long as it lives; other sources may as well be away
/// until `start_deadline`.
///
/// # Errors
///
/// Returns a problem when the registry has stopped.
pub(crate) async fn sync(
    controls: &Controls,
    sources: &BTreeMap<String, sources::Config>,
    predecessor: &Predecessor,
) -> Result<(), Problem> {
    let synced = sync_in_steps(controls, sources, predecessor);
    synced
        .await
        .map_err(|stopped| Problem::new("sources", stopped.to_string()))
}

async fn sync_in_steps(
    controls: &Controls,
    sources: &BTreeMap<String, sources::Config>,
    predecessor: &Predecessor,
) -> Result<(), Stopped> {
    let stores = |config: &sources::Config| config.is_exclusive();
    let mut others = sources.clone();
    others.retain(|_, config| !stores(config));
    controls.set_sources(others).await?;
    wait(controls, predecessor, |source| {
        predecessor.has_synced(source)
    })
    .await?;
    if sources.values().any(stores) {
        tracing::info!("taking the stores over");
        predecessor.release_stores().await;
        controls.set_sources(sources.clone()).await?;
        let is_store = |source: &str| sources.get(source).is_some_and(stores);
        let needed = |source: &str| predecessor.has_synced(source) || is_store(source);
        wait(controls, predecessor, needed).await?;
    }
    for (service, id) in predecessor.drained() {
        // One that is gone by now needs no draining.
        controls.drain(service.clone(), id.clone(), true).await?;
    }
    Ok(())
}

/// Waits until the sources have synced, or the old process is gone and there is nobody else to serve.
async fn wait(
    controls: &Controls,
    predecessor: &Predecessor,
    is_needed: impl Fn(&str) -> bool,
) -> Result<(), Stopped> {
    tokio::select! {
        synced = synced(controls, is_needed) => synced?,
        () = predecessor.gone() => {
            tracing::warn!("the old process is gone, so this one serves what it knows already");
            return Ok(());
        }
    }
    let looked_up = async {
        while controls.first_lookups().await? > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    let looked_up = tokio::time::timeout(LOOKUP_PATIENCE, looked_up).await;
    // A name that can't be looked up in that time is none that could be answered with.
    looked_up.unwrap_or(Ok(()))
}

async fn synced(controls: &Controls, is_needed: impl Fn(&str) -> bool) -> Result<(), Stopped> {
    let mut snapshots = controls.snapshots();
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        let awaited = |name: &str| snapshot.unsynced().iter().any(|one| **one == *name);
        let statuses = controls.statuses().await?;
        let mut missing = statuses.iter().filter(|status| !status.synced);
        if !missing.any(|status| is_needed(&status.name) || awaited(&status.name)) {
            return Ok(());
        }
        snapshots.changed().await.map_err(|_| Stopped)?;
    }
}
