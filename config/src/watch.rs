//! Says when a file or directory has changed.

use std::{
    ffi::OsString,
    fmt,
    os::unix::fs::MetadataExt,
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

/// How often is looked whether the directory under watch is still the one at its path.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Decides which events are told.
type Wanted = Arc<dyn Fn(&Event) -> bool + Send + Sync>;

/// Watches a file or a directory and says, some time after a change, that there was one.
///
/// It says nothing about what changed: the caller reads again and compares. A file is watched by way of
/// its directory, so that it may be replaced (as editors do), be missing for a while, or be a link that
/// is pointed elsewhere (as Kubernetes does with mounted maps). The directory itself may be replaced, too.
pub struct Watcher {
    directory: PathBuf,
    /// The directory that is watched, for its path may come to name another one.
    identity: Option<(u64, u64)>,
    wanted: Wanted,
    changes: Arc<Notify>,
    debounce: Duration,
    /// Watches until it is dropped.
    watcher: RecommendedWatcher,
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
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
        let wanted = move |event: &Event| concerns(event, name.as_deref(), &linked);
        Self::start(directory, debounce, Arc::new(wanted))
    }

    /// Starts to watch the entries of a directory, but not of those below it.
    ///
    /// # Errors
    ///
    /// As [`Watcher::file`].
    pub fn directory(path: &Path, debounce: Duration) -> Result<Self, WatchError> {
        Self::start(path.to_owned(), debounce, Arc::new(|_| true))
    }

    /// Waits for the next change since the last call, and then for a quiet moment.
    pub async fn changed(&mut self) {
        let changes = Arc::clone(&self.changes);
        loop {
            let told = tokio::time::timeout(LOOK_EVERY, changes.notified()).await;
            if told.is_ok() {
                break;
            }
            if self.follow() {
                return;
            }
        }
        let latest = Instant::now() + DEBOUNCE_MAX;
        loop {
            let quiet = (Instant::now() + self.debounce).min(latest);
            let more = tokio::time::timeout_at(quiet, changes.notified()).await;
            if more.is_err() || Instant::now() >= latest {
                break;
            }
        }
        // Before the caller reads: what it reads is what is watched.
        self.follow();
    }

    /// Watches the directory that is at the path now, if it is another one; returns whether it is.
    fn follow(&mut self) -> bool {
        let identity = identity(&self.directory);
        if identity == self.identity || identity.is_none() {
            return false;
        }
        match watch(&self.directory, &self.wanted, &self.changes) {
            Ok(watcher) => {
                self.watcher = watcher;
                self.identity = identity;
                true
            }
            Err(error) => {
                tracing::warn!(directory = %self.directory.display(), %error, "can't be watched");
                false
            }
        }
    }

    fn start(directory: PathBuf, debounce: Duration, wanted: Wanted) -> Result<Self, WatchError> {
        let changes = Arc::<Notify>::default();
        let watcher = watch(&directory, &wanted, &changes).map_err(|source| WatchError {
            path: directory.display().to_string(),
            source,
        })?;
        Ok(Self {
            identity: identity(&directory),
            directory,
            wanted,
            changes,
            debounce,
            watcher,
        })
    }
}

/// Starts to watch a directory; what is wanted wakes whoever waits for `changes`.
fn watch(
    directory: &Path,
    wanted: &Wanted,
    changes: &Arc<Notify>,
) -> notify::Result<RecommendedWatcher> {
    let (wanted, changes) = (Arc::clone(wanted), Arc::clone(changes));
    let tell = move |event: notify::Result<Event>| match event {
        // A queue that ran over has lost something: better to look once too often.
        Err(_) => changes.notify_one(),
        Ok(event) if is_change(&event) && wanted(&event) => changes.notify_one(),
        Ok(_) => {}
    };
    let mut watcher = notify::recommended_watcher(tell)?;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// Returns device and inode of what is at a path.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
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

    #[tokio::test]
    async fn a_directory_that_is_replaced_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("d"), dir.path().join("old"));
        std::fs::create_dir(&path).unwrap();
        let mut watcher = Watcher::directory(&path, DEBOUNCE).unwrap();
        let first = watcher.identity;
        std::fs::rename(&path, &old).unwrap();
        std::fs::create_dir(&path).unwrap();
        // Told by the last event of the old one, or found at the next look.
        while watcher.identity == first {
            tokio::time::timeout(PATIENCE * 4, watcher.changed())
                .await
                .unwrap();
        }
        std::fs::write(path.join("a"), "1").unwrap();
        tokio::time::timeout(PATIENCE, watcher.changed())
            .await
            .unwrap();
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        let error = Watcher::directory(Path::new("/nonexistent/x"), DEBOUNCE).unwrap_err();
        assert!(error.to_string().starts_with("can't watch /nonexistent/x"));
    }
}
