//! Table `plugins`.

use super::{
    Conn,
    rows::{Entity, Row, execute, fetch_all, fetch_opt, json, plain, plain_opt, query},
};
use crate::{
    domain::admission::{PluginRecord, PluginState},
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT name, digest, source, state, last_good_digest, granted, reason, installed, created_at, updated_at \
             FROM plugins ",
            $tail
        )
    };
}

impl Entity for PluginRecord {
    const WHAT: &'static str = "plugin";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            name: row.text("name")?,
            digest: row.text_opt("digest")?,
            source: row.text("source")?,
            state: row.word("state", PluginState::parse)?,
            last_good_digest: row.text_opt("last_good_digest")?,
            granted: row.json("granted")?,
            reason: row.text_opt("reason")?,
            installed: row.flag("installed")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

/// All of them, by name.
pub async fn list(conn: &mut Conn) -> Result<Vec<PluginRecord>> {
    fetch_all(conn, query(select!("ORDER BY name"))).await
}

pub async fn find_opt(conn: &mut Conn, name: &str) -> Result<Option<PluginRecord>> {
    fetch_opt(conn, query(select!("WHERE name = $1")).bind(plain(name))).await
}

/// Forgets everything about it. Nothing to forget is no error.
pub async fn delete(conn: &mut Conn, name: &str) -> Result<()> {
    execute(conn, query("DELETE FROM plugins WHERE name = $1").bind(plain(name))).await?;
    Ok(())
}

/// Inserts it, or changes everything but its name and when it was first seen.
pub async fn save(conn: &mut Conn, record: &PluginRecord) -> Result<()> {
    let query = query(
        "INSERT INTO plugins (name, digest, source, state, last_good_digest, granted, reason, installed, created_at, \
         updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (name) DO UPDATE SET \
         digest = excluded.digest, source = excluded.source, state = excluded.state, \
         last_good_digest = excluded.last_good_digest, granted = excluded.granted, reason = excluded.reason, \
         installed = excluded.installed, updated_at = excluded.updated_at",
    )
    .bind(plain(&record.name))
    .bind(record.digest.clone())
    .bind(plain(&record.source))
    .bind(record.state.as_str())
    .bind(record.last_good_digest.clone())
    .bind(json(&record.granted)?)
    .bind(plain_opt(record.reason.as_deref()))
    .bind(i64::from(record.installed))
    .bind(record.created_at)
    .bind(record.updated_at);
    execute(conn, query).await?;
    Ok(())
}
