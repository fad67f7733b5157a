//! A backup into an empty data folder and an empty database. The whole file is checked before anything is written. The database
//! is filled in one transaction, and until everything is in its place a mark in the data folder keeps a server from starting.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::archive;
use super::contents::{KEYS, NAMED_FOLDER, place};
use super::lock::Unlock;
use crate::app::{private_folder, vault};
use crate::config::Config;
use crate::domain::backup::{MANIFEST, Manifest, TableCount, table_of};
use crate::error::{Error, Result};
use crate::store::{DbConfig, Import};

/// Members that may wait to be put in.
const AHEAD: usize = 2;
const MARK: &str = "restore-unfinished";

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    pub manifest: Manifest,
    /// Where the files are that belong elsewhere on this machine, if there are any.
    pub named: Option<PathBuf>,
}

/// # Errors
/// `Conflict` if a restore has begun in this data folder and has not come to its end.
pub fn refuse_unfinished(data: &Path) -> Result<()> {
    if !data.join(MARK).exists() {
        return Ok(());
    }
    Err(Error::conflict(format!(
        "a restore into {} did not come to its end; remove the folder (and, where it is another one, what is in the database), \
         then restore again",
        data.display()
    )))
}

/// Restores a backup to where the configuration says.
///
/// # Errors
/// `Conflict` if something is there already or the backup is too new, `Invalid` if the file is damaged or the key is wrong. What
/// was begun is removed again.
pub async fn restore(config: &Config, file: &Path, unlock: Unlock) -> Result<Restored> {
    let data = &config.server.data_dir;
    refuse_unfinished(data)?;
    refuse_full(data)?;
    let path = file.to_owned();
    let (manifest, keys, unlock) = tokio::task::spawn_blocking(move || {
        let (manifest, keys) = archive::verify(&path, &unlock, KEYS)?;
        Ok::<_, Error>((manifest, keys, unlock))
    })
    .await
    .map_err(Error::internal)??;
    let keys = Zeroizing::new(keys.ok_or_else(|| changed(KEYS))?);
    let keys_are_ours = vault::keeps_keys(&config.master_key, data, &keys)?;
    private_folder(data)?;
    put(&data.join(MARK), b"A restore has begun here.\n")?;
    let restored = fill(config, file, unlock, &manifest, keys_are_ours).await;
    let ended = restored.and_then(|()| {
        sync(data)?;
        std::fs::remove_file(data.join(MARK)).map_err(|error| unwritable(&data.join(MARK), &error))?;
        sync(data)
    });
    if let Err(error) = ended {
        empty(data);
        return Err(error);
    }
    let named = data.join(NAMED_FOLDER);
    Ok(Restored { manifest, named: named.exists().then_some(named) })
}

fn refuse_full(data: &Path) -> Result<()> {
    let first = match std::fs::read_dir(data) {
        Ok(mut entries) => entries.next(),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            return Err(Error::unavailable(format!("{} cannot be read: {error}", data.display())));
        }
    };
    let Some(first) = first else { return Ok(()) };
    let name = first.map(|entry| entry.file_name().to_string_lossy().into_owned()).unwrap_or_default();
    Err(Error::conflict(format!(
        "the data folder {} is not empty (there is `{name}`), and a restore never overwrites; name an empty one by \
         server.data_dir (WINDLASS_DATA_DIR), or move this one out of the way",
        data.display()
    )))
}

/// Puts rows and files where they belong; the database's part counts at the end or not at all.
async fn fill(
    config: &Config,
    file: &Path,
    unlock: Unlock,
    manifest: &Manifest,
    keys_are_ours: bool,
) -> Result<()> {
    let mut import = Import::begin(&DbConfig::new(config.database_url()), &manifest.migrations).await?;
    let (sender, mut members) = mpsc::channel(AHEAD);
    let (path, expected) = (file.to_owned(), manifest.members.clone());
    let reader = tokio::task::spawn_blocking(move || {
        let mut expected = expected.into_iter();
        archive::read(&path, &unlock, |name, content| {
            if name == MANIFEST {
                return Ok(());
            }
            // Somebody may have changed the file since it was checked.
            let is_same = expected.next().is_some_and(|member| {
                member.path == name && member.sha256 == hex::encode(Sha256::digest(&content))
            });
            if !is_same {
                return Err(changed(&name));
            }
            sender.blocking_send((name, content)).map_err(|_| Error::internal("the restore has ended"))
        })
    });
    let mut counts: Vec<TableCount> =
        manifest.tables.iter().map(|count| TableCount { rows: 0, ..count.clone() }).collect();
    while let Some((name, content)) = members.recv().await {
        if let Some(table) = table_of(&name) {
            let rows = import.rows(table, &content).await?;
            if let Some(count) = counts.iter_mut().find(|count| count.table == table) {
                count.rows += rows;
            }
        } else if name != KEYS || keys_are_ours {
            let path = place(&config.server.data_dir, &name).ok_or_else(|| changed(&name))?;
            put(&path, &content)?;
        }
    }
    reader.await.map_err(Error::internal)??;
    if counts != manifest.tables {
        return Err(changed("tables"));
    }
    import.finish().await
}

fn changed(name: &str) -> Error {
    Error::invalid(
        "backup",
        format!(
            "the backup does not hold what its manifest says (`{}`); nothing was restored",
            name.escape_debug()
        ),
    )
}

/// For its owner only, and on the disk.
fn put(path: &Path, content: &[u8]) -> Result<()> {
    let store = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    store().map_err(|error| unwritable(path, &error))
}

fn sync(folder: &Path) -> Result<()> {
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| unwritable(folder, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::unavailable(format!("{} cannot be written: {error}", path.display()))
}

/// Everything in it is of the restore: it was empty before. The mark goes last.
fn empty(data: &Path) {
    let entries = std::fs::read_dir(data).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let others = entries.filter(|path| !path.ends_with(MARK));
    let is_clean = others
        .map(|path| if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) })
        .all(|removed| removed.is_ok());
    if is_clean {
        let _ = std::fs::remove_file(data.join(MARK));
    }
}
