//! A throw-away checkout per build.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use git2::{ObjectType, Repository, Tree};

use super::{
    Git, Log,
    error::reading,
    file_name,
    lock::FileLock,
    mirror, private_folder,
    progress::Stop,
    read,
    tree::{LINK, Writer, Written},
};
use crate::{
    domain::{Id, submodule},
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

/// A tree that was written, and what is still missing in it.
pub(super) struct Part {
    /// Paths below the part's folder, and commits.
    pub(super) submodules: Vec<(PathBuf, String)>,
    /// The content of `.gitmodules`, if there is such a file.
    pub(super) modules: Option<Vec<u8>>,
    pub(super) written: Written,
}

impl Git {
    /// Writes a fetched commit into a fresh folder: plain files, links as links, no `.git`. Submodules and large files
    /// kept elsewhere are not fetched, and the log says so. Dropping the future stops the work.
    ///
    /// # Errors
    /// `NotFound` if the commit was not fetched; `Failed` if it contains paths that are never written; `Conflict` if the
    /// build has a checkout already.
    pub async fn checkout(&self, id: &Id, sha: &str, build: &Id, log: Log) -> Result<Checkout> {
        let (checkout, part) = self.checkout_begun(id, sha, build, &log).await?;
        if !part.submodules.is_empty() || part.modules.is_some() {
            let names: Vec<String> =
                part.submodules.iter().map(|(path, _)| path.display().to_string()).collect();
            log(&format!("Submodules are not fetched; their folders are empty: {}", names.join(", ")));
        }
        Ok(checkout)
    }

    /// The checkout without its submodules.
    pub(super) async fn checkout_begun(
        &self,
        id: &Id,
        sha: &str,
        build: &Id,
        log: &Log,
    ) -> Result<(Checkout, Part)> {
        let path = self.inner.root.join("checkouts").join(file_name(build)?);
        self.write(id, sha, Written::default(), log, move || begin(path)).await
    }

    /// Writes a fetched commit into a folder that `place` provides: it is empty, and nothing above it is a link.
    pub(super) async fn write<P: AsRef<Path> + Send + 'static>(
        &self,
        id: &Id,
        sha: &str,
        written: Written,
        log: &Log,
        place: impl FnOnce() -> Result<P> + Send + 'static,
    ) -> Result<(P, Part)> {
        let mirror = self.mirror_path(id)?;
        let (sha, log) = (sha.to_string(), Arc::clone(log));
        let stop = Stop::default();
        let _guard = StopOnDrop(stop.clone());
        let reading = Arc::clone(&self.turns(id).readers).read_owned().await;
        let turn = Arc::clone(&self.inner.disk).acquire_owned().await.map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || {
            let _held = (turn, reading);
            let mirror = mirror::open_fetched(&mirror)?;
            let tree = read::tree_of(&mirror, &sha)?;
            let place = place()?;
            let (part, files) = write(&mirror, &tree, place.as_ref(), written, &stop)?;
            log(&format!("Checked out {}: {files} files", &sha[..12]));
            if has_large_files(&mirror, &tree) {
                log("Files kept in Git LFS are not fetched; the checkout has their pointers");
            }
            Ok((place, part))
        })
        .await
        .map_err(Error::internal)?
    }
}

impl AsRef<Path> for Checkout {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// A fresh folder; it goes when something fails.
fn begin(path: PathBuf) -> Result<Checkout> {
    let Some(lock) = FileLock::take(&path.with_extension("lock"))? else {
        return Err(Error::conflict("this build has a checkout already"));
    };
    if fs::symlink_metadata(&path).is_ok() {
        fs::remove_dir_all(&path).map_err(|error| Error::internal(format!("{}: {error}", path.display())))?;
    }
    private_folder(&path)?;
    Ok(Checkout { path, lock: Some(lock) })
}

fn write(
    mirror: &Repository,
    tree: &Tree<'_>,
    folder: &Path,
    written: Written,
    stop: &Stop,
) -> Result<(Part, usize)> {
    let mut writer = Writer::new(mirror, stop, written)?;
    writer.write(tree, folder, 0)?;
    let below = |path: &Path| path.strip_prefix(folder).unwrap_or(path).to_path_buf();
    let part = Part {
        submodules: writer.submodules.iter().map(|(path, oid)| (below(path), oid.to_string())).collect(),
        modules: modules(mirror, tree)?,
        written: writer.written,
    };
    Ok((part, writer.files))
}

/// The content of `.gitmodules`, read from the tree: on disk it might be a link to anything.
fn modules(mirror: &Repository, tree: &Tree<'_>) -> Result<Option<Vec<u8>>> {
    let Some(entry) = tree.get_name(".gitmodules") else { return Ok(None) };
    if entry.kind() != Some(ObjectType::Blob) || entry.filemode() == LINK {
        return Ok(Some(Vec::new()));
    }
    let blob = mirror.find_blob(entry.id()).map_err(reading)?;
    Ok(Some(blob.content().iter().take(submodule::LONGEST_FILE + 1).copied().collect()))
}

/// Read from the tree as well.
fn has_large_files(mirror: &Repository, tree: &Tree<'_>) -> bool {
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
