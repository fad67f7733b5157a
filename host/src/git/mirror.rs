//! A mirror on disk: made, looked after, and thrown away when it is beyond repair.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use git2::{ErrorClass, ErrorCode, Repository, RepositoryInitOptions};

use crate::error::{Error, Result};

/// A mirror that somebody has fetched before.
pub(super) fn open_fetched(path: &Path) -> Result<Repository> {
    if !path.join("HEAD").exists() {
        return Err(Error::conflict("the repository has not been fetched yet; fetch it first"));
    }
    Repository::open_bare(path).map_err(super::error::reading)
}

/// Opens a mirror, or makes an empty one where there is none or nothing that could be opened. Several may do so at once: it is
/// made aside, and there as a whole or not at all.
pub(super) fn open_or_create(path: &Path) -> Result<Repository, git2::Error> {
    if let Ok(repository) = Repository::open_bare(path) {
        return Ok(repository);
    }
    let fresh = aside(path);
    create(&fresh)?;
    if fs::rename(&fresh, path).is_err() {
        if let Ok(repository) = Repository::open_bare(path) {
            // Somebody else was quicker.
            let _ = fs::remove_dir_all(&fresh);
            return Ok(repository);
        }
        discard(path)?;
        fs::rename(&fresh, path).map_err(|error| on_disk(path, &error))?;
    }
    Repository::open_bare(path)
}

fn create(path: &Path) -> Result<(), git2::Error> {
    let mut options = RepositoryInitOptions::new();
    options.bare(true).no_reinit(true).external_template(false);
    let mut config = Repository::init_opts(path, &options)?.config()?;
    // Redirects are followed by the relay, which judges where they lead.
    config.set_bool("http.followRedirects", false)?;
    config.set_bool("core.logAllRefUpdates", false)
}

/// A name beside a mirror's own that [`sweep`] knows.
fn aside(path: &Path) -> PathBuf {
    path.with_extension(format!("gone-{}", uuid::Uuid::now_v7().simple()))
}

/// Puts a mirror out of the way. The rename is one step, so a mirror is there as a whole or not at all.
pub(super) fn discard(path: &Path) -> Result<(), git2::Error> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    let away = aside(path);
    fs::rename(path, &away).and_then(|()| fs::remove_dir_all(&away)).map_err(|error| on_disk(path, &error))
}

/// Removes what a killed process has left lying about: locks, half-written packs, half-removed mirrors. Only for the
/// holder of the mirror's lock.
pub(super) fn sweep(path: &Path) {
    let Some(folder) = path.parent() else { return };
    let gone = format!("{}.gone-", path.file_stem().unwrap_or_default().to_string_lossy());
    for one in children(folder) {
        if one.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&gone)) {
            let _ = fs::remove_dir_all(one);
        }
    }
    for one in children(path).into_iter().filter(|one| has_extension(one, "lock")) {
        let _ = fs::remove_file(one);
    }
    sweep_locks(&path.join("refs"));
    for one in children(&path.join("objects/pack")) {
        let name = one.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let half = has_extension(&one, "pack") && !one.with_extension("idx").exists();
        if half || !name.starts_with("pack-") || has_extension(&one, "lock") {
            let _ = fs::remove_file(one);
        }
    }
}

fn sweep_locks(folder: &Path) {
    for one in children(folder) {
        if one.is_dir() {
            sweep_locks(&one);
        } else if has_extension(&one, "lock") {
            let _ = fs::remove_file(one);
        }
    }
}

/// Whether all tips can really be read: after a loss of power, files may be empty that were written.
pub(super) fn verify(repository: &Repository) -> Result<(), git2::Error> {
    for reference in repository.references()? {
        let Some(target) = reference?.target() else { continue };
        let object = repository.find_object(target, None)?;
        if let Ok(commit) = object.peel_to_commit() {
            commit.tree()?;
        }
    }
    Ok(())
}

fn children(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|one| one.path()).collect()
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension() == Some(OsStr::new(extension))
}

fn on_disk(path: &Path, error: &io::Error) -> git2::Error {
    git2::Error::new(ErrorCode::GenericError, ErrorClass::Os, format!("{}: {error}", path.display()))
}
