//! Table `teams`.

use super::{
    Conn,
    faults::on_unique,
    rows::{Entity, Row, execute, fetch_all, fetch_opt, found, hit, id_text, query},
};
use crate::{
    domain::{Id, people::Team},
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT id, tenant_id, name, created_at FROM teams ", $tail)
    };
}

impl Entity for Team {
    const WHAT: &'static str = "team";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            tenant_id: row.id("tenant_id")?,
            name: row.text("name")?,
            created_at: row.int("created_at")?,
        })
    }
}

/// `Conflict` if the name is taken.
pub async fn insert(conn: &mut Conn, team: &Team) -> Result<()> {
    let done = query("INSERT INTO teams (id, tenant_id, name, created_at) VALUES ($1, $2, $3, $4)")
        .bind(team.id.as_str())
        .bind(team.tenant_id.as_str())
        .bind(team.name.as_str())
        .bind(team.created_at)
        .execute(conn)
        .await;
    on_unique(done, || format!("a team named `{}` already exists", team.name)).map(|_| ())
}

/// `key` is an id or a name.
pub async fn find(conn: &mut Conn, key: &str) -> Result<Team> {
    found(find_opt(conn, key).await?, key)
}

/// `key` is an id or a name.
pub async fn find_opt(conn: &mut Conn, key: &str) -> Result<Option<Team>> {
    fetch_opt(conn, query(select!("WHERE id = $1 OR name = $1")).bind(key)).await
}

/// By name. With a person, only the teams they are in.
pub async fn list(conn: &mut Conn, of: Option<&Id>) -> Result<Vec<Team>> {
    let query = query(select!(
        "WHERE $1 = '' OR id IN (SELECT team_id FROM memberships WHERE user_id = $1) ORDER BY name LIMIT 1000"
    ))
    .bind(id_text(of).unwrap_or_default());
    fetch_all(conn, query).await
}

/// Removes it with its memberships and invitations. The caller sees to its projects.
pub async fn delete(conn: &mut Conn, id: &Id) -> Result<()> {
    let query = query("DELETE FROM teams WHERE id = $1").bind(id.as_str());
    hit(execute(conn, query).await?, Team::WHAT, id)
}
