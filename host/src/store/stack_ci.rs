//! Table `stack_ci`: stacks that are deployed by a provider.

use super::{
    Conn,
    rows::{Entity, Row, execute, fetch_opt, hit, id_text, json, plain, query},
};
use crate::{
    domain::{Id, cicd::StackCi},
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT stack_id, provider_id, job_id, settings, created_at, updated_at FROM stack_ci ",
            $tail
        )
    };
}

impl Entity for StackCi {
    const WHAT: &'static str = "provider of the stack";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            stack_id: row.id("stack_id")?,
            provider_id: row.id("provider_id")?,
            job_id: row.id_opt("job_id")?,
            settings: row.json("settings")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

pub async fn find_opt(conn: &mut Conn, stack: &Id) -> Result<Option<StackCi>> {
    fetch_opt(conn, query(select!("WHERE stack_id = $1")).bind(stack.as_str())).await
}

/// One of the stacks that are deployed by a provider.
pub async fn by_provider(conn: &mut Conn, provider: &Id) -> Result<Option<StackCi>> {
    fetch_opt(conn, query(select!("WHERE provider_id = $1 LIMIT 1")).bind(provider.as_str())).await
}

/// One of the stacks that are deployed by a job.
pub async fn by_job(conn: &mut Conn, job: &Id) -> Result<Option<StackCi>> {
    fetch_opt(conn, query(select!("WHERE job_id = $1 LIMIT 1")).bind(job.as_str())).await
}

/// Names of a stack and of the provider that deploys it, where those are of different teams: of the stack, the project or
/// the provider with this id.
pub async fn between_teams(conn: &mut Conn, changed: &Id) -> Result<Option<(String, String)>> {
    let query = query(
        "SELECT s.name AS stack, p.name AS provider FROM stack_ci c JOIN stacks s ON s.id = c.stack_id \
         JOIN projects j ON j.id = s.project_id JOIN cicd_providers p ON p.id = c.provider_id \
         WHERE p.team_id <> j.team_id AND $1 IN (s.id, j.id, p.id) ORDER BY s.name LIMIT 1",
    )
    .bind(changed.as_str());
    Ok(fetch_opt::<BetweenTeams>(conn, query).await?.map(|row| (row.stack, row.provider)))
}

struct BetweenTeams {
    stack: String,
    provider: String,
}

impl Entity for BetweenTeams {
    const WHAT: &'static str = "provider of the stack";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { stack: row.text("stack")?, provider: row.text("provider")? })
    }
}

/// Sets how a stack is deployed, or changes it.
pub async fn put(conn: &mut Conn, row: &StackCi) -> Result<()> {
    let statement = query(
        "INSERT INTO stack_ci (stack_id, provider_id, job_id, settings, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (stack_id) DO UPDATE SET provider_id = excluded.provider_id, \
         job_id = excluded.job_id, settings = excluded.settings, updated_at = excluded.updated_at",
    )
    .bind(row.stack_id.as_str())
    .bind(row.provider_id.as_str())
    .bind(id_text(row.job_id.as_ref()))
    .bind(plain(&json(&row.settings)?))
    .bind(row.created_at)
    .bind(row.updated_at);
    execute(conn, statement).await.map(|_| ())
}

pub async fn delete(conn: &mut Conn, stack: &Id) -> Result<()> {
    let statement = query("DELETE FROM stack_ci WHERE stack_id = $1").bind(stack.as_str());
    hit(execute(conn, statement).await?, StackCi::WHAT, stack)
}
