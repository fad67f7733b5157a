//! How a rollout begins, once: what it goes to, what it goes back to, and how long it may take.

use super::GRACE_MS;
use crate::app::forge::announce;
use crate::app::logs::LogWriter;
use crate::app::stack::{StackView, stack_facts, strategy_name};
use crate::app::{App, crash, traffic};
use crate::domain::deployment::{Deployment, DeploymentStatus};
use crate::domain::release::Release;
use crate::error::{Error, Result};
use crate::queue::TaskContext;
use crate::store::{self, deployments, releases};

pub(super) async fn releases_of(app: &App, deployment: &Deployment) -> Result<(Release, Option<Release>)> {
    let target = deployment
        .release_id
        .as_ref()
        .ok_or_else(|| Error::internal(format!("deployment {} has no release", deployment.seq)))?;
    let mut conn = app.db.read().await?;
    let target = releases::find(&mut conn, target.as_str()).await?;
    let stable = match &deployment.stable_release_id {
        Some(id) => Some(releases::find(&mut conn, id.as_str()).await?),
        None => None,
    };
    Ok((target, stable))
}

/// Marks the rollout as started, once; what serves at that moment is what a failure goes back to.
pub(super) async fn begin(
    app: &App,
    task: &TaskContext,
    view: &StackView,
    mut deployment: Deployment,
    log: &LogWriter,
) -> Result<Deployment> {
    if deployment.rollout.rollout_started_at.is_some() {
        log.line("The server was interrupted; the rollout goes on where it stopped.");
        return Ok(deployment);
    }
    let now = store::now();
    let name = strategy_name(app, &view.stack).to_string();
    let health_ms = i64::from(view.build.settings.health_timeout_secs()) * 1000;
    let rollout = &mut deployment.rollout;
    let routed = traffic::routed(app, &view.stack);
    let facts = stack_facts(&view.stack.name, &view.stack.run, &view.build.settings, routed);
    let params = rollout.strategy_params.to_string();
    // A strategy that cannot even say that is going to fail at its first step, with its reason.
    let waits = app.plugins.strategy_longest_wait(&name, &params, &facts).await.unwrap_or_default();
    rollout.strategy_digest = app.plugins.digest(&name).unwrap_or_default();
    rollout.strategy = name;
    rollout.rollout_started_at = Some(now);
    rollout.step_started_at = Some(now);
    rollout.deadline_at = Some(now + 3 * health_ms + GRACE_MS + waits);
    rollout.label = "Starting".into();
    deployment.stable_release_id = view.stack.active_release_id.clone();
    log.line(&format!("Rolling out {} with strategy {}", deployment.image_tag, deployment.rollout.strategy));
    crash::point("rollout: before it is marked as started");
    let (row, fence) = (deployment.clone(), task.fence());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                deployments::save_rollout(tx, &row, fence).await?;
                if row.status == DeploymentStatus::Pending {
                    let next = DeploymentStatus::Deploying;
                    deployments::transition(tx, &row.id, row.status, next, None, now).await?;
                    announce(tx, &row, next).await?;
                }
                Ok(())
            })
        })
        .await?;
    crash::point("rollout: after it is marked as started");
    deployment.status = DeploymentStatus::Deploying;
    Ok(deployment)
}
