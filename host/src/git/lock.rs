//! Locks between processes that die with their holder: a killed process leaves none behind.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::error::{Error, Result};

/// Held until dropped.
pub(super) struct FileLock {
    file: File,
    path: PathBuf,
}

impl FileLock {
    /// Takes the lock if nobody has it.
    pub(super) fn take(path: &Path) -> Result<Option<Self>> {
        let wrong = |error: std::io::Error| Error::internal(format!("{}: {error}", path.display()));
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(wrong)?;
        match file.try_lock() {
            // A holder that is just leaving removes the file; a lock on a removed file would exclude nobody.
            Ok(()) if !is_same(&file, path) => Ok(None),
            Ok(()) => Ok(Some(Self { file, path: path.to_path_buf() })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(wrong(error)),
        }
    }

    /// Has the file say that it was held now.
    pub(super) fn mark(&self) {
        let _ = self.file.set_modified(SystemTime::now());
    }

    /// Gives the lock up together with its file.
    pub(super) fn remove(self) {
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(there)) => (held.dev(), held.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}
