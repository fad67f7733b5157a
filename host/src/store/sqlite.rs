//! Opening SQLite: one connection that writes, four that can only read.

use std::{path::Path, str::FromStr as _, time::Duration};

use sqlx::{
    AnyPool, ConnectOptions as _, Connection as _,
    any::{AnyConnectOptions, AnyPoolOptions},
};

use super::faults::fault;
use crate::error::{Error, Result};

const READERS: u32 = 4;

/// FULL: a commit that was confirmed survives a power cut. The write-ahead log is brought home every 16 MiB.
const WRITER: &str = "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864;
    PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY";
const READER: &str = "PRAGMA busy_timeout = 10000; PRAGMA query_only = ON; PRAGMA cache_size = -8192;
    PRAGMA temp_store = MEMORY";

/// The pools for writing and for reading.
pub(super) async fn open(url: &str) -> Result<(AnyPool, AnyPool)> {
    let path = url.trim_start_matches("sqlite:");
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.starts_with(":memory:") || path.contains('?') {
        return Err(Error::invalid(
            "database.url",
            "write sqlite:<path of a file>, without parameters; a database in memory cannot be shared",
        ));
    }
    let path = std::path::absolute(path)
        .map_err(|error| Error::invalid("database.url", format!("`{path}` is not a usable path: {error}")))?;
    create(&path)?;
    let options = AnyConnectOptions::from_str(&format!("sqlite://{}", escape(&path)))
        .map_err(fault)?
        .disable_statement_logging();
    let write = pool(&options, 1, WRITER).await?;
    let read = pool(&options, READERS, READER).await?;
    Ok((write, read))
}

async fn pool(options: &AnyConnectOptions, size: u32, pragmas: &'static str) -> Result<AnyPool> {
    AnyPoolOptions::new()
        .max_connections(size)
        .min_connections(size)
        .acquire_timeout(Duration::from_secs(10))
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(move |conn, _| {
            Box::pin(async move { sqlx::raw_sql(pragmas).execute(conn).await.map(|_| ()) })
        })
        // On a full disk, SQLite may end a transaction by itself. The driver believes for ever that this connection is in
        // one, so it is replaced.
        .before_acquire(|conn, _| Box::pin(async move { Ok(!conn.is_in_transaction()) }))
        .connect_with(options.clone())
        .await
        .map_err(fault)
}

/// SQLite gives its companion files the mode of the database's file, so it is enough to create that one privately.
fn create(path: &Path) -> Result<()> {
    let fail = |error: std::io::Error| {
        Error::unavailable(format!("the database file {} cannot be opened: {error}", path.display()))
    };
    if let Some(folder) = path.parent() {
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(folder).map_err(fail)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(|_| ()).map_err(fail)
}

/// The path as a URL's path: what a URL would read as something else is written as `%xx`.
fn escape(path: &Path) -> String {
    let mut text = String::new();
    for c in path.to_string_lossy().chars() {
        match c {
            '%' => text.push_str("%25"),
            '?' => text.push_str("%3F"),
            '#' => text.push_str("%23"),
            ' ' => text.push_str("%20"),
            '\\' => text.push_str("%5C"),
            other => text.push(other),
        }
    }
    text
}
