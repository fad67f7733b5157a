//! Table `git_looks`: when each repository is looked at on its git server, and how that went.

use super::{
    Conn,
    rows::{Entity, Row, execute, fetch_all, fetch_opt, plain_opt, query},
};
use crate::{
    domain::{
        Id, UnixMs,
        look::{Cause, Look},
    },
    error::Result,
};

impl Entity for Look {
    const WHAT: &'static str = "look at a git server";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            repository_id: row.id("repository_id")?,
            url: row.text("url")?,
            cause: row.word("cause", Cause::parse)?,
            next_at: row.int_opt("next_at")?,
            looked_at: row.int_opt("looked_at")?,
            failures: row.int("failures")?,
            error: row.text_opt("error")?,
        })
    }
}

pub async fn find_opt(conn: &mut Conn, repository: &Id) -> Result<Option<Look>> {
    let query = query(
        "SELECT repository_id, url, cause, next_at, looked_at, failures, error FROM git_looks \
         WHERE repository_id = $1",
    )
    .bind(repository.as_str());
    fetch_opt(conn, query).await
}

/// Makes every repository due that was looked at before; the node has just started.
pub async fn all_due(conn: &mut Conn, now: UnixMs) -> Result<u64> {
    let query = query("UPDATE git_looks SET next_at = $1, cause = 'start', failures = 0").bind(now);
    execute(conn, query).await
}

/// Makes one repository due.
pub async fn set_due(conn: &mut Conn, repository: &Id, now: UnixMs) -> Result<()> {
    let query = query("UPDATE git_looks SET next_at = $1 WHERE repository_id = $2")
        .bind(now)
        .bind(repository.as_str());
    execute(conn, query).await.map(|_| ())
}

/// Whether there is work: a repository that is due, has never been looked at, has another address now, or is to be
/// polled and is not.
pub async fn any_due(conn: &mut Conn, now: UnixMs) -> Result<bool> {
    let due = query("SELECT repository_id AS id FROM git_looks WHERE next_at <= $1 LIMIT 1").bind(now);
    if !fetch_all::<Due>(conn, due).await?.is_empty() {
        return Ok(true);
    }
    Ok(!fetch_all::<Due>(conn, query(UNKNOWN)).await?.is_empty())
}

struct Due;

impl Entity for Due {
    const WHAT: &'static str = "repository";

    fn from_row(_: &Row<'_>) -> Result<Self> {
        Ok(Self)
    }
}

const UNKNOWN: &str = "SELECT r.id FROM git_repositories r LEFT JOIN git_looks l ON l.repository_id = r.id \
     WHERE l.repository_id IS NULL OR (l.next_at IS NULL AND (l.url <> r.url OR r.auto_sync = 1)) LIMIT 1";

/// Takes up to `limit` repositories that are due; nobody else gets them until `until`, by when their look has ended.
pub async fn claim(conn: &mut Conn, now: UnixMs, until: UnixMs, limit: i64) -> Result<Vec<Look>> {
    let new = query(
        "INSERT INTO git_looks (repository_id, url, cause, next_at, failures) \
         SELECT r.id, '', 'poll', CAST($1 AS BIGINT), 0 FROM git_repositories r \
         WHERE NOT EXISTS (SELECT 1 FROM git_looks l WHERE l.repository_id = r.id) ON CONFLICT DO NOTHING",
    )
    .bind(now);
    execute(conn, new).await?;
    let changed = query(
        "UPDATE git_looks SET next_at = $1 WHERE next_at IS NULL AND repository_id IN (SELECT r.id FROM \
         git_repositories r JOIN git_looks l ON l.repository_id = r.id WHERE l.url <> r.url OR r.auto_sync = 1)",
    )
    .bind(now);
    execute(conn, changed).await?;
    // The condition is there twice: of two nodes that chose the same rows, the second finds them taken.
    let claim = query(
        "UPDATE git_looks SET next_at = $1 WHERE next_at <= $2 AND repository_id IN (SELECT repository_id FROM \
         git_looks WHERE next_at <= $2 ORDER BY next_at LIMIT $3) \
         RETURNING repository_id, url, cause, next_at, looked_at, failures, error",
    )
    .bind(until)
    .bind(now)
    .bind(limit);
    fetch_all(conn, claim).await
}

/// Writes how a look ended, if nobody has taken another one meanwhile or asked for it: `claimed` is the time until which
/// it was ours.
pub async fn done(conn: &mut Conn, look: &Look, claimed: UnixMs) -> Result<()> {
    let query = query(
        "UPDATE git_looks SET url = $1, cause = $2, looked_at = $3, failures = $4, error = $5, \
         next_at = CASE WHEN next_at = $6 THEN $7 ELSE next_at END WHERE repository_id = $8",
    )
    .bind(look.url.clone())
    .bind(look.cause.as_str())
    .bind(look.looked_at)
    .bind(look.failures)
    .bind(plain_opt(look.error.as_deref()))
    .bind(claimed)
    .bind(look.next_at)
    .bind(look.repository_id.as_str());
    execute(conn, query).await.map(|_| ())
}
