//! Table `backups`. At most one is open.

use super::{
    Conn,
    faults::on_unique,
    rows::{Entity, Row, execute, fetch_all, fetch_opt, query},
};
use crate::{
    domain::{
        Id, UnixMs,
        backup::{Backup, BackupStatus},
    },
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, due_at, name, status, recipients, size_bytes, row_count, error, started_at, finished_at \
             FROM backups ",
            $tail
        )
    };
}

impl Entity for Backup {
    const WHAT: &'static str = "backup";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            due_at: row.int_opt("due_at")?,
            name: row.text("name")?,
            status: row.word("status", BackupStatus::parse)?,
            recipients: row.int("recipients")?,
            bytes: row.int_opt("size_bytes")?,
            rows: row.int_opt("row_count")?,
            error: row.text_opt("error")?,
            started_at: row.int("started_at")?,
            finished_at: row.int_opt("finished_at")?,
        })
    }
}

/// `Conflict` if another one is open, or if another node has begun the one of that due time.
pub async fn insert(conn: &mut Conn, backup: &Backup) -> Result<()> {
    let done = query(
        "INSERT INTO backups (id, due_at, name, status, recipients, open, started_at) \
         VALUES ($1, $2, $3, 'running', $4, 1, $5)",
    )
    .bind(backup.id.as_str())
    .bind(backup.due_at)
    .bind(backup.name.clone())
    .bind(backup.recipients)
    .bind(backup.started_at)
    .execute(conn)
    .await;
    on_unique(done, || "a backup is being made; `windlass backup list` shows how it ends".into()).map(|_| ())
}

/// Ends those that began before and have no end, so that others may begin.
pub async fn give_up(conn: &mut Conn, before: UnixMs, now: UnixMs) -> Result<u64> {
    let query = query(
        "UPDATE backups SET status = 'failed', error = 'it did not come to its end', finished_at = $1, open = NULL \
         WHERE open = 1 AND started_at < $2",
    )
    .bind(now)
    .bind(before);
    execute(conn, query).await
}

/// Ends it: with an error it has failed.
pub async fn finish(
    conn: &mut Conn,
    id: &Id,
    made: std::result::Result<(i64, i64), &str>,
    now: UnixMs,
) -> Result<bool> {
    let (status, size, rows, error) = match made {
        Ok((size, rows)) => (BackupStatus::Successful, Some(size), Some(rows), None),
        Err(error) => (BackupStatus::Failed, None, None, Some(error.to_owned())),
    };
    let query = query(
        "UPDATE backups SET status = $1, size_bytes = $2, row_count = $3, error = $4, finished_at = $5, open = NULL \
         WHERE id = $6 AND open = 1",
    )
    .bind(status.as_str())
    .bind(size)
    .bind(rows)
    .bind(error)
    .bind(now)
    .bind(id.as_str());
    Ok(execute(conn, query).await? > 0)
}

pub async fn find_opt(conn: &mut Conn, id: &Id) -> Result<Option<Backup>> {
    fetch_opt(conn, query(select!("WHERE id = $1")).bind(id.as_str())).await
}

/// Newest first.
pub async fn list(conn: &mut Conn, limit: i64) -> Result<Vec<Backup>> {
    fetch_all(conn, query(select!("ORDER BY started_at DESC, id DESC LIMIT $1")).bind(limit)).await
}

/// The newest one that ended like this.
pub async fn latest(conn: &mut Conn, status: BackupStatus) -> Result<Option<Backup>> {
    let query = query(select!("WHERE status = $1 ORDER BY started_at DESC LIMIT 1")).bind(status.as_str());
    fetch_opt(conn, query).await
}

/// When the last one of the schedule began.
pub async fn last_scheduled(conn: &mut Conn) -> Result<Option<UnixMs>> {
    let query = query(select!("WHERE due_at IS NOT NULL ORDER BY due_at DESC LIMIT 1"));
    Ok(fetch_opt::<Backup>(conn, query).await?.map(|backup| backup.started_at))
}

/// Forgets what began before, but for the newest one that succeeded.
pub async fn prune(conn: &mut Conn, before: UnixMs) -> Result<u64> {
    let query = query(
        "DELETE FROM backups WHERE started_at < $1 AND open IS NULL AND id NOT IN \
         (SELECT id FROM backups WHERE status = 'successful' ORDER BY started_at DESC LIMIT 1)",
    )
    .bind(before);
    execute(conn, query).await
}
