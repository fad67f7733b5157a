//! Table `registries`.

use super::{
    Conn, counters,
    faults::on_unique,
    rows::{
        Entity, Row, as_seq, below, execute, fetch_all, fetch_opt, fetch_page, found, hit, over, plain, query,
    },
};
use crate::{
    domain::{
        Id,
        page::{Page, PageRequest},
        registry::Registry,
    },
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, seq, name, address, username, password, created_at, updated_at FROM registries ",
            $tail
        )
    };
}

impl Entity for Registry {
    const WHAT: &'static str = "registry";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            name: row.text("name")?,
            address: row.text("address")?,
            username: row.text("username")?,
            password: row.text_opt("password")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

/// Stores it under the next number, whatever its `seq` says. `Conflict` if name or address are taken.
pub async fn insert(conn: &mut Conn, mut row: Registry) -> Result<Registry> {
    row.seq = counters::take(conn, "registries", 1).await?;
    let done = query(
        "INSERT INTO registries (id, seq, name, address, username, password, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(row.id.as_str())
    .bind(row.seq)
    .bind(row.name.as_str())
    .bind(row.address.as_str())
    .bind(plain(&row.username))
    .bind(row.password.clone())
    .bind(row.created_at)
    .bind(row.updated_at)
    .execute(conn)
    .await;
    on_unique(done, || taken(&row))?;
    Ok(row)
}

/// Writes everything but number and birth. `Conflict` if name or address are taken.
pub async fn update(conn: &mut Conn, row: &Registry) -> Result<()> {
    let done = query(
        "UPDATE registries SET name = $1, address = $2, username = $3, password = $4, updated_at = $5 WHERE id = $6",
    )
    .bind(row.name.as_str())
    .bind(row.address.as_str())
    .bind(plain(&row.username))
    .bind(row.password.clone())
    .bind(row.updated_at)
    .bind(row.id.as_str())
    .execute(conn)
    .await;
    hit(on_unique(done, || taken(row))?.rows_affected(), Registry::WHAT, &row.id)
}

fn taken(row: &Registry) -> String {
    format!("there is a registry named `{}` or at {} already; change that one", row.name, row.address)
}

/// `key` is an id, a number, or a name.
pub async fn find(conn: &mut Conn, key: &str) -> Result<Registry> {
    let row = match as_seq(key) {
        Some(seq) => fetch_opt(conn, query(select!("WHERE seq = $1")).bind(seq)).await?,
        None => fetch_opt(conn, query(select!("WHERE id = $1 OR name = $1")).bind(key)).await?,
    };
    found(row, key)
}

/// The one whose images begin with this address.
pub async fn by_address(conn: &mut Conn, address: &str) -> Result<Option<Registry>> {
    fetch_opt(conn, query(select!("WHERE address = $1")).bind(address)).await
}

/// All of them: base images of a build may come from any.
pub async fn all(conn: &mut Conn) -> Result<Vec<Registry>> {
    fetch_all(conn, query(select!("WHERE seq > 0 ORDER BY seq LIMIT 1000"))).await
}

/// Newest first.
pub async fn list(conn: &mut Conn, page: PageRequest) -> Result<Page<Registry>> {
    let query =
        query(select!("WHERE seq < $1 ORDER BY seq DESC LIMIT $2")).bind(below(page)).bind(over(page));
    fetch_page(conn, page, query, |row: &Registry| row.seq).await
}

pub async fn delete(conn: &mut Conn, id: &Id) -> Result<()> {
    let query = query("DELETE FROM registries WHERE id = $1").bind(id.as_str());
    hit(execute(conn, query).await?, Registry::WHAT, id)
}
