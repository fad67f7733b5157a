//! Table `invitations`.

use super::{
    Conn,
    rows::{Entity, Row, execute, fetch_all, fetch_opt, id_text, query},
};
use crate::{
    domain::{Id, UnixMs, access::Role, people::Invitation},
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, team_id, project_id, role, user_name, hash, created_by, created_at, expires_at, used_at \
             FROM invitations ",
            $tail
        )
    };
}

impl Entity for Invitation {
    const WHAT: &'static str = "invitation";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            team_id: row.id("team_id")?,
            project_id: row.id_opt("project_id")?,
            role: row.word("role", Role::parse)?,
            user_name: row.text("user_name")?,
            hash: row.text("hash")?,
            created_by: row.text("created_by")?,
            created_at: row.int("created_at")?,
            expires_at: row.int("expires_at")?,
            used_at: row.int_opt("used_at")?,
        })
    }
}

pub async fn insert(conn: &mut Conn, new: &Invitation) -> Result<()> {
    let query = query(
        "INSERT INTO invitations (id, team_id, project_id, role, user_name, hash, created_by, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(new.id.as_str())
    .bind(new.team_id.as_str())
    .bind(id_text(new.project_id.as_ref()))
    .bind(new.role.as_str())
    .bind(new.user_name.as_str())
    .bind(new.hash.as_str())
    .bind(new.created_by.as_str())
    .bind(new.created_at)
    .bind(new.expires_at);
    execute(conn, query).await.map(|_| ())
}

pub async fn by_hash(conn: &mut Conn, hash: &str) -> Result<Option<Invitation>> {
    fetch_opt(conn, query(select!("WHERE hash = $1")).bind(hash.to_owned())).await
}

/// Of a team, newest first.
pub async fn of_team(conn: &mut Conn, team: &Id) -> Result<Vec<Invitation>> {
    fetch_all(conn, query(select!("WHERE team_id = $1 ORDER BY id DESC LIMIT 200")).bind(team.as_str())).await
}

/// Uses it up; false if somebody was faster or it has ended.
pub async fn take(conn: &mut Conn, id: &Id, now: UnixMs) -> Result<bool> {
    let query =
        query("UPDATE invitations SET used_at = $1 WHERE id = $2 AND used_at IS NULL AND expires_at > $1")
            .bind(now)
            .bind(id.as_str());
    Ok(execute(conn, query).await? > 0)
}

/// Takes it back; false if the team has no such one.
pub async fn delete(conn: &mut Conn, team: &Id, id: &str) -> Result<bool> {
    let query = query("DELETE FROM invitations WHERE team_id = $1 AND id = $2")
        .bind(team.as_str())
        .bind(id.to_owned());
    Ok(execute(conn, query).await? > 0)
}
