//! Table `artifacts`. Rows are added once a file is complete, and go when it expires or with their build.

use super::{
    Conn, Tx,
    rows::{Entity, Row, execute, fetch_all, fetch_opt, plain, query},
};
use crate::{
    domain::{Id, UnixMs, artifact::Artifact},
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT id, build_id, path, size, sha256, created_at, expires_at FROM artifacts ", $tail)
    };
}

impl Entity for Artifact {
    const WHAT: &'static str = "artifact";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            build_id: row.id("build_id")?,
            path: row.text("path")?,
            size: row.int("size")?,
            sha256: row.text("sha256")?,
            created_at: row.int("created_at")?,
            expires_at: row.int("expires_at")?,
        })
    }
}

/// A build that runs again leaves its files again: the newer ones count. Answers with the ids of those that do no more.
pub async fn replace(tx: &mut Tx, build: &Id, rows: &[Artifact]) -> Result<Vec<Id>> {
    let old = list(tx, build).await?;
    execute(tx, query("DELETE FROM artifacts WHERE build_id = $1").bind(build.as_str())).await?;
    for row in rows {
        let insert = query(
            "INSERT INTO artifacts (id, build_id, path, size, sha256, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(row.id.as_str())
        .bind(row.build_id.as_str())
        .bind(plain(&row.path))
        .bind(row.size)
        .bind(row.sha256.as_str())
        .bind(row.created_at)
        .bind(row.expires_at);
        execute(tx, insert).await?;
    }
    Ok(old.into_iter().map(|row| row.id).collect())
}

pub async fn by_path(conn: &mut Conn, build: &Id, path: &str) -> Result<Option<Artifact>> {
    let query = query(select!("WHERE build_id = $1 AND path = $2")).bind(build.as_str()).bind(plain(path));
    fetch_opt(conn, query).await
}

/// A build's, by path.
pub async fn list(conn: &mut Conn, build: &Id) -> Result<Vec<Artifact>> {
    fetch_all(conn, query(select!("WHERE build_id = $1 ORDER BY path")).bind(build.as_str())).await
}

/// Whether there is one of this id.
pub async fn exists(conn: &mut Conn, id: &Id) -> Result<bool> {
    let row: Option<Artifact> = fetch_opt(conn, query(select!("WHERE id = $1")).bind(id.as_str())).await?;
    Ok(row.is_some())
}

/// Removes at most `limit` rows whose time has come.
pub async fn prune(tx: &mut Tx, now: UnixMs, limit: i64) -> Result<u64> {
    let query = query(
        "DELETE FROM artifacts WHERE id IN (SELECT id FROM artifacts WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    )
    .bind(now)
    .bind(limit);
    execute(tx, query).await
}
