//! Tables `protections` and `approval_votes`.

use super::{
    Conn,
    faults::fault,
    rows::{Entity, Row, execute, fetch_all, fetch_opt, json, plain, plain_opt, query},
};
use crate::{
    domain::{Id, UnixMs, protection::Protection},
    error::Result,
};

impl Entity for Protection {
    const WHAT: &'static str = "protection";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            approvals: row.small("approvals")?,
            self_approval: row.flag("self_approval")?,
            windows: row.json("windows")?,
            freeze: row.text_opt("frozen_why")?,
            previews: row.flag("covers_previews")?,
        })
    }
}

pub async fn find_opt(conn: &mut Conn, stack: &Id) -> Result<Option<Protection>> {
    let query = query(
        "SELECT approvals, self_approval, windows, frozen_why, covers_previews FROM protections WHERE stack_id = $1",
    )
    .bind(stack.as_str());
    fetch_opt(conn, query).await
}

/// All that hold for deployments of a stack: its own, and of a preview that of the stack whose pull request it shows, if that
/// is meant to cover previews.
pub async fn in_force(conn: &mut Conn, stack: &Id) -> Result<Vec<Protection>> {
    let query = query(
        "SELECT approvals, self_approval, windows, frozen_why, covers_previews FROM protections WHERE stack_id = $1 \
         UNION ALL SELECT r.approvals, r.self_approval, r.windows, r.frozen_why, r.covers_previews FROM previews p \
         JOIN protections r ON r.stack_id = p.parent_id AND r.covers_previews = 1 WHERE p.stack_id = $1",
    )
    .bind(stack.as_str());
    fetch_all(conn, query).await
}

/// Replaces what there was.
pub async fn put(conn: &mut Conn, stack: &Id, new: &Protection, by: &str, now: UnixMs) -> Result<()> {
    let query = query(
        "INSERT INTO protections (stack_id, approvals, self_approval, windows, frozen_why, updated_by, updated_at, \
         covers_previews) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (stack_id) DO UPDATE SET \
         approvals = excluded.approvals, self_approval = excluded.self_approval, windows = excluded.windows, \
         frozen_why = excluded.frozen_why, updated_by = excluded.updated_by, updated_at = excluded.updated_at, \
         covers_previews = excluded.covers_previews",
    )
    .bind(stack.as_str())
    .bind(i64::from(new.approvals))
    .bind(i64::from(new.self_approval))
    .bind(json(&new.windows)?)
    .bind(plain_opt(new.freeze.as_deref()))
    .bind(plain(by))
    .bind(now)
    .bind(i64::from(new.previews));
    execute(conn, query).await.map(|_| ())
}

pub async fn delete(conn: &mut Conn, stack: &Id) -> Result<()> {
    execute(conn, query("DELETE FROM protections WHERE stack_id = $1").bind(stack.as_str())).await.map(|_| ())
}

/// Writes down that a person approves; false if they have done so already.
pub async fn vote(conn: &mut Conn, approval: &Id, user: &Id, name: &str, now: UnixMs) -> Result<bool> {
    let query = query(
        "INSERT INTO approval_votes (approval_id, user_id, user_name, at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
    )
    .bind(approval.as_str())
    .bind(user.as_str())
    .bind(plain(name))
    .bind(now);
    Ok(execute(conn, query).await? > 0)
}

/// Names of those who have approved, in their order.
pub async fn voters(conn: &mut Conn, approval: &Id) -> Result<Vec<String>> {
    let query = query("SELECT user_name FROM approval_votes WHERE approval_id = $1 ORDER BY at, user_id")
        .bind(approval.as_str());
    let rows = query.fetch_all(conn).await.map_err(fault)?;
    rows.iter().map(|row| Row(row).text("user_name")).collect()
}
