//! Going back: what a stack can return to, and the deployment that does it.

use super::rows::without_build;
use super::{Caller, deployment_store};
use crate::app::App;
use crate::app::registry::pushed_names;
use crate::app::stack::{StackView, stack_view};
use crate::app::target::engine;
use crate::domain::deployment::Deployment;
use crate::domain::release::{Release, ReleaseState};
use crate::domain::stack::Stack;
use crate::error::{Error, Result};
use crate::store::{deployments, releases};

/// Brings a kept release back: that of `deployment`, or the last successful one before what serves now.
pub async fn deployment_rollback(
    app: &App,
    stack: &str,
    deployment: Option<&str>,
    caller: Caller,
) -> Result<Deployment> {
    let view = stack_view(app, stack).await?;
    let current = current_deployment(app, &view).await?;
    let target = match deployment {
        Some(reference) => {
            let mut conn = app.db.read().await?;
            let found = deployments::find(&mut conn, reference).await?;
            if found.stack_id != view.stack.id {
                return Err(Error::not_found("deployment", reference));
            }
            found
        }
        None => rollback_target(app, &view, &current).await?,
    };
    let release_id = target.release_id.clone().ok_or_else(|| {
        Error::conflict(format!("deployment {} produced no release that could be brought back", target.seq))
    })?;
    let mut conn = app.db.read().await?;
    let release = releases::find(&mut conn, release_id.as_str()).await?;
    drop(conn);
    if release.state != ReleaseState::Good {
        return Err(Error::conflict(format!(
            "the release of deployment {} never served healthily",
            target.seq
        )));
    }
    if let Some(gone) = gone_image(app, &view.stack, &release).await? {
        return Err(Error::conflict(format!(
            "the image of deployment {} ({gone}) is gone from the engine; deploy its commit again instead",
            target.seq
        )));
    }
    let mut prepared = without_build(&view, caller, Some(format!("Roll back to deployment {}", target.seq)));
    let new = &mut prepared.deployment;
    new.commit_sha = release.commit_sha.clone();
    new.commit_message = target.commit_message;
    new.commit_author = target.commit_author;
    new.branch = target.branch;
    new.image_tag = release.image_tag.clone();
    new.release_id = Some(release_id);
    new.previous_deployment_id = Some(current.id);
    deployment_store(app, prepared).await
}

/// Whether a rollback would work now, and to what; the reason if not.
pub async fn rollback_readiness(app: &App, stack: &str) -> Result<std::result::Result<Deployment, String>> {
    let view = stack_view(app, stack).await?;
    let found = async {
        let current = current_deployment(app, &view).await?;
        let target = rollback_target(app, &view, &current).await?;
        let release_id =
            target.release_id.clone().ok_or_else(|| Error::conflict("it produced no release"))?;
        let mut conn = app.db.read().await?;
        let release = releases::find(&mut conn, release_id.as_str()).await?;
        drop(conn);
        if let Some(gone) = gone_image(app, &view.stack, &release).await? {
            return Err(Error::conflict(format!("the image {gone} is gone from the engine")));
        }
        Ok(target)
    };
    Ok(found.await.map_err(|error: Error| error.to_string()))
}

/// The first image that a release needs and the engine has no more, as people call it.
async fn gone_image(app: &App, stack: &Stack, release: &Release) -> Result<Option<String>> {
    let docker = engine(app, stack).await?;
    for image in release.images() {
        if !docker.image_exists(image).await? {
            let is_main = image == release.image_digest;
            // A registry has it: the rollout pulls it.
            if is_main && !pushed_names(app, release).await?.is_empty() {
                continue;
            }
            return Ok(Some(if is_main { release.image_tag.clone() } else { image.to_string() }));
        }
    }
    Ok(None)
}

/// The deployment that put into service what serves now.
async fn current_deployment(app: &App, view: &StackView) -> Result<Deployment> {
    let nothing =
        || Error::conflict(format!("stack `{}` serves nothing that could be rolled back", view.stack.name));
    let release_id = view.stack.active_release_id.as_ref().ok_or_else(nothing)?;
    let mut conn = app.db.read().await?;
    deployments::latest_of_release(&mut conn, &view.stack.id, release_id).await?.ok_or_else(nothing)
}

/// The deployment that put into service what serves now, if something does.
pub async fn deployment_serving(app: &App, view: &StackView) -> Result<Option<Deployment>> {
    match current_deployment(app, view).await {
        Ok(row) => Ok(Some(row)),
        Err(Error::Conflict(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn rollback_target(app: &App, view: &StackView, current: &Deployment) -> Result<Deployment> {
    let mut conn = app.db.read().await?;
    deployments::last_successful_before(
        &mut conn,
        &view.stack.id,
        current.seq,
        view.stack.active_release_id.as_ref(),
    )
    .await?
    .ok_or_else(|| {
        Error::conflict(format!(
            "stack `{}` has no earlier successful release to go back to",
            view.stack.name
        ))
    })
}
