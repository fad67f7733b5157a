//! A throw-away checkout per build.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Git, Log, file_name,
    lock::FileLock,
    mirror, private_folder,
    progress::Stop,
    read,
    tree::{LINK, Writer},
};
use crate::{
    domain::Id,
    error::{Error, Result},
};

/// A commit's files in a folder of their own, which goes with this value.
pub struct Checkout {
    path: PathBuf,
    /// Tells other processes that this one still needs the folder.
    lock: Option<FileLock>,
}

impl Checkout {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder without holding up the runtime, which dropping would.
    pub async fn close(self) {
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("[@git] the checkout {} could not be removed: {error}", self.path.display());
        }
        if let Some(lock) = self.lock.take() {
            lock.remove();
        }
    }
}

impl Git {
    /// Writes a fetched commit into a fresh folder: plain files, links as links, no `.git`. Submodules and large files
    /// kept elsewhere are not fetched, and the log says so. Dropping the future stops the work.
    ///
    /// # Errors
    /// `NotFound` if the commit was not fetched; `Failed` if it contains paths that are never written; `Conflict` if the
    /// build has a checkout already.
    pub async fn checkout(&self, id: &Id, sha: &str, build: &Id, log: Log) -> Result<Checkout> {
        let mirror = self.mirror_path(id)?;
        let path = self.inner.root.join("checkouts").join(file_name(build)?);
        let sha = sha.to_string();
        let stop = Stop::default();
        let _guard = StopOnDrop(stop.clone());
        let reading = Arc::clone(&self.turns(id).readers).read_owned().await;
        let turn = Arc::clone(&self.inner.disk).acquire_owned().await.map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || {
            let _held = (turn, reading);
            write(&mirror, &sha, path, &stop, &log)
        })
        .await
        .map_err(Error::internal)?
    }
}

struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

fn write(mirror: &Path, sha: &str, path: PathBuf, stop: &Stop, log: &Log) -> Result<Checkout> {
    let mirror = mirror::open_fetched(mirror)?;
    let tree = read::tree_of(&mirror, sha)?;
    let Some(lock) = FileLock::take(&path.with_extension("lock"))? else {
        return Err(Error::conflict("this build has a checkout already"));
    };
    if fs::symlink_metadata(&path).is_ok() {
        fs::remove_dir_all(&path).map_err(|error| Error::internal(format!("{}: {error}", path.display())))?;
    }
    private_folder(&path)?;
    // From here on the folder goes when something fails.
    let checkout = Checkout { path, lock: Some(lock) };
    let mut writer = Writer::new(&mirror, stop)?;
    writer.write(&tree, checkout.path(), 0)?;
    log(&format!("Checked out {}: {} files", &sha[..12], writer.files));
    if !writer.submodules.is_empty() || tree.get_name(".gitmodules").is_some() {
        log(&format!(
            "Submodules are not fetched; their folders are empty: {}",
            writer.submodules.join(", ")
        ));
    }
    if has_large_files(&mirror, &tree) {
        log("Files kept in Git LFS are not fetched; the checkout has their pointers");
    }
    Ok(checkout)
}

/// Read from the tree: on disk it might be a link to anything.
fn has_large_files(mirror: &git2::Repository, tree: &git2::Tree<'_>) -> bool {
    let entry = tree.get_name(".gitattributes").filter(|entry| entry.filemode() != LINK);
    entry
        .and_then(|entry| mirror.find_blob(entry.id()).ok())
        .is_some_and(|blob| String::from_utf8_lossy(blob.content()).contains("filter=lfs"))
}

/// Removes the checkouts that no living process holds.
pub(super) fn remove_leftovers(folder: &Path) {
    let mut names: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|one| one.path().with_extension(""))
        .collect();
    names.sort();
    names.dedup();
    for path in names {
        if let Ok(Some(lock)) = FileLock::take(&path.with_extension("lock")) {
            drop(Checkout { path, lock: Some(lock) });
        }
    }
}
