//! The version that never goes back.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

/// How many versions are set aside on disk at a time; a restart skips what was left of them.
const RESERVED: u64 = 10_000;

/// Keeps the registry's version from going back when the process restarts.
///
/// Versions are set aside in the file `version` of a directory before they are used, and a start begins
/// at the first that wasn't. Where the directory is lost or can't be written, the clock helps: a start
/// never begins below the seconds since 1970, and a registry seldom changes more than once a second.
#[derive(Debug)]
pub(crate) struct VersionFile {
    path: PathBuf,
    reserved: u64,
}

impl VersionFile {
    /// Opens the file in `directory` (both are made when missing) and returns the version to start from,
    /// which isn't below `least`.
    pub(crate) fn open(directory: &Path, clock_seconds: u64, least: u64) -> (Self, u64) {
        let path = directory.join("version");
        let start = clock_seconds.max(read(&path)).max(least);
        let mut file = Self {
            path,
            reserved: start,
        };
        file.reserve(start);
        (file, start)
    }

    /// Makes sure that versions up to and including `version` are set aside.
    pub(crate) fn reserve(&mut self, version: u64) {
        if version < self.reserved {
            return;
        }
        let reserved = version + RESERVED;
        if let Err(error) = self.write(reserved) {
            tracing::warn!(
                file = %self.path.display(), %error,
                "can't store the version; after a restart it goes by the clock"
            );
        }
        // Also after a failure: one warning for each block of versions, not one for each version.
        self.reserved = reserved;
    }

    fn write(&self, reserved: u64) -> io::Result<()> {
        // Another process that is about to take over may have set aside more.
        if read(&self.path) >= reserved {
            return Ok(());
        }
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        // A crash leaves the old file or the new one, never half of one.
        let new = self.path.with_extension("new");
        let mut file = fs::File::create(&new)?;
        writeln!(file, "{reserved}")?;
        file.sync_all()?;
        fs::rename(&new, &self.path)
    }
}

/// Reads the version that a file holds, or 0.
fn read(path: &Path) -> u64 {
    match fs::read_to_string(path) {
        Ok(text) => text.trim().parse().unwrap_or_else(|_| {
            tracing::warn!(file = %path.display(), %text, "no version in it, going by the clock");
            0
        }),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(file = %path.display(), %error, "can't read the last version");
            }
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_begins_after_every_version_used() {
        let dir = tempfile::tempdir().unwrap();
        let (mut file, start) = VersionFile::open(dir.path(), 1_000, 0);
        assert_eq!(start, 1_000);
        let used = start + 3 * RESERVED;
        file.reserve(used);
        // Even with a clock that went back.
        let (_, again) = VersionFile::open(dir.path(), 5, 0);
        assert!(again >= used, "{again} is below {used}");
    }

    #[test]
    fn what_a_newer_process_has_set_aside_stays_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let (mut old, start) = VersionFile::open(dir.path(), 1_000, 0);
        let (_, new) = VersionFile::open(dir.path(), 1_000, start + 5 * RESERVED);
        assert_eq!(new, start + 5 * RESERVED);
        old.reserve(start + RESERVED);
        assert!(VersionFile::open(dir.path(), 5, 0).1 > new);
    }

    #[test]
    fn a_lost_or_broken_file_leaves_the_clock() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("version"), "rubbish").unwrap();
        assert_eq!(VersionFile::open(dir.path(), 1_000, 0).1, 1_000);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("file");
        fs::write(&blocked, "").unwrap();
        assert_eq!(VersionFile::open(&blocked, 1_000, 0).1, 1_000);
    }
}
