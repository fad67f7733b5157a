//! Table `tokens`.

use super::{
    Conn, counters,
    faults::on_unique,
    rows::{Entity, Row, below, execute, fetch_opt, fetch_page, hit, over, query},
};
use crate::{
    domain::{
        Id, UnixMs,
        page::{Page, PageRequest},
        token::Token,
    },
    error::Result,
};

/// Milliseconds between two records of a token's use.
const TOUCH_PAUSE_MS: i64 = 60_000;

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, seq, name, prefix, hash, created_at, last_used_at, expires_at, revoked_at FROM tokens ",
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
        })
    }
}

/// Stores it under the next number, whatever its `seq` says.
pub async fn insert(conn: &mut Conn, mut token: Token) -> Result<Token> {
    token.seq = counters::take(conn, "tokens", 1).await?;
    let done = query(
        "INSERT INTO tokens (id, seq, name, prefix, hash, created_at, last_used_at, expires_at, revoked_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
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
    .execute(conn)
    .await;
    on_unique(done, || "this token already exists".into())?;
    Ok(token)
}

/// Revoked and expired tokens are found as well: whether it is valid is the caller's question.
pub async fn by_hash(conn: &mut Conn, hash: &str) -> Result<Option<Token>> {
    fetch_opt(conn, query(select!("WHERE hash = $1")).bind(hash)).await
}

/// Newest first.
pub async fn list(conn: &mut Conn, page: PageRequest) -> Result<Page<Token>> {
    let query =
        query(select!("WHERE seq < $1 ORDER BY seq DESC LIMIT $2")).bind(below(page)).bind(over(page));
    fetch_page(conn, page, query, |token: &Token| token.seq).await
}

/// A token that is revoked already keeps its time.
pub async fn revoke(conn: &mut Conn, id: &Id, now: UnixMs) -> Result<()> {
    let query = query("UPDATE tokens SET revoked_at = COALESCE(revoked_at, $1) WHERE id = $2")
        .bind(now)
        .bind(id.as_str());
    hit(execute(conn, query).await?, Token::WHAT, id)
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
