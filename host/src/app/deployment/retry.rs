//! Trying again: what a deployment wanted that ended badly, once more and as a new one.

use super::{
    Caller, deployment_image, deployment_prepare, deployment_rollback, deployment_store, deployment_view,
};
use crate::app::App;
use crate::domain::deployment::{Deployment, DeploymentStatus};
use crate::domain::release::Release;
use crate::error::{Error, Result};
use crate::store::releases;

/// Starts a new deployment of what this one wanted: its commit, its image, or the release that it went back to.
///
/// The stack is taken as it is configured now, since that may be what was set right meanwhile.
pub async fn deployment_retry(app: &App, reference: &str, caller: Caller) -> Result<Deployment> {
    let row = deployment_view(app, reference).await?;
    check(&row)?;
    let reason = Some(format!("Retry of deployment {}", row.seq));
    let stack = row.stack_id.as_str();
    // Only what was built, here or at a provider, is built again.
    match (release_of(app, &row).await?, &row.build_id) {
        (Some(release), None) if row.previous_deployment_id.is_some() => {
            let first = release.deployment_id.as_ref().unwrap_or(&row.id);
            deployment_rollback(app, stack, Some(first.as_str()), caller).await
        }
        (Some(release), None) => {
            let image = (release.image_tag.as_str(), release.image_digest.as_str());
            deployment_image(app, stack, image, reason, caller).await
        }
        _ => build_again(app, &row, reason, caller).await,
    }
}

fn check(row: &Deployment) -> Result<()> {
    if row.status.may_be_retried() {
        return Ok(());
    }
    let why = match row.status {
        DeploymentStatus::Successful => "there is nothing to retry",
        _ => "it can be retried once it has ended",
    };
    Err(Error::conflict(format!("deployment {} is {}; {why}", row.seq, row.status.as_str())))
}

async fn release_of(app: &App, row: &Deployment) -> Result<Option<Release>> {
    let Some(id) = &row.release_id else { return Ok(None) };
    releases::find(&mut *app.db.read().await?, id.as_str()).await.map(Some)
}

/// The very commit, if it was known by then, else what the branch or tag leads to now.
async fn build_again(
    app: &App,
    row: &Deployment,
    reason: Option<String>,
    caller: Caller,
) -> Result<Deployment> {
    let stack = row.stack_id.as_str();
    let mut prepared = deployment_prepare(app, stack, Some(&row.branch), reason, caller).await?;
    let new = &mut prepared.deployment;
    new.commit_sha.clone_from(&row.commit_sha);
    new.commit_message.clone_from(&row.commit_message);
    new.commit_author.clone_from(&row.commit_author);
    new.tag.clone_from(&row.tag);
    if let Some(build) = &mut prepared.build {
        build.commit_sha.clone_from(&row.commit_sha);
    }
    deployment_store(app, prepared).await
}
