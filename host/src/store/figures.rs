//! What the overview counts in `deployments`. Each query reads a part of an index that time bounds.

use super::{
    Conn,
    faults::fault,
    rows::{Row, query},
};
use crate::{
    domain::{UnixMs, access::Reach, deployment::DeploymentStatus, overview::DayCount},
    error::Result,
};

/// Durations that a median is taken of: the newest ones.
const MEASURED: i64 = 1000;

/// Deployments that ended since then, by day and status.
pub async fn ended_by_day(conn: &mut Conn, since: UnixMs, reach: &Reach) -> Result<Vec<DayCount>> {
    let rows = query(
        "SELECT completed_at / 86400000 AS day, status, COUNT(*) AS n FROM deployments \
         WHERE completed_at IS NOT NULL AND completed_at >= $1 \
         AND ($2 = '' OR EXISTS (SELECT 1 FROM token_projects v \
         WHERE v.token_id = $2 AND v.project_id = deployments.project_id)) \
         GROUP BY completed_at / 86400000, status",
    )
    .bind(since)
    .bind(reach.as_str().to_owned())
    .fetch_all(conn)
    .await
    .map_err(fault)?;
    rows.iter()
        .map(|row| {
            let row = Row(row);
            Ok(DayCount {
                day: row.int("day")?,
                status: row.word("status", DeploymentStatus::parse)?,
                count: row.int("n")?,
            })
        })
        .collect()
}

/// How long the newest successful deployments since then took from their cause until they were in service, in ms.
pub async fn lead_times(conn: &mut Conn, since: UnixMs, reach: &Reach) -> Result<Vec<i64>> {
    let rows = query(
        "SELECT completed_at - started_at AS took FROM deployments \
         WHERE completed_at IS NOT NULL AND completed_at >= $1 AND status = 'successful' \
         AND ($2 = '' OR EXISTS (SELECT 1 FROM token_projects v \
         WHERE v.token_id = $2 AND v.project_id = deployments.project_id)) \
         ORDER BY completed_at DESC LIMIT $3",
    )
    .bind(since)
    .bind(reach.as_str().to_owned())
    .bind(MEASURED)
    .fetch_all(conn)
    .await
    .map_err(fault)?;
    rows.iter().map(|row| Row(row).int("took")).collect()
}

/// How long stacks took from a deployment that went wrong until the next successful one, in ms. Of several failures in a
/// row only the first counts: with it the time began.
pub async fn restore_times(conn: &mut Conn, since: UnixMs, reach: &Reach) -> Result<Vec<i64>> {
    let rows = query(
        "SELECT (SELECT g.completed_at FROM deployments g WHERE g.stack_id = f.stack_id \
         AND g.status = 'successful' AND g.seq > f.seq ORDER BY g.seq LIMIT 1) - f.completed_at AS took \
         FROM deployments f WHERE f.status IN ('failed', 'rolled_back') AND f.completed_at >= $1 \
         AND COALESCE((SELECT p.status FROM deployments p WHERE p.stack_id = f.stack_id AND p.seq < f.seq \
         AND p.status IN ('successful', 'failed', 'rolled_back') ORDER BY p.seq DESC LIMIT 1), 'successful') \
         = 'successful' AND ($2 = '' OR EXISTS (SELECT 1 FROM token_projects v \
         WHERE v.token_id = $2 AND v.project_id = f.project_id)) ORDER BY f.completed_at DESC LIMIT $3",
    )
    .bind(since)
    .bind(reach.as_str().to_owned())
    .bind(MEASURED)
    .fetch_all(conn)
    .await
    .map_err(fault)?;
    let took: Result<Vec<Option<i64>>> = rows.iter().map(|row| Row(row).int_opt("took")).collect();
    // What is not restored yet has taken no time that could be told.
    Ok(took?.into_iter().flatten().collect())
}

/// A stack whose last word was a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Troubled {
    pub stack: String,
    /// Of the deployment that went wrong.
    pub deployment: i64,
    pub status: DeploymentStatus,
    pub at: UnixMs,
}

/// Stacks whose newest deployment went wrong since then, the newest failure first.
pub async fn troubled(conn: &mut Conn, since: UnixMs, reach: &Reach) -> Result<Vec<Troubled>> {
    let rows = query(
        "SELECT s.name, f.seq, f.status, f.completed_at FROM deployments f JOIN stacks s ON s.id = f.stack_id \
         WHERE f.status IN ('failed', 'rolled_back') AND f.completed_at >= $1 \
         AND f.seq = (SELECT MAX(d.seq) FROM deployments d WHERE d.stack_id = f.stack_id) \
         AND ($2 = '' OR EXISTS (SELECT 1 FROM token_projects v \
         WHERE v.token_id = $2 AND v.project_id = f.project_id)) ORDER BY f.completed_at DESC LIMIT 50",
    )
    .bind(since)
    .bind(reach.as_str().to_owned())
    .fetch_all(conn)
    .await
    .map_err(fault)?;
    rows.iter()
        .map(|row| {
            let row = Row(row);
            Ok(Troubled {
                stack: row.text("name")?,
                deployment: row.int("seq")?,
                status: row.word("status", DeploymentStatus::parse)?,
                at: row.int("completed_at")?,
            })
        })
        .collect()
}
