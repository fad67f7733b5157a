//! Table `deployments`: what the forge was shown of each.

use super::{
    Conn,
    faults::fault,
    rows::{Entity, Row, execute, hit, plain_opt, query},
};
use crate::{
    domain::{
        Id,
        deployment::{Deployment, DeploymentStatus},
        forge::PlacementState,
    },
    error::Result,
};

/// Remembers the state that the forge was shown beside the commit.
pub async fn set_told(conn: &mut Conn, id: &Id, status: DeploymentStatus) -> Result<()> {
    let query =
        query("UPDATE deployments SET told = $1 WHERE id = $2").bind(status.as_str()).bind(id.as_str());
    hit(execute(conn, query).await?, Deployment::WHAT, id)
}

/// The state that the forge was shown last beside the commit.
pub async fn told(conn: &mut Conn, id: &Id) -> Result<Option<DeploymentStatus>> {
    let query = query("SELECT told FROM deployments WHERE id = $1").bind(id.as_str());
    let row = query.fetch_optional(conn).await.map_err(fault)?;
    let word = row.map_or(Ok(None), |row| Row(&row).text_opt("told"))?;
    Ok(word.as_deref().and_then(DeploymentStatus::parse))
}

/// Remembers a deployment as the forge has it: its id there, and its state. Without an id it is there no more.
pub async fn set_placed(
    conn: &mut Conn,
    id: &Id,
    forge_id: Option<&str>,
    state: PlacementState,
) -> Result<()> {
    let state = forge_id.map_or(PlacementState::Inactive, |_| state);
    let query = query("UPDATE deployments SET forge_id = $1, forge_state = $2 WHERE id = $3")
        .bind(plain_opt(forge_id))
        .bind(state.as_str())
        .bind(id.as_str());
    hit(execute(conn, query).await?, Deployment::WHAT, id)
}

/// The forge's id of a deployment and the state that it was shown last, if it was shown.
pub async fn placed(conn: &mut Conn, id: &Id) -> Result<(Option<String>, Option<PlacementState>)> {
    let query = query("SELECT forge_id, forge_state FROM deployments WHERE id = $1").bind(id.as_str());
    let Some(row) = query.fetch_optional(conn).await.map_err(fault)? else { return Ok((None, None)) };
    let state = Row(&row).text_opt("forge_state")?;
    Ok((Row(&row).text_opt("forge_id")?, state.as_deref().and_then(PlacementState::parse)))
}

/// Forgets what a forge was shown of a repository's deployments: it is at another one from now on, which knows nothing of them.
pub async fn forget(conn: &mut Conn, repository: &Id) -> Result<()> {
    let query = query(
        "UPDATE deployments SET told = NULL, forge_id = NULL, forge_state = NULL WHERE repository_id = $1",
    )
    .bind(repository.as_str());
    execute(conn, query).await.map(|_| ())
}
