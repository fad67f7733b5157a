//! What is learned of a build, written down: the job's status first, then build and mapping, then the deployment, in one
//! transaction. Late and repeated news change nothing.

use serde_json::{Value, json};

use super::successor;
use crate::app::forge::announce;
use crate::domain::Id;
use crate::domain::approval::ApprovalState;
use crate::domain::ci::{CiBuild, CiStatus};
use crate::domain::cicd::{CicdBuild, Start, deployment_status};
use crate::domain::deployment::{Deployment, DeploymentStatus};
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::page::PageRequest;
use crate::error::Result;
use crate::store::{
    self, Tx, approvals, ci_builds, cicd_jobs, deployment_cicd_mappings as mappings, deployments, events,
};

/// What the provider said.
pub(super) async fn learn(tx: &mut Tx, id: &Id, said: &CiBuild) -> Result<CicdBuild> {
    let before = ci_builds::hold(tx, id).await?;
    let mut build = before.clone();
    build.learn(said);
    let is_expired =
        store::now() >= build.deadline_at && !build.cancel_requested && !before.status.is_final();
    if build.status == CiStatus::Cancelled && !before.status.is_final() && build.failover.is_some() {
        build.error.clone_from(&build.failover);
    }
    if build.status == CiStatus::Cancelled && is_expired {
        build.error = Some(format!("it did not end within {} s and was stopped", build.timeout_secs));
    }
    (build.trouble, build.trouble_since) = (None, None);
    write(tx, before, build).await
}

/// The host's own verdict about a build that the provider says nothing final of: how it ended, or that it is not known how.
pub(super) async fn end(tx: &mut Tx, id: &Id, status: CiStatus, why: &str) -> Result<CicdBuild> {
    let before = ci_builds::hold(tx, id).await?;
    if before.status.is_final() {
        return Ok(before);
    }
    let mut build = before.clone();
    let now = store::now();
    let why = match &build.failover {
        Some(reason) if status == CiStatus::Cancelled => reason.clone(),
        _ => why.to_owned(),
    };
    (build.status, build.error) = (status, Some(why));
    (build.finished_at, build.settled_at) = (status.is_final().then_some(now), Some(now));
    write(tx, before, build).await
}

async fn write(tx: &mut Tx, before: CicdBuild, mut build: CicdBuild) -> Result<CicdBuild> {
    if build == before {
        return Ok(build);
    }
    let now = store::now();
    build.updated_at = now;
    let newest = ci_builds::list_by_job(tx, &build.job_id, PageRequest::first(1)).await?;
    if newest.items.first().is_none_or(|newest| newest.id == build.id) {
        cicd_jobs::set_status(tx, &build.job_id, build.status, &build.number, now).await?;
    }
    let deployment = match &build.deployment_id {
        Some(id) => Some(deployments::find(tx, id.as_str()).await?),
        None => None,
    };
    if let Some(deployment) = &deployment {
        mappings::set_build(tx, &deployment.id, &build.number, build.url.as_deref(), now).await?;
    }
    if build.status != before.status
        && let Some(next) = successor::follow_on(tx, &build, deployment.as_ref()).await?
    {
        build.successor_id = Some(next.id);
    }
    ci_builds::update(tx, &build).await?;
    if build.status != before.status || build.start != before.start || build.number != before.number {
        events::append(tx, status(&build)).await?;
    }
    if let Some(deployment) = deployment {
        follow(tx, deployment, &before, &build).await?;
    }
    Ok(build)
}

/// Moves the deployment to where its build is.
async fn follow(tx: &mut Tx, deployment: Deployment, before: &CicdBuild, build: &CicdBuild) -> Result<()> {
    let is_started = before.start != Start::Known && build.start == Start::Known;
    let mut now_at = deployment;
    if is_started && now_at.status == DeploymentStatus::Pending {
        now_at = step(tx, now_at, DeploymentStatus::Deploying, build, None).await?;
        events::append(tx, told(EventKind::DeploymentRunStart, &now_at, build, None)).await?;
    }
    // The end of a build whose place another one took is not the deployment's.
    if build.status == before.status || now_at.status.is_terminal() || build.successor_id.is_some() {
        return Ok(());
    }
    let wanted = match deployment_status(build.status) {
        // Stopped because its time was over, or in vain for another one, which nobody had asked for.
        DeploymentStatus::Cancelled
            if build.error.is_some() && (!build.cancel_requested || build.failover.is_some()) =>
        {
            DeploymentStatus::Failed
        }
        wanted => wanted,
    };
    let label = match build.status {
        CiStatus::Pending => "Queued at the provider".to_owned(),
        CiStatus::Running => format!("Build {} runs at the provider", build.number),
        CiStatus::Unknown => {
            format!("The provider says `{}`", build.status_word.as_deref().unwrap_or("unknown"))
        }
        ended => format!("Build {} ended: {}", build.number, ended.as_str()),
    };
    deployments::set_label(tx, &now_at.id, &label).await?;
    if !wanted.is_terminal() {
        // Waiting and running are told, and both are `deploying` once the build was started.
        let told = told(EventKind::DeploymentStatusUpdate, &now_at, build, None);
        return events::append(tx, told).await.map(|_| ());
    }
    if wanted == DeploymentStatus::Successful && now_at.status == DeploymentStatus::Pending {
        now_at = step(tx, now_at, DeploymentStatus::Deploying, build, None).await?;
    }
    let why = match wanted {
        DeploymentStatus::Successful => None,
        _ => Some(build.error.clone().unwrap_or_else(|| ended(build))),
    };
    now_at = step(tx, now_at, wanted, build, why.as_deref()).await?;
    if wanted == DeploymentStatus::Failed {
        events::append(tx, told(EventKind::DeploymentRunFailure, &now_at, build, why.as_deref())).await?;
    }
    Ok(())
}

fn ended(build: &CicdBuild) -> String {
    let page = build.url.as_ref().map(|url| format!(": {url}")).unwrap_or_default();
    format!("build {} at the provider ended with {}{page}", build.number, build.status.as_str())
}

/// One transition, and who hears of it.
async fn step(
    tx: &mut Tx,
    deployment: Deployment,
    to: DeploymentStatus,
    build: &CicdBuild,
    error: Option<&str>,
) -> Result<Deployment> {
    if to.is_terminal() {
        approvals::close_open(tx, &deployment.id, ApprovalState::Withdrawn, store::now()).await?;
    }
    let moved =
        deployments::transition(tx, &deployment.id, deployment.status, to, error, store::now()).await?;
    tracing::info!(
        "[@service:cicd:deployment] Updating deployment status: {} -> {}",
        moved.id,
        moved.status.seed1()
    );
    announce(tx, &moved, to).await?;
    events::append(tx, told(EventKind::DeploymentStatusUpdate, &moved, build, error)).await?;
    Ok(moved)
}

pub(super) fn status(build: &CicdBuild) -> NewEvent {
    NewEvent {
        kind: EventKind::CiBuildStatus,
        stack_id: None,
        subject_id: Some(build.id.clone()),
        data: json!({
            "build": build.seq, "job_id": build.job_id, "status": build.status.as_str(), "number": build.number,
            "deployment_id": build.deployment_id, "settled": build.settled_at.is_some(),
        }),
    }
}

/// Seed 1's events with their payload.
fn told(kind: EventKind, deployment: &Deployment, build: &CicdBuild, error: Option<&str>) -> NewEvent {
    let mut data = json!({
        "deploymentId": deployment.id, "status": deployment.status.seed1(), "jobId": build.job_id,
        "buildNumber": build.number,
    });
    if let (Some(error), Some(fields)) = (error, data.as_object_mut()) {
        fields.insert("error".to_owned(), Value::from(error));
    }
    NewEvent {
        kind,
        stack_id: Some(deployment.stack_id.clone()),
        subject_id: Some(deployment.id.clone()),
        data,
    }
}
