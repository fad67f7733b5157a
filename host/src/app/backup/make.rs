//! Making a backup while everything goes on.
//!
//! Rows are read here and written on a thread of their own, a few portions apart, so that neither memory nor disk ever hold a
//! copy of the database that is not encrypted. Until the last byte is on the disk the file has another name.

use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use super::archive::Writer;
use super::contents::{self, KEYS};
use super::lock::Lock;
use crate::app::vault::Vault;
use crate::config::Config;
use crate::domain::backup::{FORMAT, Manifest, TableCount, rows_path};
use crate::error::{Error, Result};
use crate::store::{self, Db, Snapshot};

/// Portions that may wait to be written.
const AHEAD: usize = 2;
/// What begins the name of a file that is not finished.
pub(super) const PARTIAL: &str = ".windlass-backup-";

/// What a backup is made of.
pub(super) struct Sources<'a> {
    pub config: &'a Config,
    pub db: &'a Db,
    pub vault: &'a Vault,
}

pub struct Made {
    pub bytes: i64,
    pub rows: i64,
}

enum Piece {
    Member { path: String, content: Vec<u8> },
    End(Box<Manifest>),
}

/// Writes the backup to a file that must not be there yet.
pub(super) async fn make(sources: &Sources<'_>, lock: Lock, to: &Path) -> Result<Made> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let path = to.to_owned();
    let writer = tokio::task::spawn_blocking(move || write(&path, &lock, receiver));
    // A writer that has failed takes nothing more, and its own reason is the one that counts.
    let fed = feed(sources, sender).await;
    let bytes = writer.await.map_err(Error::internal)??;
    let rows = fed?;
    Ok(Made { bytes: whole(bytes), rows: whole(rows) })
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

async fn feed(sources: &Sources<'_>, sender: mpsc::Sender<Piece>) -> Result<u64> {
    let mut snapshot = sources.db.snapshot().await?;
    let tables = rows(&mut snapshot, &sender).await?;
    // After the rows: no secret that they hold is under a key that is not here yet.
    let keys = sources.vault.exported()?;
    send(&sender, KEYS.into(), keys.as_bytes().to_vec()).await?;
    for wanted in contents::wanted(sources.config)? {
        if let Some(content) = wanted.read()? {
            send(&sender, wanted.member, content).await?;
        }
    }
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        engine: snapshot.engine().into(),
        created_at: store::now(),
        migrations: std::mem::take(&mut snapshot.migrations),
        tables,
        members: Vec::new(),
    };
    let rows = manifest.rows();
    sender.send(Piece::End(Box::new(manifest))).await.map_err(|_| gone())?;
    Ok(rows)
}

async fn rows(snapshot: &mut Snapshot, sender: &mpsc::Sender<Piece>) -> Result<Vec<TableCount>> {
    let mut counts = Vec::new();
    for table in snapshot.tables() {
        let (mut part, mut rows) = (0, 0);
        snapshot
            .read(&table, |portion| {
                part += 1;
                rows += portion.count;
                let path = rows_path(&portion.table, part);
                async move { send(sender, path, portion.lines).await }
            })
            .await?;
        counts.push(TableCount { table, rows });
    }
    Ok(counts)
}

async fn send(sender: &mpsc::Sender<Piece>, path: String, content: Vec<u8>) -> Result<()> {
    sender.send(Piece::Member { path, content }).await.map_err(|_| gone())
}

fn gone() -> Error {
    Error::internal("the writer of the backup has ended")
}

/// Answers how many bytes there are. Without an end, whoever reads the rows has failed and there is no file.
fn write(to: &Path, lock: &Lock, mut pieces: mpsc::Receiver<Piece>) -> Result<u64> {
    let folder = folder(to);
    let failed = |error: std::io::Error| {
        Error::unavailable(format!("the backup {} cannot be written: {error}", to.display()))
    };
    let file = tempfile::Builder::new().prefix(PARTIAL).tempfile_in(&folder).map_err(failed)?;
    let mut archive = Writer::new(file.as_file(), lock)?;
    let manifest = loop {
        match pieces.blocking_recv() {
            Some(Piece::Member { path, content }) => archive.add(&path, &content)?,
            Some(Piece::End(manifest)) => break manifest,
            None => return Ok(0),
        }
    };
    archive.finish(*manifest)?;
    let bytes = file.as_file().metadata().map_err(failed)?.len();
    file.persist_noclobber(to).map_err(|error| failed(error.error))?;
    std::fs::File::open(&folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(bytes)
}

/// Of a file.
fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => ".".into(),
    }
}
