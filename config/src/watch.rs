//! Says when a file or directory has changed.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::{sync::Notify, time::Instant};

/// The longest that a stream of changes can put off the news of the first.
const DEBOUNCE_MAX: Duration = Duration::from_secs(2);

/// Reports why a path can't be watched.
#[derive(Debug, thiserror::Error)]
#[error("can't watch {path}: {source}")]
pub struct WatchError {
    path: String,
    source: notify::Error,
}

/// Watches a file or a directory and says, some time after a change, that there was one.
///
/// It says nothing about what changed: the caller reads again and compares. A file is watched by way of
/// its directory, so that it may be replaced (as editors do), be missing for a while, or be a link that
/// is pointed elsewhere (as Kubernetes does with mounted maps).
#[derive(Debug)]
pub struct Watcher {
    changes: Arc<Notify>,
    debounce: Duration,
    /// Stops watching when it is dropped.
    _watcher: RecommendedWatcher,
}

impl Watcher {
    /// Starts to watch a file; changes closer together than `debounce` are told as one.
    ///
    /// # Errors
    ///
    /// Returns an error when the file's directory doesn't exist or can't be watched.
    pub fn file(path: &Path, debounce: Duration) -> Result<Self, WatchError> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let name = path.file_name().map(OsString::from);
        let linked = path.to_owned();
        Self::start(&directory, debounce, move |event| {
            concerns(event, name.as_deref(), &linked)
        })
    }

    /// Starts to watch the entries of a directory, but not of those below it.
    ///
    /// # Errors
    ///
    /// As [`Watcher::file`].
    pub fn directory(path: &Path, debounce: Duration) -> Result<Self, WatchError> {
        Self::start(path, debounce, |_| true)
    }

    /// Waits for the next change since the last call, and then for a quiet moment.
    pub async fn changed(&mut self) {
        self.changes.notified().await;
        let latest = Instant::now() + DEBOUNCE_MAX;
        loop {
            let quiet = (Instant::now() + self.debounce).min(latest);
            let more = tokio::time::timeout_at(quiet, self.changes.notified()).await;
            if more.is_err() || Instant::now() >= latest {
                return;
            }
        }
    }

    fn start(
        directory: &Path,
        debounce: Duration,
        wanted: impl Fn(&Event) -> bool + Send + 'static,
    ) -> Result<Self, WatchError> {
        let changes = Arc::<Notify>::default();
        let told = Arc::clone(&changes);
        let failed = |source| WatchError {
            path: directory.display().to_string(),
            source,
        };
        let tell = move |event: notify::Result<Event>| match event {
            // A queue that ran over has lost something: better to look once too often.
            Err(_) => told.notify_one(),
            Ok(event) if is_change(&event) && wanted(&event) => told.notify_one(),
            Ok(_) => {}
        };
        let mut watcher = notify::recommended_watcher(tell).map_err(failed)?;
        watcher
            .watch(directory, RecursiveMode::NonRecursive)
            .map_err(failed)?;
        Ok(Self {
            changes,
            debounce,
            _watcher: watcher,
        })
    }
}

/// Leaves out looks at a file: reading our own configuration must not look like a change of it.
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

fn concerns(event: &Event, name: Option<&std::ffi::OsStr>, path: &Path) -> bool {
    event.need_rescan()
        || event.paths.iter().any(|path| path.file_name() == name)
        || path.is_symlink()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBOUNCE: Duration = Duration::from_millis(20);
    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_file_that_is_replaced_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        std::fs::write(&path, "1").unwrap();
        let mut watcher = Watcher::file(&path, DEBOUNCE).unwrap();
        for text in ["2", "3"] {
            let new = dir.path().join("new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(&new, &path).unwrap();
            tokio::time::timeout(PATIENCE, watcher.changed())
                .await
                .unwrap();
        }
    }

    #[tokio::test]
    async fn other_files_and_reading_are_no_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        std::fs::write(&path, "1").unwrap();
        let mut watcher = Watcher::file(&path, DEBOUNCE).unwrap();
        std::fs::write(dir.path().join("b"), "1").unwrap();
        std::fs::read(&path).unwrap();
        // The file's own change comes last and is the only one told.
        std::fs::write(&path, "2").unwrap();
        tokio::time::timeout(PATIENCE, watcher.changed())
            .await
            .unwrap();
        std::fs::read(&path).unwrap();
        let more = tokio::time::timeout(DEBOUNCE * 10, watcher.changed()).await;
        assert!(more.is_err(), "reading counted as a change");
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        let error = Watcher::directory(Path::new("/nonexistent/x"), DEBOUNCE).unwrap_err();
        assert!(error.to_string().starts_with("can't watch /nonexistent/x"));
    }
}
