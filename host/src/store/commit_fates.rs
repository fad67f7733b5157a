//! What became of commits, from table `deployments`.

use super::{
    Conn,
    rows::{Entity, Row, fetch_all, query},
};
use crate::{
    domain::{Id, deployment::DeploymentStatus},
    error::Result,
};

/// What became of a commit that somebody wanted to deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitFate {
    pub commit_sha: String,
    /// Number and status of its newest deployment.
    pub seq: i64,
    pub status: DeploymentStatus,
    /// A deployment of it has been successful.
    pub was_successful: bool,
}

impl Entity for CommitFate {
    const WHAT: &'static str = "deployment of a commit";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        let status = row.word("status", DeploymentStatus::parse)?;
        Ok(Self {
            commit_sha: row.text("commit_sha")?,
            seq: row.int("seq")?,
            status,
            was_successful: status == DeploymentStatus::Successful,
        })
    }
}

/// What became of those of these commits that were deployed or were to be, as the stack's newest deployments of them tell. Both
/// databases know `LIKE`, and neither the other's way of taking a list; an id is hexadecimal, so it cannot be a pattern.
pub async fn list(conn: &mut Conn, stack: &Id, commits: &[&str]) -> Result<Vec<CommitFate>> {
    let query = query(
        "SELECT commit_sha, seq, status FROM deployments WHERE stack_id = $1 AND commit_sha <> '' \
         AND CAST($2 AS TEXT) LIKE '%,' || commit_sha || ',%' ORDER BY seq DESC LIMIT 1000",
    )
    .bind(stack.as_str())
    .bind(format!(",{},", commits.join(",")));
    let mut fates: Vec<CommitFate> = Vec::new();
    for row in fetch_all::<CommitFate>(conn, query).await? {
        match fates.iter_mut().find(|fate| fate.commit_sha == row.commit_sha) {
            Some(newer) => newer.was_successful |= row.was_successful,
            None => fates.push(row),
        }
    }
    Ok(fates)
}
