//! The end of a rollout: recorded in one transaction, then cleaned up after.

use super::people::withdraw;
use super::{Rollout, status_of, sweep};
use crate::app::App;
use crate::app::forge::announce;
use crate::app::{crash, traffic};
use crate::domain::Id;
use crate::domain::deployment::{Deployment, DeploymentStatus};
use crate::domain::release::ReleaseState;
use crate::domain::rollout::Outcome;
use crate::error::Result;
use crate::store::{self, deployments, releases, stacks};

impl Rollout<'_> {
    pub(super) async fn finish(&mut self, outcome: Outcome) -> Result<()> {
        let (status, error) = status_of(&outcome, self.deployment.rollout.abort_requested);
        self.record(status, error.as_deref()).await?;
        let words = error.map_or(String::new(), |error| format!(": {error}"));
        self.log.line(&format!(
            "Deployment {} is {}{words}",
            self.deployment.seq,
            status.as_str().replace('_', " ")
        ));
        tracing::info!(
            deployment = self.deployment.seq,
            stack = %self.view.stack.name,
            status = status.as_str(),
            "[@deploy:rollout] the rollout ended"
        );
        clean_up(self.app, &self.deployment.stack_id).await
    }

    /// The engine or the router is away, so nothing can be cleaned up now; the sweep at the next start does it.
    pub(super) async fn give_up(&mut self, reason: &str) -> Result<()> {
        self.record(DeploymentStatus::Failed, Some(reason)).await?;
        traffic::trust_all(self.app, &self.deployment.stack_id).await;
        Ok(())
    }

    async fn record(&mut self, status: DeploymentStatus, error: Option<&str>) -> Result<()> {
        let now = store::now();
        let mut row = self.deployment.clone();
        row.rollout.progress = 100;
        let (target, stack_id) = (self.target.id.clone(), self.view.stack.id.clone());
        let (fence, error) = (self.task.fence(), error.map(str::to_string));
        crash::point("rollout: before its end is recorded");
        self.app
            .db
            .write(move |tx| {
                Box::pin(async move {
                    deployments::save_rollout(tx, &row, fence).await?;
                    withdraw(tx, &row.id, now).await?;
                    deployments::transition(tx, &row.id, row.status, status, error.as_deref(), now).await?;
                    if status == DeploymentStatus::Successful {
                        releases::set_state(tx, &target, ReleaseState::Good).await?;
                        stacks::set_active_release(tx, &stack_id, Some(&target), now).await?;
                        mark_rolled_back(tx, &row, now).await?;
                    } else {
                        let failed = releases::find(tx, target.as_str()).await?;
                        if failed.state == ReleaseState::Candidate {
                            releases::set_state(tx, &target, ReleaseState::Bad).await?;
                        }
                    }
                    announce(tx, &row, status).await
                })
            })
            .await?;
        crash::point("rollout: after its end is recorded");
        self.deployment.status = status;
        Ok(())
    }
}

/// What is left to do once a rollout is over; may be done again.
pub(super) async fn clean_up(app: &App, stack: &Id) -> Result<()> {
    traffic::trust_all(app, stack).await;
    sweep::sweep_stack(app, stack).await
}

/// A manual rollback that succeeded marks the deployment it went back behind.
async fn mark_rolled_back(tx: &mut store::Tx, row: &Deployment, now: i64) -> Result<()> {
    let Some(id) = &row.previous_deployment_id else { return Ok(()) };
    let previous = deployments::find(tx, id.as_str()).await?;
    if previous.status == DeploymentStatus::Successful {
        let next = DeploymentStatus::RolledBack;
        deployments::transition(tx, id, previous.status, next, None, now).await?;
        announce(tx, &previous, next).await?;
    }
    Ok(())
}

/// Ends a deployment whose rollout was cancelled before it began.
pub async fn end_before_start(app: &App, deployment: &Deployment) -> Result<()> {
    let row = deployment.clone();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let next = DeploymentStatus::Cancelled;
                deployments::transition(
                    tx,
                    &row.id,
                    row.status,
                    next,
                    Some("cancelled on request"),
                    store::now(),
                )
                .await?;
                announce(tx, &row, next).await
            })
        })
        .await
}
