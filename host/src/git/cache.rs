//! How much the mirrors take, and what may go.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Git, error, lock::FileLock, mirror, submodules::owner};
use crate::domain::Id;
use crate::error::{Error, Result};

/// A mirror on this disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    pub id: Id,
    /// The mirror of the repository that this one is a submodule of; itself if it is none.
    pub owner: Id,
    pub bytes: u64,
    /// When somebody last fetched it, which comes before every use.
    pub used: SystemTime,
}

impl Git {
    /// All mirrors, that one first which was used longest ago.
    ///
    /// # Errors
    /// `Internal` if the folder cannot be read.
    pub async fn mirrors(&self) -> Result<Vec<Mirror>> {
        let folder = self.inner.root.join("mirrors");
        tokio::task::spawn_blocking(move || list(&folder)).await.map_err(Error::internal)?
    }

    /// Removes a mirror that was last fetched before `since`; false if it was fetched later, or somebody uses it right now.
    ///
    /// # Errors
    /// `Internal` if it cannot be removed.
    pub async fn mirror_remove(&self, id: &Id, since: SystemTime) -> Result<bool> {
        let path = self.mirror_path(id)?;
        let turns = self.turns(id);
        let (Ok(_readers), Ok(mut state)) =
            (Arc::clone(&turns.readers).try_write_owned(), Arc::clone(&turns.state).try_lock_owned())
        else {
            return Ok(false);
        };
        tokio::task::spawn_blocking(move || {
            let Some(lock) = FileLock::take(&path.with_extension("flock"))? else { return Ok(false) };
            if used(&path) >= since {
                return Ok(false);
            }
            // Whoever fetches next finds nothing, and must not be told what the last one found.
            *state = super::fetch::State::default();
            mirror::discard(&path).map_err(error::reading)?;
            lock.remove();
            Ok(true)
        })
        .await
        .map_err(Error::internal)?
    }
}

fn list(folder: &Path) -> Result<Vec<Mirror>> {
    let wrong = |error: std::io::Error| Error::internal(format!("{}: {error}", folder.display()));
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).map_err(wrong)?.flatten() {
        let path = entry.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(id) = name.strip_suffix(".git") {
            let id = Id::from_text(id);
            all.push(Mirror { owner: owner(&id), id, bytes: size(&path), used: used(&path) });
        }
    }
    all.sort_by_key(|mirror| mirror.used);
    Ok(all)
}

/// Those who fetch leave their mark on the lock.
fn used(path: &Path) -> SystemTime {
    let marked = |path: &Path| fs::metadata(path).and_then(|there| there.modified()).ok();
    marked(&path.with_extension("flock")).or_else(|| marked(path)).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// What goes away meanwhile counts for nothing.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(there) if there.is_dir() => size(&entry.path()),
            Ok(there) => there.len(),
            Err(_) => 0,
        })
        .sum()
}
