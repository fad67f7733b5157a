//! Table `approvals`.

use super::{
    Conn, Tx,
    rows::{Entity, Row, execute, fetch_all, plain, plain_opt, query},
};
use crate::{
    domain::{
        Id, UnixMs,
        approval::{Approval, ApprovalState},
    },
    error::Result,
};

impl Entity for Approval {
    const WHAT: &'static str = "approval";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            deployment_id: row.id("deployment_id")?,
            prompt: row.text("prompt")?,
            plan_hash: row.text("plan_hash")?,
            state: row.word("state", ApprovalState::parse)?,
            asked_at: row.int("asked_at")?,
            expires_at: row.int("expires_at")?,
            decided_at: row.int_opt("decided_at")?,
            decided_by: row.text_opt("decided_by")?,
            comment: row.text_opt("comment")?,
        })
    }
}

/// Asks. A question that is still open is withdrawn: the rollout waits for one answer at a time.
pub async fn insert(conn: &mut Conn, approval: &Approval) -> Result<()> {
    close_open(conn, &approval.deployment_id, ApprovalState::Withdrawn, approval.asked_at).await?;
    let query = query(
        "INSERT INTO approvals (id, deployment_id, prompt, plan_hash, state, asked_at, expires_at, decided_at, \
         decided_by, comment) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(approval.id.as_str())
    .bind(approval.deployment_id.as_str())
    .bind(plain(&approval.prompt))
    .bind(approval.plan_hash.as_str())
    .bind(approval.state.as_str())
    .bind(approval.asked_at)
    .bind(approval.expires_at)
    .bind(approval.decided_at)
    .bind(plain_opt(approval.decided_by.as_deref()))
    .bind(plain_opt(approval.comment.as_deref()));
    execute(conn, query).await?;
    Ok(())
}

/// Keeps what somebody said unasked, and tells the rollout.
pub async fn say(tx: &mut Tx, word: &Approval) -> Result<()> {
    insert(tx, word).await?;
    tx.tell_wish();
    Ok(())
}

/// Everything a deployment asked, and what it was told unasked, the latest last.
pub async fn list(conn: &mut Conn, deployment: &Id) -> Result<Vec<Approval>> {
    let query = query(
        "SELECT id, deployment_id, prompt, plan_hash, state, asked_at, expires_at, decided_at, decided_by, comment \
         FROM approvals WHERE deployment_id = $1 ORDER BY asked_at, id",
    )
    .bind(deployment.as_str());
    fetch_all(conn, query).await
}

/// Answers a question that is open; false if it is not any more.
pub async fn decide(
    tx: &mut Tx,
    id: &Id,
    state: ApprovalState,
    by: &str,
    comment: Option<&str>,
    now: UnixMs,
) -> Result<bool> {
    let query = query(
        "UPDATE approvals SET state = $1, decided_by = $2, comment = $3, decided_at = $4 \
         WHERE id = $5 AND state = 'open'",
    )
    .bind(state.as_str())
    .bind(plain(by))
    .bind(plain_opt(comment))
    .bind(now)
    .bind(id.as_str());
    tx.tell_wish();
    Ok(execute(tx, query).await? > 0)
}

/// Ends the question that is open, if one is, without an answer.
pub async fn close_open(conn: &mut Conn, deployment: &Id, state: ApprovalState, now: UnixMs) -> Result<bool> {
    let query =
        query("UPDATE approvals SET state = $1, decided_at = $2 WHERE deployment_id = $3 AND state = 'open'")
            .bind(state.as_str())
            .bind(now)
            .bind(deployment.as_str());
    Ok(execute(conn, query).await? > 0)
}
