//! Nothing sticks: a deployment or build that has not ended and that no task works on gets a task again.

use super::App;
use super::cicd;
use super::deployment::{enqueue_build, enqueue_rollout};
use crate::domain::Id;
use crate::domain::build::BuildStatus;
use crate::domain::deployment::DeploymentStatus;
use crate::domain::task::TaskStatus;
use crate::error::Result;
use crate::store::{Conn, builds, ci_builds, deployment_cicd_mappings as mappings, deployments, tasks};

/// Finds what was abandoned and enqueues it. Unique keys make a second look harmless.
pub async fn recover(app: &App) -> Result<()> {
    let mut conn = app.db.read().await?;
    let mut orphaned_builds = Vec::new();
    for build in builds::list_nonterminal(&mut conn).await? {
        if !is_worked_on(&mut conn, &build.id).await? {
            orphaned_builds.push(build);
        }
    }
    let mut unfollowed = Vec::new();
    for build in ci_builds::list_open(&mut conn).await? {
        if !is_worked_on(&mut conn, &build.id).await? {
            unfollowed.push(build);
        }
    }
    let mut orphaned = Vec::new();
    for row in deployments::list_nonterminal(&mut conn).await? {
        let waits_for_build = match &row.build_id {
            Some(id) => builds::find(&mut conn, id.as_str()).await?.status != BuildStatus::Success,
            None => false,
        };
        let rolls = row.status == DeploymentStatus::Deploying || !waits_for_build;
        // A provider carries it out, so its build is what is worked on.
        let is_carried = mappings::has(&mut conn, &row.id).await?;
        if rolls && !is_carried && !is_worked_on(&mut conn, &row.id).await? {
            orphaned.push(row);
        }
    }
    drop(conn);
    for build in orphaned_builds {
        tracing::warn!(
            build = build.seq,
            "[@queue:recover] nobody works on this build; it is enqueued again"
        );
        app.db.write(move |tx| Box::pin(async move { enqueue_build(tx, &build).await })).await?;
    }
    for build in unfollowed {
        tracing::warn!(
            build = build.seq,
            "[@queue:recover] nobody follows this build at a provider; it is enqueued again"
        );
        app.db.write(move |tx| Box::pin(async move { cicd::build::enqueue(tx, &build.id).await })).await?;
    }
    for row in orphaned {
        tracing::warn!(
            deployment = row.seq,
            "[@queue:recover] nobody works on this deployment; it is enqueued again"
        );
        app.db.write(move |tx| Box::pin(async move { enqueue_rollout(tx, &row).await })).await?;
    }
    Ok(())
}

async fn is_worked_on(conn: &mut Conn, subject: &Id) -> Result<bool> {
    let rows = tasks::list_by_subject(conn, subject).await?;
    Ok(rows.iter().any(|row| matches!(row.status, TaskStatus::Queued | TaskStatus::Running)))
}
