//! Files that builds leave behind: taken from the checkout after the last step, kept in the data folder until they expire.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::App;
use super::build::build_view;
use crate::domain::artifact::{Artifact, choose};
use crate::domain::build::Build;
use crate::domain::{Id, UnixMs};
use crate::error::{Error, Result};
use crate::store::{self, artifacts};

const DAY_MS: UnixMs = 24 * 3600 * 1000;
const BLOCK: usize = 64 * 1024;
/// A file whose row is not there yet may be on its way; older ones belong to nobody.
const ORPHAN_AGE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

fn folder(app: &App) -> PathBuf {
    app.config.server.data_dir.join("artifacts")
}

/// The artifacts of a build, by path.
pub async fn artifact_list(app: &App, build: &str) -> Result<Vec<Artifact>> {
    let build = build_view(app, build).await?;
    let mut conn = app.db.read().await?;
    artifacts::list(&mut conn, &build.id).await
}

/// What a build has left behind at `path`, and the file with its content.
///
/// # Errors
/// `NotFound` if there is none, or if it has expired.
pub async fn artifact_open(app: &App, build: &str, path: &str) -> Result<(Artifact, tokio::fs::File)> {
    let missing = || Error::not_found("artifact", path);
    let build = build_view(app, build).await?;
    let mut conn = app.db.read().await?;
    let row = artifacts::by_path(&mut conn, &build.id, path).await?.ok_or_else(missing)?;
    drop(conn);
    if row.expires_at <= store::now() {
        return Err(missing());
    }
    let file = tokio::fs::File::open(folder(app).join(row.id.as_str())).await.map_err(|_| missing())?;
    Ok((row, file))
}

/// Keeps what the patterns name, instead of what an earlier attempt of this build has left. Answers how many.
pub(super) async fn artifacts_keep(
    app: &App,
    build: &Build,
    patterns: &[String],
    checkout: &Path,
) -> Result<usize> {
    let expires_at = store::now() + i64::from(app.config.retention.artifact_days) * DAY_MS;
    let (folder, checkout) = (folder(app), checkout.to_path_buf());
    let (patterns, build) = (patterns.to_vec(), build.id.clone());
    let id = build.clone();
    let rows = tokio::task::spawn_blocking(move || take(&folder, &checkout, &patterns, &id, expires_at))
        .await
        .map_err(Error::internal)??;
    let count = rows.len();
    let old =
        app.db.write(move |tx| Box::pin(async move { artifacts::replace(tx, &build, &rows).await })).await?;
    for id in old {
        // One that is left is removed with the orphans.
        let _ = tokio::fs::remove_file(self::folder(app).join(id.as_str())).await;
    }
    Ok(count)
}

fn take(
    folder: &Path,
    checkout: &Path,
    patterns: &[String],
    build: &Id,
    expires_at: UnixMs,
) -> Result<Vec<Artifact>> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(Error::internal)?;
    let mut files = Vec::new();
    walk(checkout, "", &mut files)?;
    let mut rows = Vec::new();
    for (path, _) in choose(patterns, &files)? {
        let id = store::new_id();
        let (size, sha256) = copy(&checkout.join(&path), &folder.join(id.as_str()))?;
        let (build_id, created_at) = (build.clone(), store::now());
        rows.push(Artifact { id, build_id, path, size, sha256, created_at, expires_at });
    }
    Ok(rows)
}

/// All files below; links are not followed and are no files.
fn walk(folder: &Path, name: &str, files: &mut Vec<(String, u64)>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::internal)? {
        let entry = entry.map_err(Error::internal)?;
        let meta = entry.metadata().map_err(Error::internal)?;
        // A name that is no text fits no pattern.
        let Ok(own) = entry.file_name().into_string() else { continue };
        let path = if name.is_empty() { own } else { format!("{name}/{own}") };
        if meta.is_dir() {
            walk(&entry.path(), &path, files)?;
        } else if meta.is_file() {
            files.push((path, meta.len()));
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(i64, String)> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut from = fs::File::open(from).map_err(Error::internal)?;
    let mut to =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(Error::internal)?;
    let (mut hash, mut size, mut block) = (Sha256::new(), 0, vec![0; BLOCK]);
    loop {
        let n = from.read(&mut block).map_err(Error::internal)?;
        if n == 0 {
            break;
        }
        hash.update(&block[..n]);
        to.write_all(&block[..n]).map_err(Error::internal)?;
        size += n as i64;
    }
    to.sync_all().map_err(Error::internal)?;
    Ok((size, hex::encode(hash.finalize())))
}

/// Removes files that no row names: those of expired rows, of deleted stacks, and of builds that were interrupted.
pub(super) async fn artifacts_sweep(app: &App) -> Result<u64> {
    let Ok(mut entries) = tokio::fs::read_dir(folder(app)).await else { return Ok(0) };
    let mut removed = 0;
    while let Some(entry) = entries.next_entry().await.map_err(Error::internal)? {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let mut conn = app.db.read().await?;
        if artifacts::exists(&mut conn, &Id::from_text(name)).await? {
            continue;
        }
        drop(conn);
        let age = entry.metadata().await.and_then(|meta| meta.modified());
        let is_old = age.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ORPHAN_AGE));
        if is_old && tokio::fs::remove_file(entry.path()).await.is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}
