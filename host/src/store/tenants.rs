//! Table `tenants`.

use super::{
    Conn,
    faults::{fault, on_unique},
    rows::{Entity, Row, execute, fetch_all, fetch_opt, found, hit, query},
};
use crate::{
    domain::{Id, UnixMs, people::Tenant},
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT t.id, t.name, t.created_at, (SELECT COUNT(*) FROM teams WHERE tenant_id = t.id) AS teams, \
             (SELECT COUNT(*) FROM users WHERE tenant_id = t.id) AS people FROM tenants t ",
            $tail
        )
    };
}

impl Entity for Tenant {
    const WHAT: &'static str = "tenant";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            name: row.text("name")?,
            teams: row.int("teams")?,
            people: row.int("people")?,
            created_at: row.int("created_at")?,
        })
    }
}

/// The id of the tenant of that name, which is made if there is none.
pub async fn ensure(conn: &mut Conn, id: &Id, name: &str, now: UnixMs) -> Result<Id> {
    let insert =
        query("INSERT INTO tenants (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(id.as_str())
            .bind(name.to_owned())
            .bind(now);
    execute(conn, insert).await?;
    let row = query("SELECT id FROM tenants WHERE name = $1").bind(name.to_owned());
    Row(&row.fetch_one(conn).await.map_err(fault)?).id("id")
}

/// `Conflict` if the name is taken.
pub async fn insert(conn: &mut Conn, id: &Id, name: &str, now: UnixMs) -> Result<()> {
    let done = query("INSERT INTO tenants (id, name, created_at) VALUES ($1, $2, $3)")
        .bind(id.as_str())
        .bind(name.to_owned())
        .bind(now)
        .execute(conn)
        .await;
    on_unique(done, || format!("a tenant named `{name}` already exists")).map(|_| ())
}

/// `key` is an id or a name.
pub async fn find(conn: &mut Conn, key: &str) -> Result<Tenant> {
    found(fetch_opt(conn, query(select!("WHERE t.id = $1 OR t.name = $1")).bind(key.to_owned())).await?, key)
}

/// By name.
pub async fn list(conn: &mut Conn) -> Result<Vec<Tenant>> {
    fetch_all(conn, query(select!("ORDER BY t.name LIMIT 1000"))).await
}

/// `Conflict` if the name is taken.
pub async fn rename(conn: &mut Conn, id: &Id, name: &str) -> Result<()> {
    let done = query("UPDATE tenants SET name = $1 WHERE id = $2")
        .bind(name.to_owned())
        .bind(id.as_str())
        .execute(conn)
        .await;
    let done = on_unique(done, || format!("a tenant named `{name}` already exists"))?;
    hit(done.rows_affected(), Tenant::WHAT, id)
}

/// The caller sees to it that nobody is in it; the database refuses it otherwise.
pub async fn delete(conn: &mut Conn, id: &Id) -> Result<()> {
    let query = query("DELETE FROM tenants WHERE id = $1").bind(id.as_str());
    hit(execute(conn, query).await?, Tenant::WHAT, id)
}
