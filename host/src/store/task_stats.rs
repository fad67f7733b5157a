//! Numbers about the queue, for `/metrics` and the dashboard.

use super::{
    Conn,
    faults::fault,
    rows::{Row, query},
};
use crate::{
    domain::{UnixMs, task::TaskStatus},
    error::Result,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    pub kind: String,
    /// Queued or running; what has ended is counted by the queue while it happens.
    pub status: TaskStatus,
    pub count: i64,
}

/// How many tasks wait and run, by kind.
pub async fn depth(conn: &mut Conn) -> Result<Vec<Depth>> {
    let rows = query(
        "SELECT kind, status, COUNT(*) AS n FROM tasks WHERE status = 'queued' GROUP BY kind, status \
         UNION ALL SELECT kind, status, COUNT(*) AS n FROM tasks WHERE status = 'running' GROUP BY kind, status",
    )
    .fetch_all(conn)
    .await
    .map_err(fault)?;
    rows.iter()
        .map(|row| {
            let row = Row(row);
            Ok(Depth {
                kind: row.text("kind")?,
                status: row.word("status", TaskStatus::parse)?,
                count: row.int("n")?,
            })
        })
        .collect()
}

/// Whether a task of this kind waits or runs.
pub async fn any_open(conn: &mut Conn, kind: &str) -> Result<bool> {
    Ok(depth(conn).await?.iter().any(|depth| depth.kind == kind))
}

/// Since when the oldest task exists that has not ended; `None` if all have.
pub async fn oldest_open(conn: &mut Conn) -> Result<Option<UnixMs>> {
    let row = query(
        "SELECT created_at FROM tasks WHERE status IN ('queued', 'running') ORDER BY created_at LIMIT 1",
    )
    .fetch_optional(conn)
    .await
    .map_err(fault)?;
    row.map(|row| Row(&row).int("created_at")).transpose()
}

/// Since when the longest waiting task could have run; `None` if none waits.
pub async fn oldest_due(conn: &mut Conn, now: UnixMs) -> Result<Option<UnixMs>> {
    let row =
        query("SELECT run_at FROM tasks WHERE status = 'queued' AND run_at <= $1 ORDER BY run_at LIMIT 1")
            .bind(now)
            .fetch_optional(conn)
            .await
            .map_err(fault)?;
    row.map(|row| Row(&row).int("run_at")).transpose()
}
