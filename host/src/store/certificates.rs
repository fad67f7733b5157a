//! Tables `certificates` and `acme_accounts`.

use super::{
    Conn,
    faults::fault,
    rows::{Entity, Row, execute, fetch_all, fetch_opt, plain_opt, query},
};
use crate::{
    domain::{UnixMs, certificate::Certificate},
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT host, chain, sealed_key, not_before, not_after, due_at, failures, error, updated_at \
             FROM certificates ",
            $tail
        )
    };
}

impl Entity for Certificate {
    const WHAT: &'static str = "certificate";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            host: row.text("host")?,
            chain: row.text_opt("chain")?,
            sealed_key: row.text_opt("sealed_key")?,
            not_before: row.int_opt("not_before")?,
            not_after: row.int_opt("not_after")?,
            due_at: row.int("due_at")?,
            failures: row.small("failures")?,
            error: row.text_opt("error")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

/// All, by host.
pub async fn list(conn: &mut Conn) -> Result<Vec<Certificate>> {
    fetch_all(conn, query(select!("ORDER BY host"))).await
}

pub async fn find_opt(conn: &mut Conn, host: &str) -> Result<Option<Certificate>> {
    fetch_opt(conn, query(select!("WHERE host = $1")).bind(host.to_owned())).await
}

/// Wants one for a host, as soon as possible, unless it is wanted already.
pub async fn want(conn: &mut Conn, host: &str, now: UnixMs) -> Result<bool> {
    let query = query(
        "INSERT INTO certificates (host, due_at, failures, updated_at) VALUES ($1, $2, 0, $2) \
         ON CONFLICT (host) DO NOTHING",
    )
    .bind(host.to_owned())
    .bind(now);
    Ok(execute(conn, query).await? > 0)
}

/// Moves when it is due; false if somebody else has done so, who then works on it.
pub async fn postpone(conn: &mut Conn, host: &str, was: UnixMs, due_at: UnixMs) -> Result<bool> {
    let query = query("UPDATE certificates SET due_at = $1 WHERE host = $2 AND due_at = $3")
        .bind(due_at)
        .bind(host.to_owned())
        .bind(was);
    Ok(execute(conn, query).await? > 0)
}

/// Stores what became of an attempt. A host that is not wanted any more stays forgotten.
pub async fn save(conn: &mut Conn, row: &Certificate) -> Result<()> {
    let query = query(
        "UPDATE certificates SET chain = $1, sealed_key = $2, not_before = $3, not_after = $4, due_at = $5, \
         failures = $6, error = $7, updated_at = $8 WHERE host = $9",
    )
    .bind(row.chain.clone())
    .bind(row.sealed_key.clone())
    .bind(row.not_before)
    .bind(row.not_after)
    .bind(row.due_at)
    .bind(i64::from(row.failures))
    .bind(plain_opt(row.error.as_deref()))
    .bind(row.updated_at)
    .bind(row.host.clone());
    execute(conn, query).await.map(|_| ())
}

pub async fn delete(conn: &mut Conn, host: &str) -> Result<()> {
    execute(conn, query("DELETE FROM certificates WHERE host = $1").bind(host.to_owned())).await.map(|_| ())
}

/// The sealed account at an ACME server.
pub async fn account(conn: &mut Conn, directory: &str) -> Result<Option<String>> {
    let row = query("SELECT sealed FROM acme_accounts WHERE directory = $1")
        .bind(directory.to_owned())
        .fetch_optional(conn)
        .await
        .map_err(fault)?;
    row.map(|row| Row(&row).text("sealed")).transpose()
}

pub async fn insert_account(conn: &mut Conn, directory: &str, sealed: &str, now: UnixMs) -> Result<()> {
    let query = query(
        "INSERT INTO acme_accounts (directory, sealed, created_at) VALUES ($1, $2, $3) \
         ON CONFLICT (directory) DO NOTHING",
    )
    .bind(directory.to_owned())
    .bind(sealed.to_owned())
    .bind(now);
    execute(conn, query).await.map(|_| ())
}
