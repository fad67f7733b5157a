//! Table `targets`.

use super::{
    Conn, counters,
    faults::on_unique,
    rows::{Entity, Row, as_seq, execute, fetch_all, fetch_opt, found, hit, json, plain, plain_opt, query},
};
use crate::{
    domain::{
        Id,
        target::{Target, TargetHealth, TargetKind},
    },
    error::{Error, Result},
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, seq, name, kind, address, routes, credentials, health, created_at, updated_at FROM targets ",
            $tail
        )
    };
}

impl Entity for Target {
    const WHAT: &'static str = "target";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            name: row.text("name")?,
            kind: row.word("kind", TargetKind::parse)?,
            address: row.text("address")?,
            routes: row.text_opt("routes")?.map(|text| text.parse().map_err(Error::internal)).transpose()?,
            credentials: row.text_opt("credentials")?,
            health: row.json("health")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

/// Stores it under the next number, whatever its `seq` says. `Conflict` if the name is taken.
pub async fn insert(conn: &mut Conn, mut target: Target) -> Result<Target> {
    target.seq = counters::take(conn, "targets", 1).await?;
    let done = query(
        "INSERT INTO targets (id, seq, name, kind, address, routes, credentials, health, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(target.id.as_str())
    .bind(target.seq)
    .bind(target.name.as_str())
    .bind(target.kind.as_str())
    .bind(plain(&target.address))
    .bind(plain_opt(target.routes.map(|ip| ip.to_string()).as_deref()))
    .bind(target.credentials.clone())
    .bind(plain(&json(&target.health)?))
    .bind(target.created_at)
    .bind(target.updated_at)
    .execute(conn)
    .await;
    on_unique(done, || format!("a target named `{}` already exists; choose another name", target.name))?;
    Ok(target)
}

/// Writes what a person can change: where it is and how it is reached.
pub async fn update(conn: &mut Conn, target: &Target) -> Result<()> {
    let query = query(
        "UPDATE targets SET address = $1, routes = $2, credentials = $3, health = $4, updated_at = $5 WHERE id = $6",
    )
    .bind(plain(&target.address))
    .bind(plain_opt(target.routes.map(|ip| ip.to_string()).as_deref()))
    .bind(target.credentials.clone())
    .bind(plain(&json(&target.health)?))
    .bind(target.updated_at)
    .bind(target.id.as_str());
    hit(execute(conn, query).await?, Target::WHAT, &target.id)
}

/// `key` is an id, a number or a name.
pub async fn find(conn: &mut Conn, key: &str) -> Result<Target> {
    if let Some(seq) = as_seq(key)
        && let Some(target) = fetch_opt(conn, query(select!("WHERE seq = $1")).bind(seq)).await?
    {
        return Ok(target);
    }
    found(fetch_opt(conn, query(select!("WHERE id = $1 OR name = $1")).bind(plain(key))).await?, key)
}

/// By the name that a stack has for it.
pub async fn by_name(conn: &mut Conn, name: &str) -> Result<Option<Target>> {
    fetch_opt(conn, query(select!("WHERE name = $1")).bind(plain(name))).await
}

/// All, by name.
pub async fn list(conn: &mut Conn) -> Result<Vec<Target>> {
    fetch_all(conn, query(select!("ORDER BY name"))).await
}

/// Remembers how it answered. A change that a person makes at the same time is left alone.
pub async fn set_health(conn: &mut Conn, id: &Id, health: &TargetHealth) -> Result<()> {
    let query =
        query("UPDATE targets SET health = $1 WHERE id = $2").bind(plain(&json(health)?)).bind(id.as_str());
    hit(execute(conn, query).await?, Target::WHAT, id)
}

/// Removes it. `Conflict` if a stack names it.
pub async fn delete(conn: &mut Conn, id: &Id) -> Result<()> {
    let query = query("DELETE FROM targets WHERE id = $1").bind(id.as_str());
    hit(execute(conn, query).await?, Target::WHAT, id)
}
