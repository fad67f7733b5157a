//! Table `rollout_steps`: the journal of a rollout.

use std::sync::LazyLock;

use super::{
    Conn,
    batch::Batch,
    faults::{fault, on_unique},
    rows::{Entity, Row, execute, fetch_all, hit, json, query},
};
use crate::{
    domain::{
        Id, UnixMs,
        rollout::{JournalEntry, JournalState},
    },
    error::Result,
};

static INSERT: LazyLock<Batch> = LazyLock::new(|| {
    Batch::new(
        "INSERT INTO rollout_steps (id, deployment_id, n, label, effect, state, error, intended_at, done_at)",
        9,
        "",
        "",
    )
});

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, deployment_id, n, label, effect, state, error, intended_at, done_at FROM rollout_steps ",
            $tail
        )
    };
}

impl Entity for JournalEntry {
    const WHAT: &'static str = "rollout step";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            deployment_id: row.id("deployment_id")?,
            n: row.int("n")?,
            label: row.text("label")?,
            effect: row.json("effect")?,
            state: row.word("state", JournalState::parse)?,
            error: row.text_opt("error")?,
            intended_at: row.int("intended_at")?,
            done_at: row.int_opt("done_at")?,
        })
    }
}

/// Appends intents. `Conflict` if a position is taken: somebody else drives this rollout.
pub async fn append(conn: &mut Conn, entries: &[JournalEntry]) -> Result<()> {
    for (text, rows) in INSERT.split(conn, entries) {
        let mut query = query(text);
        for entry in rows {
            query = query
                .bind(entry.id.as_str())
                .bind(entry.deployment_id.as_str())
                .bind(entry.n)
                .bind(entry.label.as_str())
                .bind(json(&entry.effect)?)
                .bind(entry.state.as_str())
                .bind(entry.error.clone())
                .bind(entry.intended_at)
                .bind(entry.done_at);
        }
        let done = query.execute(&mut *conn).await;
        on_unique(done, || "the rollout's journal has been continued by somebody else".into())?;
    }
    Ok(())
}

/// The next free position in a deployment's journal, from 1.
pub async fn next_n(conn: &mut Conn, deployment: &Id) -> Result<i64> {
    let row = query("SELECT COALESCE(MAX(n), 0) + 1 AS n FROM rollout_steps WHERE deployment_id = $1")
        .bind(deployment.as_str())
        .fetch_one(conn)
        .await
        .map_err(fault)?;
    Row(&row).int("n")
}

pub async fn mark_done(conn: &mut Conn, id: &Id, now: UnixMs) -> Result<()> {
    let query = query("UPDATE rollout_steps SET state = 'done', error = NULL, done_at = $1 WHERE id = $2")
        .bind(now)
        .bind(id.as_str());
    hit(execute(conn, query).await?, JournalEntry::WHAT, id)
}

pub async fn mark_failed(conn: &mut Conn, id: &Id, error: &str, now: UnixMs) -> Result<()> {
    let query = query("UPDATE rollout_steps SET state = 'failed', error = $1, done_at = $2 WHERE id = $3")
        .bind(error)
        .bind(now)
        .bind(id.as_str());
    hit(execute(conn, query).await?, JournalEntry::WHAT, id)
}

/// The whole journal of a deployment in its order.
pub async fn list(conn: &mut Conn, deployment: &Id) -> Result<Vec<JournalEntry>> {
    let query = query(select!("WHERE deployment_id = $1 ORDER BY n")).bind(deployment.as_str());
    fetch_all(conn, query).await
}

/// The intents of which nobody knows yet whether they were carried out.
pub async fn list_open(conn: &mut Conn, deployment: &Id) -> Result<Vec<JournalEntry>> {
    let query =
        query(select!("WHERE deployment_id = $1 AND state = 'intent' ORDER BY n")).bind(deployment.as_str());
    fetch_all(conn, query).await
}
