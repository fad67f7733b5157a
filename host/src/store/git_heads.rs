//! Table `git_heads`: the newest commit known of each branch.

use std::sync::LazyLock;

use super::{
    Conn,
    batch::Batch,
    rows::{Entity, Row, execute, fetch_all, fetch_opt, query},
};
use crate::{
    domain::{Id, head::Head},
    error::Result,
};

impl Entity for Head {
    const WHAT: &'static str = "branch";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            branch: row.text("branch")?,
            commit: row.text("commit_sha")?,
            via: row.text("via")?,
            event: row.int("event")?,
        })
    }
}

/// All branches of a repository that are known.
pub async fn list(conn: &mut Conn, repository: &Id) -> Result<Vec<Head>> {
    let query = query(
        "SELECT branch, commit_sha, via, event FROM git_heads WHERE repository_id = $1 ORDER BY branch",
    )
    .bind(repository.as_str());
    fetch_all(conn, query).await
}

pub async fn find_opt(conn: &mut Conn, repository: &Id, branch: &str) -> Result<Option<Head>> {
    let query = query(
        "SELECT branch, commit_sha, via, event FROM git_heads WHERE repository_id = $1 AND branch = $2",
    )
    .bind(repository.as_str())
    .bind(branch.to_owned());
    fetch_opt(conn, query).await
}

static PUT: LazyLock<Batch> = LazyLock::new(|| {
    Batch::new(
        "INSERT INTO git_heads (repository_id, branch, commit_sha, via, event)",
        5,
        "",
        "ON CONFLICT (repository_id, branch) DO UPDATE SET commit_sha = excluded.commit_sha, via = excluded.via, \
         event = excluded.event",
    )
});

/// Writes what is known now; each branch at most once in one call.
pub async fn put(conn: &mut Conn, repository: &Id, heads: &[Head]) -> Result<()> {
    for (text, rows) in PUT.split(conn, heads) {
        let mut statement = query(text);
        for head in rows {
            statement = statement
                .bind(repository.as_str())
                .bind(head.branch.clone())
                .bind(head.commit.clone())
                .bind(head.via.clone())
                .bind(head.event);
        }
        execute(conn, statement).await?;
    }
    Ok(())
}

pub async fn delete(conn: &mut Conn, repository: &Id, branch: &str) -> Result<()> {
    let query = query("DELETE FROM git_heads WHERE repository_id = $1 AND branch = $2")
        .bind(repository.as_str())
        .bind(branch.to_owned());
    execute(conn, query).await.map(|_| ())
}

/// Forgets all branches of a repository, which is at another address now.
pub async fn clear(conn: &mut Conn, repository: &Id) -> Result<()> {
    let query = query("DELETE FROM git_heads WHERE repository_id = $1").bind(repository.as_str());
    execute(conn, query).await.map(|_| ())
}
