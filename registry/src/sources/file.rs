//! Lists of services in files.

mod list;

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use config::{Duration, Problem, Watcher};
use futures_util::{FutureExt, future::BoxFuture};
use serde::Deserialize;

use crate::{Entry, Error, Key, Refusal, Source, Update, Updates};

/// The endings of files that are read; others in the directory are left alone.
const ENDINGS: [&str; 4] = ["toml", "json", "yaml", "yml"];

/// Configures a file source: `[sources.NAME.file]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A file, or a directory whose `.toml`, `.json`, `.yaml` and `.yml` files are read.
    pub path: PathBuf,
    /// How long files must be left alone before they are read.
    #[serde(default = "debounce")]
    pub debounce: Duration,
    /// How large a file may be.
    #[serde(default = "file_bytes_max")]
    pub file_bytes_max: config::Size,
}

fn debounce() -> Duration {
    Duration::from_millis(50)
}

fn file_bytes_max() -> config::Size {
    config::Size::from_bytes(16 << 20)
}

impl Config {
    /// Reads the files once: what they say, and what in them can't be read.
    ///
    /// # Errors
    ///
    /// Fails when the path as a whole can't be read.
    pub fn read(&self) -> Result<(Vec<Entry>, Vec<Refusal>), Error> {
        let mut file = File::from(self.clone());
        let refused = file.read(&"check".into())?;
        Ok((file.files.into_values().flatten().collect(), refused))
    }

    pub(crate) fn problems(&self) -> Vec<Problem> {
        match self.path.as_os_str().is_empty() {
            true => vec![Problem::new(
                "path",
                "is empty; it must name a file or a directory",
            )],
            false => Vec::new(),
        }
    }
}

/// Reads lists of services from files, and again when they change.
#[derive(Debug)]
pub struct File {
    config: Config,
    /// What each file says. A file that has become unreadable is kept as it was.
    files: BTreeMap<PathBuf, Vec<Entry>>,
}

impl From<Config> for File {
    fn from(config: Config) -> Self {
        Self {
            config,
            files: BTreeMap::new(),
        }
    }
}

impl Source for File {
    fn run<'a>(&'a mut self, updates: &'a Updates) -> BoxFuture<'a, Result<Infallible, Error>> {
        async move {
            let path = self.config.path.clone();
            let debounce = self.config.debounce.get();
            // Watch first, then read: what changes in between is told afterwards.
            let mut watcher = match path.is_dir() {
                true => Watcher::directory(&path, debounce)?,
                false => Watcher::file(&path, debounce)?,
            };
            loop {
                // The registry finds out what is different: files are read as a whole anyway.
                let refused = self.read_apart(updates.source()).await?;
                let entries = self.files.values().flatten().cloned().collect();
                updates.send(Update::Reset { entries, refused }).await;
                watcher.changed().await;
            }
        }
        .boxed()
    }
}

impl File {
    /// As [`File::read`], away from the control plane's thread: files may be large, and disks slow.
    async fn read_apart(&mut self, source: &Arc<str>) -> Result<Vec<Refusal>, Error> {
        let mut file = Self {
            config: self.config.clone(),
            files: std::mem::take(&mut self.files),
        };
        let source = Arc::clone(source);
        let read = move || {
            let refused = file.read(&source);
            (file.files, refused)
        };
        let refused;
        (self.files, refused) = tokio::task::spawn_blocking(read).await?;
        refused
    }

    /// Reads all files; returns what can't be read.
    fn read(&mut self, source: &Arc<str>) -> Result<Vec<Refusal>, Error> {
        let paths = paths(&self.config.path)?;
        self.files.retain(|path, _| paths.contains(path));
        let mut refused = Vec::new();
        for path in paths {
            let read = read_limited(&path, self.config.file_bytes_max.bytes());
            match read.and_then(|text| list::parse(&path, &text, source)) {
                Ok(list) => {
                    refused.extend(list.refused);
                    self.files.insert(path, list.entries);
                }
                Err(reason) => refused.push(Refusal {
                    key: Key::new(path.display().to_string()),
                    reason,
                }),
            }
        }
        Ok(refused)
    }
}

/// Lists the files to read. A file given by name must exist; a directory may be empty.
fn paths(path: &Path) -> Result<BTreeSet<PathBuf>, Error> {
    let named = |error: io::Error| format!("can't read {}: {error}", path.display());
    if !fs::metadata(path).map_err(named)?.is_dir() {
        return Ok(BTreeSet::from([path.to_owned()]));
    }
    let mut paths = BTreeSet::new();
    for entry in fs::read_dir(path).map_err(named)? {
        let path = entry.map_err(named)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let ending = path.extension().and_then(|ending| ending.to_str());
        if !hidden && ending.is_some_and(|ending| ENDINGS.contains(&ending)) && path.is_file() {
            paths.insert(path);
        }
    }
    Ok(paths)
}

fn read_limited(path: &Path, bytes_max: usize) -> Result<String, String> {
    let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if bytes > bytes_max as u64 {
        return Err(format!(
            "has {bytes} bytes, more than {bytes_max} (file_bytes_max)"
        ));
    }
    fs::read_to_string(path).map_err(|error| format!("can't be read: {error}"))
}

#[cfg(test)]
mod tests;
