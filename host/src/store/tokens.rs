//! Table `tokens`.

use super::{
    Conn, counters,
    faults::on_unique,
    rows::{Entity, Row, below, execute, fetch_opt, fetch_page, hit, id_text, over, query},
};
use crate::{
    domain::{
        Id, UnixMs,
        access::{Limit, Role},
        page::{Page, PageRequest},
        token::{Token, TokenKind},
    },
    error::Result,
};

/// Milliseconds between two records of a token's use.
const TOUCH_PAUSE_MS: i64 = 60_000;

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, seq, name, prefix, hash, created_at, last_used_at, expires_at, revoked_at, user_id, kind, role, \
             team_id, project_id FROM tokens ",
            $tail
        )
    };
}

impl Entity for Token {
    const WHAT: &'static str = "token";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            name: row.text("name")?,
            prefix: row.text("prefix")?,
            hash: row.text("hash")?,
            created_at: row.int("created_at")?,
            last_used_at: row.int_opt("last_used_at")?,
            expires_at: row.int_opt("expires_at")?,
            revoked_at: row.int_opt("revoked_at")?,
            user_id: row.id_opt("user_id")?,
            kind: row.word("kind", TokenKind::parse)?,
            limit: Limit {
                role: row.text_opt("role")?.and_then(|word| Role::parse(&word)),
                team: row.id_opt("team_id")?,
                project: row.id_opt("project_id")?,
            },
        })
    }
}

/// Stores it under the next number, whatever its `seq` says.
pub async fn insert(conn: &mut Conn, mut token: Token) -> Result<Token> {
    token.seq = counters::take(conn, "tokens", 1).await?;
    let done = query(
        "INSERT INTO tokens (id, seq, name, prefix, hash, created_at, last_used_at, expires_at, revoked_at, user_id, \
         kind, role, team_id, project_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(token.id.as_str())
    .bind(token.seq)
    .bind(token.name.as_str())
    .bind(token.prefix.as_str())
    .bind(token.hash.as_str())
    .bind(token.created_at)
    .bind(token.last_used_at)
    .bind(token.expires_at)
    .bind(token.revoked_at)
    .bind(id_text(token.user_id.as_ref()))
    .bind(token.kind.as_str())
    .bind(token.limit.role.map(Role::as_str))
    .bind(id_text(token.limit.team.as_ref()))
    .bind(id_text(token.limit.project.as_ref()))
    .execute(conn)
    .await;
    on_unique(done, || "this token already exists".into())?;
    Ok(token)
}

/// Revoked and expired tokens are found as well: whether it is valid is the caller's question.
pub async fn by_hash(conn: &mut Conn, hash: &str) -> Result<Option<Token>> {
    fetch_opt(conn, query(select!("WHERE hash = $1")).bind(hash)).await
}

pub async fn find_opt(conn: &mut Conn, id: &str) -> Result<Option<Token>> {
    fetch_opt(conn, query(select!("WHERE id = $1")).bind(id)).await
}

/// API tokens, newest first; with an owner, only theirs.
pub async fn list(conn: &mut Conn, page: PageRequest, user: Option<&Id>) -> Result<Page<Token>> {
    let query = query(select!(
        "WHERE kind = 'api' AND seq < $1 AND ($3 = '' OR user_id = $3) ORDER BY seq DESC LIMIT $2"
    ))
    .bind(below(page))
    .bind(over(page))
    .bind(user.map_or("", Id::as_str).to_owned());
    fetch_page(conn, page, query, |token: &Token| token.seq).await
}

/// A token that is revoked already keeps its time.
pub async fn revoke(conn: &mut Conn, id: &Id, now: UnixMs) -> Result<()> {
    let query = query("UPDATE tokens SET revoked_at = COALESCE(revoked_at, $1) WHERE id = $2")
        .bind(now)
        .bind(id.as_str());
    hit(execute(conn, query).await?, Token::WHAT, id)
}

/// Ends all sessions of a person, but one.
pub async fn revoke_sessions(conn: &mut Conn, user: &Id, but: Option<&Id>, now: UnixMs) -> Result<u64> {
    let query = query(
        "UPDATE tokens SET revoked_at = $1 WHERE user_id = $2 AND kind = 'session' AND revoked_at IS NULL AND id <> $3",
    )
    .bind(now)
    .bind(user.as_str())
    .bind(but.map_or("", Id::as_str).to_owned());
    execute(conn, query).await
}

/// Tokens made before there were owners become this person's.
pub async fn adopt(conn: &mut Conn, user: &Id) -> Result<u64> {
    execute(conn, query("UPDATE tokens SET user_id = $1 WHERE user_id IS NULL").bind(user.as_str())).await
}

/// Removes sessions that ended before `before`, and answers how many.
pub async fn prune_sessions(conn: &mut Conn, before: UnixMs) -> Result<u64> {
    let query = query("DELETE FROM tokens WHERE kind = 'session' AND (expires_at < $1 OR revoked_at < $1)")
        .bind(before);
    execute(conn, query).await
}

/// Whether the use of a token that was last used at that time is worth a write.
pub fn is_touch_due(token: &Token, now: UnixMs) -> bool {
    token.last_used_at.is_none_or(|at| at <= now - TOUCH_PAUSE_MS)
}

/// Records the use, at most once a minute. Answers whether it did. Ask [`is_touch_due`] first: that costs nothing.
pub async fn touch_used(conn: &mut Conn, id: &Id, now: UnixMs) -> Result<bool> {
    let query = query(
        "UPDATE tokens SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at <= $3)",
    )
    .bind(now)
    .bind(id.as_str())
    .bind(now - TOUCH_PAUSE_MS);
    Ok(execute(conn, query).await? > 0)
}
