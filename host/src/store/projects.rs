//! Table `projects`.

use super::{
    Conn, counters,
    faults::{fault, on_unique},
    rows::{Entity, Row, as_seq, below, execute, fetch_opt, fetch_page, found, hit, over, query},
};
use crate::{
    domain::{
        Id, UnixMs,
        access::Reach,
        page::{Page, PageRequest},
        project::Project,
    },
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT id, seq, name, team_id, created_at, updated_at FROM projects ", $tail)
    };
}

impl Entity for Project {
    const WHAT: &'static str = "project";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            name: row.text("name")?,
            team_id: row.id("team_id")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

/// Stores it under the next number, whatever its `seq` says. `Conflict` if the name is taken.
pub async fn insert(conn: &mut Conn, mut project: Project) -> Result<Project> {
    project.seq = counters::take(conn, "projects", 1).await?;
    let done =
        query("INSERT INTO projects (id, seq, name, created_at, updated_at, team_id) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(project.id.as_str())
            .bind(project.seq)
            .bind(project.name.as_str())
            .bind(project.created_at)
            .bind(project.updated_at)
            .bind(project.team_id.as_str())
            .execute(conn)
            .await;
    on_unique(done, || format!("a project named `{}` already exists", project.name))?;
    Ok(project)
}

/// `key` is an id, a number or a name.
pub async fn find(conn: &mut Conn, key: &str) -> Result<Project> {
    found(find_opt(conn, key).await?, key)
}

/// `key` is an id, a number or a name.
pub async fn find_opt(conn: &mut Conn, key: &str) -> Result<Option<Project>> {
    if let Some(seq) = as_seq(key)
        && let Some(project) = fetch_opt(conn, query(select!("WHERE seq = $1")).bind(seq)).await?
    {
        return Ok(Some(project));
    }
    fetch_opt(conn, query(select!("WHERE id = $1 OR name = $1")).bind(key)).await
}

pub async fn by_name(conn: &mut Conn, name: &str) -> Result<Option<Project>> {
    fetch_opt(conn, query(select!("WHERE name = $1")).bind(name)).await
}

/// Newest first.
pub async fn list(conn: &mut Conn, page: PageRequest, reach: &Reach) -> Result<Page<Project>> {
    let query = query(select!(
        "WHERE seq < $1 AND ($3 = '' OR EXISTS (SELECT 1 FROM token_projects v \
         WHERE v.token_id = $3 AND v.project_id = projects.id)) ORDER BY seq DESC LIMIT $2"
    ))
    .bind(below(page))
    .bind(over(page))
    .bind(reach.as_str().to_owned());
    fetch_page(conn, page, query, |project: &Project| project.seq).await
}

/// Gives the project, with all that belongs to it, to another team.
pub async fn set_team(conn: &mut Conn, id: &Id, team: &Id, now: UnixMs) -> Result<()> {
    let query = query("UPDATE projects SET team_id = $1, updated_at = $2 WHERE id = $3")
        .bind(team.as_str())
        .bind(now)
        .bind(id.as_str());
    hit(execute(conn, query).await?, Project::WHAT, id)
}

pub async fn count_by_team(conn: &mut Conn, team: &Id) -> Result<i64> {
    let row = query("SELECT COUNT(*) AS n FROM projects WHERE team_id = $1").bind(team.as_str());
    Row(&row.fetch_one(conn).await.map_err(fault)?).int("n")
}
