//! Table `deployment_cicd_mappings`: which deployment waits for which job.

use serde_json::{Map, Value};

use super::{
    Conn,
    faults::{fault, on_unique},
    rows::{Entity, Row, execute, fetch_opt, json, plain_opt, query},
};
use crate::{
    domain::{Id, UnixMs, cicd::Mapping},
    error::{Error, Result},
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, deployment_id, cicd_job_id, parameters, build_number, build_url, created_at, updated_at \
             FROM deployment_cicd_mappings ",
            $tail
        )
    };
}

impl Entity for Mapping {
    const WHAT: &'static str = "mapping";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        let parameters = row.text_opt("parameters")?;
        Ok(Self {
            id: row.id("id")?,
            deployment_id: row.id("deployment_id")?,
            cicd_job_id: row.id("cicd_job_id")?,
            parameters: parameters.map_or_else(
                || Ok(Map::<String, Value>::new()),
                |text| serde_json::from_str(&text).map_err(Error::internal),
            )?,
            build_number: row.text_opt("build_number")?,
            build_url: row.text_opt("build_url")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

pub async fn insert(conn: &mut Conn, mapping: &Mapping) -> Result<()> {
    let done = query(
        "INSERT INTO deployment_cicd_mappings (id, deployment_id, cicd_job_id, parameters, build_number, build_url, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(mapping.id.as_str())
    .bind(mapping.deployment_id.as_str())
    .bind(mapping.cicd_job_id.as_str())
    .bind(json(&mapping.parameters)?)
    .bind(plain_opt(mapping.build_number.as_deref()))
    .bind(plain_opt(mapping.build_url.as_deref()))
    .bind(mapping.created_at)
    .bind(mapping.updated_at)
    .execute(conn)
    .await;
    on_unique(done, || format!("the mapping {} already exists", mapping.id)).map(|_| ())
}

/// Seed 0, `getCICDDeploymentMapping({ where: { deployment_id } })`; a deployment waits for one job.
pub async fn by_deployment(conn: &mut Conn, deployment: &Id) -> Result<Option<Mapping>> {
    let query = query(select!("WHERE deployment_id = $1 LIMIT 1")).bind(deployment.as_str());
    fetch_opt(conn, query).await
}

/// Whether a deployment waits for a job.
pub async fn has(conn: &mut Conn, deployment: &Id) -> Result<bool> {
    let query = query("SELECT 1 FROM deployment_cicd_mappings WHERE deployment_id = $1 LIMIT 1");
    Ok(query.bind(deployment.as_str()).fetch_optional(conn).await.map_err(fault)?.is_some())
}

/// The deployment waits for another job from now on, which has no build yet.
pub async fn set_job(conn: &mut Conn, deployment: &Id, job: &Id, now: UnixMs) -> Result<()> {
    let statement = query(
        "UPDATE deployment_cicd_mappings SET cicd_job_id = $1, build_number = NULL, build_url = NULL, updated_at = $2 \
         WHERE deployment_id = $3",
    )
    .bind(job.as_str())
    .bind(now)
    .bind(deployment.as_str());
    execute(conn, statement).await.map(|_| ())
}

/// The latest build of a deployment; what is empty is left as it is.
pub async fn set_build(
    conn: &mut Conn,
    deployment: &Id,
    number: &str,
    url: Option<&str>,
    now: UnixMs,
) -> Result<()> {
    let statement = query(
        "UPDATE deployment_cicd_mappings SET build_number = CASE WHEN $1 = '' THEN build_number ELSE $1 END, \
         build_url = COALESCE($2, build_url), updated_at = $3 WHERE deployment_id = $4",
    )
    .bind(number.replace('\0', "\u{fffd}"))
    .bind(plain_opt(url))
    .bind(now)
    .bind(deployment.as_str());
    execute(conn, statement).await.map(|_| ())
}
