//! Before a rollout: waits until the stack's protection lets it begin.

use super::BUSY;
use crate::app::App;
use crate::app::deployment::deployment_view;
use crate::app::forge::announce;
use crate::app::gate::{Gate, gate_look, gate_tell};
use crate::app::logs::LogWriter;
use crate::domain::approval::ApprovalState;
use crate::domain::deployment::{Deployment, DeploymentStatus};
use crate::error::Result;
use crate::queue::{CancelReason, TaskContext};
use crate::store::{self, approvals, deployments};

/// How the waiting ended.
pub(super) enum Passed {
    Through,
    /// The server stops; to be waited for again.
    Interrupted,
    /// The deployment has ended.
    Ended,
}

/// Waits for the time, for people, and for the end of a freeze.
pub(super) async fn pass(
    app: &App,
    task: &TaskContext,
    deployment: &Deployment,
    log: &LogWriter,
) -> Result<Passed> {
    let mut aside = None;
    let mut wishes = app.db.subscribe_wishes();
    loop {
        wishes.mark_unchanged();
        let lost = matches!(task.cancel_reason(), Some(CancelReason::Shutdown | CancelReason::LeaseLost));
        if lost || task.stopping.is_cancelled() {
            return Ok(Passed::Interrupted);
        }
        let row = deployment_view(app, deployment.id.as_str()).await?;
        if row.status.is_terminal() {
            return Ok(Passed::Ended);
        }
        if row.rollout.abort_requested {
            return close(app, &row, "cancelled on request", log).await;
        }
        let obstacle = match gate_look(app, &row).await? {
            Gate::Open => return Ok(Passed::Through),
            Gate::Refused(why) => return close(app, &row, &why, log).await,
            Gate::Shut(obstacle) => obstacle,
        };
        if gate_tell(app, &row, &obstacle).await? {
            log.line(&format!("Waiting: {obstacle}"));
        }
        if aside.is_none() {
            aside = Some(task.step_aside());
        }
        tokio::select! {
            () = tokio::time::sleep(BUSY * 5) => {}
            _ = wishes.changed() => {}
            () = task.stopping.cancelled() => {}
            () = task.cancel.cancelled() => {}
        }
    }
}

async fn close(app: &App, row: &Deployment, why: &str, log: &LogWriter) -> Result<Passed> {
    log.line(&format!("Deployment {} ends before its rollout: {why}", row.seq));
    let (row, why) = (row.clone(), why.to_owned());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let (next, now) = (DeploymentStatus::Cancelled, store::now());
                let withdrawn = ApprovalState::Withdrawn;
                approvals::close_open(tx, &row.id, withdrawn, now).await?;
                deployments::transition(tx, &row.id, row.status, next, Some(&why), now).await?;
                announce(tx, &row, next).await
            })
        })
        .await?;
    Ok(Passed::Ended)
}
