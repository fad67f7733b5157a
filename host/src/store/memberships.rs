//! Table `memberships`.

use super::{
    Conn,
    rows::{Entity, Row, execute, fetch_all, id_text, query},
};
use crate::{
    domain::{
        Id,
        access::{Grant, Role},
        people::Membership,
    },
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT m.id, m.user_id, u.name AS user_name, m.team_id, m.project_id, m.role, m.created_at \
             FROM memberships m JOIN users u ON u.id = m.user_id ",
            $tail
        )
    };
}

impl Entity for Membership {
    const WHAT: &'static str = "membership";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            user_id: row.id("user_id")?,
            user_name: row.text("user_name")?,
            grant: Grant {
                team: row.id("team_id")?,
                project: row.id_opt("project_id")?,
                role: row.word("role", Role::parse)?,
            },
            created_at: row.int("created_at")?,
        })
    }
}

/// Gives a person a role; one they had in the same place is replaced.
pub async fn put(conn: &mut Conn, new: &Membership) -> Result<()> {
    remove(conn, &new.user_id, &new.grant.team, new.grant.project.as_ref()).await?;
    let query = query(
        "INSERT INTO memberships (id, user_id, team_id, project_id, role, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(new.id.as_str())
    .bind(new.user_id.as_str())
    .bind(new.grant.team.as_str())
    .bind(id_text(new.grant.project.as_ref()))
    .bind(new.grant.role.as_str())
    .bind(new.created_at);
    execute(conn, query).await.map(|_| ())
}

/// False if the person had no role there.
pub async fn remove(conn: &mut Conn, user: &Id, team: &Id, project: Option<&Id>) -> Result<bool> {
    let query = query(
        "DELETE FROM memberships WHERE user_id = $1 AND team_id = $2 AND COALESCE(project_id, '') = $3",
    )
    .bind(user.as_str())
    .bind(team.as_str())
    .bind(id_text(project).unwrap_or_default());
    Ok(execute(conn, query).await? > 0)
}

/// Roles in one project end when another team gets it.
pub async fn remove_of_project(conn: &mut Conn, project: &Id) -> Result<u64> {
    execute(conn, query("DELETE FROM memberships WHERE project_id = $1").bind(project.as_str())).await
}

/// What a person was given.
pub async fn of_user(conn: &mut Conn, user: &Id) -> Result<Vec<Membership>> {
    fetch_all(conn, query(select!("WHERE m.user_id = $1 ORDER BY m.team_id")).bind(user.as_str())).await
}

/// Who is in a team.
pub async fn of_team(conn: &mut Conn, team: &Id) -> Result<Vec<Membership>> {
    fetch_all(conn, query(select!("WHERE m.team_id = $1 ORDER BY m.user_id LIMIT 1000")).bind(team.as_str()))
        .await
}
