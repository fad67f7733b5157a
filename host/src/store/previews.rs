//! Tables `preview_watches` and `previews`: which stacks show their pull requests, and what has become of each.

use super::{
    Conn,
    rows::{Entity, Row, execute, fetch_all, fetch_opt, id_text, json, plain, plain_opt, query},
};
use crate::{
    domain::{
        Id, UnixMs,
        preview::{Preview, PreviewState, PreviewWatch},
    },
    error::Result,
};

/// Of a watch `w`.
macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT w.stack_id, w.settings, w.enabled, w.next_at, w.ask_at, w.asked_at, w.error FROM preview_watches w ",
            $tail
        )
    };
}

impl Entity for PreviewWatch {
    const WHAT: &'static str = "previews";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            stack_id: row.id("stack_id")?,
            settings: row.json("settings")?,
            enabled: row.flag("enabled")?,
            next_at: row.int("next_at")?,
            ask_at: row.int("ask_at")?,
            asked_at: row.int_opt("asked_at")?,
            error: row.text_opt("error")?,
        })
    }
}

impl Entity for Preview {
    const WHAT: &'static str = "preview";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            parent_id: row.id("parent_id")?,
            number: row.int("number")?,
            title: row.text("title")?,
            url: row.text("url")?,
            branch: row.text("branch")?,
            commit: row.text("commit_sha")?,
            state: row.word("state", PreviewState::parse)?,
            stack_id: row.id_opt("stack_id")?,
            deployed: row.text_opt("deployed")?,
            told: row.text_opt("told")?,
            expires_at: row.int("expires_at")?,
            error: row.text_opt("error")?,
        })
    }
}

/// Switches previews of a stack on or off, or changes how they are; all of it is due at once.
pub async fn switch(conn: &mut Conn, watch: &PreviewWatch) -> Result<()> {
    let query = query(
        "INSERT INTO preview_watches (stack_id, settings, enabled, next_at, ask_at, claimed_until) VALUES ($1, $2, $3, $4, $5, 0) \
         ON CONFLICT (stack_id) DO UPDATE SET settings = excluded.settings, enabled = excluded.enabled, \
         next_at = excluded.next_at, ask_at = excluded.ask_at",
    )
    .bind(watch.stack_id.as_str())
    .bind(json(&watch.settings)?)
    .bind(i64::from(watch.enabled))
    .bind(watch.next_at)
    .bind(watch.ask_at);
    execute(conn, query).await.map(|_| ())
}

pub async fn watch_opt(conn: &mut Conn, stack: &Id) -> Result<Option<PreviewWatch>> {
    let query = query(select!("WHERE w.stack_id = $1")).bind(stack.as_str());
    fetch_opt(conn, query).await
}

/// That of the stack that has the repository.
pub async fn watch_of_repository(conn: &mut Conn, repository: &Id) -> Result<Option<PreviewWatch>> {
    let query = query(select!("JOIN git_repositories r ON r.stack_id = w.stack_id WHERE r.id = $1"))
        .bind(repository.as_str());
    fetch_opt(conn, query).await
}

pub async fn any_due(conn: &mut Conn, now: UnixMs) -> Result<bool> {
    let query = query(select!("WHERE w.next_at <= $1 AND w.claimed_until <= $1 LIMIT 1")).bind(now);
    Ok(fetch_opt::<PreviewWatch>(conn, query).await?.is_some())
}

/// Takes up to `limit` stacks that are due. Nobody else gets them until `until`, even if they become due again meanwhile.
pub async fn claim(conn: &mut Conn, now: UnixMs, until: UnixMs, limit: i64) -> Result<Vec<PreviewWatch>> {
    // The condition is there twice: of two nodes that chose the same rows, the second finds them taken.
    let query = query(
        "UPDATE preview_watches SET claimed_until = $1 WHERE claimed_until <= $2 AND stack_id IN (SELECT stack_id \
         FROM preview_watches WHERE next_at <= $2 AND claimed_until <= $2 ORDER BY next_at LIMIT $3) \
         RETURNING stack_id, settings, enabled, next_at, ask_at, asked_at, error",
    )
    .bind(until)
    .bind(now)
    .bind(limit);
    fetch_all(conn, query).await
}

/// Keeps what was claimed until `held` for longer. False if it is somebody else's by now.
pub async fn hold(conn: &mut Conn, stack: &Id, held: UnixMs, until: UnixMs) -> Result<bool> {
    let query =
        query("UPDATE preview_watches SET claimed_until = $1 WHERE stack_id = $2 AND claimed_until = $3")
            .bind(until)
            .bind(stack.as_str())
            .bind(held);
    Ok(execute(conn, query).await? > 0)
}

/// Makes the previews of a stack due, with a question to the forge. Nothing happens where they are off.
pub async fn set_due(conn: &mut Conn, stack: &Id, now: UnixMs) -> Result<()> {
    let query =
        query("UPDATE preview_watches SET next_at = $1, ask_at = $1 WHERE stack_id = $2 AND enabled = 1")
            .bind(now)
            .bind(stack.as_str());
    execute(conn, query).await.map(|_| ())
}

/// Lets go of what was claimed. Times that somebody has changed meanwhile stay as they are: the next turn begins at once.
pub async fn done(conn: &mut Conn, before: &PreviewWatch, after: &PreviewWatch) -> Result<()> {
    let query = query(
        "UPDATE preview_watches SET claimed_until = 0, asked_at = $1, error = $2, \
         next_at = CASE WHEN next_at = $3 THEN $4 ELSE next_at END, \
         ask_at = CASE WHEN ask_at = $5 THEN $6 ELSE ask_at END WHERE stack_id = $7",
    )
    .bind(after.asked_at)
    .bind(plain_opt(after.error.as_deref()))
    .bind(before.next_at)
    .bind(after.next_at)
    .bind(before.ask_at)
    .bind(after.ask_at)
    .bind(after.stack_id.as_str());
    execute(conn, query).await.map(|_| ())
}

/// Forgets that a stack had previews, if they are off still.
pub async fn forget(conn: &mut Conn, stack: &Id) -> Result<()> {
    let query = query("DELETE FROM preview_watches WHERE stack_id = $1 AND enabled = 0").bind(stack.as_str());
    execute(conn, query).await.map(|_| ())
}

/// Those of a stack, by number.
pub async fn list(conn: &mut Conn, parent: &Id) -> Result<Vec<Preview>> {
    let query = query(
        "SELECT parent_id, number, title, url, branch, commit_sha, state, stack_id, deployed, told, expires_at, error \
         FROM previews WHERE parent_id = $1 ORDER BY number",
    )
    .bind(parent.as_str());
    fetch_all(conn, query).await
}

/// The one that a stack shows.
pub async fn by_stack(conn: &mut Conn, stack: &Id) -> Result<Option<Preview>> {
    let query = query(
        "SELECT parent_id, number, title, url, branch, commit_sha, state, stack_id, deployed, told, expires_at, error \
         FROM previews WHERE stack_id = $1",
    )
    .bind(stack.as_str());
    fetch_opt(conn, query).await
}

pub async fn put(conn: &mut Conn, row: &Preview) -> Result<()> {
    let query = query(
        "INSERT INTO previews (parent_id, number, title, url, branch, commit_sha, state, stack_id, deployed, told, \
         expires_at, error) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (parent_id, number) DO UPDATE SET title = excluded.title, url = excluded.url, \
         branch = excluded.branch, commit_sha = excluded.commit_sha, state = excluded.state, \
         stack_id = excluded.stack_id, deployed = excluded.deployed, told = excluded.told, \
         expires_at = excluded.expires_at, error = excluded.error",
    )
    .bind(row.parent_id.as_str())
    .bind(row.number)
    .bind(plain(&row.title))
    .bind(plain(&row.url))
    .bind(row.branch.clone())
    .bind(row.commit.clone())
    .bind(row.state.as_str())
    .bind(id_text(row.stack_id.as_ref()))
    .bind(row.deployed.clone())
    .bind(row.told.clone())
    .bind(row.expires_at)
    .bind(plain_opt(row.error.as_deref()));
    execute(conn, query).await.map(|_| ())
}

pub async fn delete(conn: &mut Conn, row: &Preview) -> Result<()> {
    let query = query("DELETE FROM previews WHERE parent_id = $1 AND number = $2")
        .bind(row.parent_id.as_str())
        .bind(row.number);
    execute(conn, query).await.map(|_| ())
}
