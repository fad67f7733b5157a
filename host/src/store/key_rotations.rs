//! Table `key_rotations`. At most one is open.

use super::{
    Conn,
    faults::on_unique,
    rows::{Entity, Row, execute, fetch_opt, query},
};
use crate::{
    domain::{Id, UnixMs, sealed::KeyRotation},
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, version, data_keys, moved, failed, error, started_at, finished_at FROM key_rotations ",
            $tail
        )
    };
}

impl Entity for KeyRotation {
    const WHAT: &'static str = "key rotation";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            version: row.small("version")?,
            data_keys: row.flag("data_keys")?,
            moved: row.int("moved")?.unsigned_abs(),
            failed: row.int("failed")?.unsigned_abs(),
            error: row.text_opt("error")?,
            started_at: row.int("started_at")?,
            finished_at: row.int_opt("finished_at")?,
        })
    }
}

/// `Conflict` if another one is open.
pub async fn insert(conn: &mut Conn, rotation: &KeyRotation) -> Result<()> {
    let done = query(
        "INSERT INTO key_rotations (id, version, data_keys, moved, failed, started_at, open) \
         VALUES ($1, $2, $3, 0, 0, $4, 1)",
    )
    .bind(rotation.id.as_str())
    .bind(i64::from(rotation.version))
    .bind(i64::from(rotation.data_keys))
    .bind(rotation.started_at)
    .execute(conn)
    .await;
    on_unique(done, || {
        "a rotation of the keys is under way; `windlass secrets status` shows how far it is".into()
    })
    .map(|_| ())
}

/// The one that was started last.
pub async fn latest(conn: &mut Conn) -> Result<Option<KeyRotation>> {
    fetch_opt(conn, query(select!("ORDER BY started_at DESC LIMIT 1"))).await
}

pub async fn find_opt(conn: &mut Conn, id: &Id) -> Result<Option<KeyRotation>> {
    fetch_opt(conn, query(select!("WHERE id = $1")).bind(id.as_str())).await
}

pub async fn count_moved(conn: &mut Conn, id: &Id, more: u64) -> Result<()> {
    let query = query("UPDATE key_rotations SET moved = moved + $1 WHERE id = $2")
        .bind(i64::try_from(more).unwrap_or(i64::MAX))
        .bind(id.as_str());
    execute(conn, query).await.map(|_| ())
}

/// Ends it; false if it had ended already.
pub async fn finish(conn: &mut Conn, id: &Id, failed: u64, error: Option<&str>, now: UnixMs) -> Result<bool> {
    let query = query(
        "UPDATE key_rotations SET failed = $1, error = $2, finished_at = $3, open = NULL WHERE id = $4 AND open = 1",
    )
    .bind(i64::try_from(failed).unwrap_or(i64::MAX))
    .bind(error.map(str::to_owned))
    .bind(now)
    .bind(id.as_str());
    Ok(execute(conn, query).await? > 0)
}
