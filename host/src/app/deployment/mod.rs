//! Deployments: asked for, cancelled, tried again, rolled back, shown.

mod coalesce;
mod health;
mod retry;
mod rollback;
mod rows;

use serde_json::json;

pub use coalesce::{Entered, enter};
pub use health::{CheckedInstance, HealthReport, deployment_check_health, stack_check_health};
pub use retry::deployment_retry;
pub use rollback::{deployment_rollback, deployment_serving, rollback_readiness};
pub use rows::{
    NewDeployment, Prepared, enqueue_build, enqueue_rollout, environment_of, insert, new_release, prepare,
    status_event,
};

use super::App;
use super::rollout::transition_event;
use super::stack::stack_view;
use super::target::engine;
use crate::domain::access::Reach;
use crate::domain::deployment::{Deployment, TriggerType};
use crate::domain::page::{Page, PageRequest};
use crate::domain::rollout::JournalEntry;
use crate::domain::rollout::transition::Transition;
use crate::domain::{Id, reference};
use crate::error::{Error, Result};
use crate::store::{deployments, events, rollout_steps};
use rows::without_build;

/// The dashboard's page of a deployment, as a link for elsewhere.
pub fn page_of(app: &App, deployment: &Deployment) -> String {
    format!("{}/deployments/{}", app.config.public_url(), deployment.seq)
}

/// Who asks, for the record.
#[derive(Debug, Clone)]
pub struct Caller {
    pub trigger: TriggerType,
    pub user: Option<String>,
    /// The person, where one is known: they may not approve what they asked for.
    pub user_id: Option<Id>,
}

/// Deploys a branch, tag or commit of the stack's repository; without one, its default branch.
pub async fn deployment_create(
    app: &App,
    stack: &str,
    git_ref: Option<&str>,
    reason: Option<String>,
    caller: Caller,
) -> Result<Deployment> {
    deployment_store(app, deployment_prepare(app, stack, git_ref, reason, caller).await?).await
}

/// The rows of what [`deployment_create`] does, for callers with a transaction of their own.
pub async fn deployment_prepare(
    app: &App,
    stack: &str,
    git_ref: Option<&str>,
    reason: Option<String>,
    caller: Caller,
) -> Result<Prepared> {
    let view = stack_view(app, stack).await?;
    let repository = view.repository.clone().ok_or_else(|| {
        Error::conflict(format!(
            "stack `{}` has no repository to build from; add one, or deploy an image by its tag",
            view.stack.name
        ))
    })?;
    let git_ref = git_ref.filter(|text| !text.is_empty()).unwrap_or(&repository.branch).to_string();
    reference::check_name(&git_ref)?;
    let commit_sha = if reference::check_commit(&git_ref).is_ok() { git_ref.clone() } else { String::new() };
    let new = NewDeployment {
        repository,
        config: view.build.clone(),
        branch: git_ref.clone(),
        tag: None,
        git_ref,
        commit_sha,
        commit_message: None,
        commit_author: None,
        caller,
        reason,
    };
    Ok(prepare(app, &view.stack, new))
}

/// Deploys an image that the engine has, by its tag (seed 4).
pub async fn deployment_create_from_image(
    app: &App,
    stack: &str,
    image_tag: &str,
    reason: Option<String>,
    caller: Caller,
) -> Result<Deployment> {
    if image_tag.is_empty()
        || image_tag.len() > 255
        || image_tag.chars().any(|c| c.is_whitespace() || c.is_control())
    {
        return Err(Error::invalid("image_tag", "image_tag has to name an image, like `myapp:main-abc1234`"));
    }
    deployment_image(app, stack, (image_tag, image_tag), reason, caller).await
}

/// Deploys an image by the tag that people know and the name that the engine is to find it by, a tag or a digest.
async fn deployment_image(
    app: &App,
    stack: &str,
    (image_tag, name): (&str, &str),
    reason: Option<String>,
    caller: Caller,
) -> Result<Deployment> {
    let view = stack_view(app, stack).await?;
    if view.stack.run.service.is_some() || view.build.settings.compose_path.is_some() {
        return Err(Error::conflict(format!(
            "stack `{}` is deployed from its compose file, not from one image; deploy a branch, tag or commit",
            view.stack.name
        )));
    }
    let image = engine(app, &view.stack).await?.image_inspect(name).await?;
    let mut prepared = without_build(&view, caller, reason);
    prepared.deployment.image_tag = image_tag.to_string();
    let release = new_release(app, &view, &prepared.deployment, (image_tag, &image.digest), None, json!({}))?;
    prepared.deployment.release_id = Some(release.id.clone());
    prepared.release = Some(release);
    deployment_store(app, prepared).await
}

/// Asks a running deployment to stop. What served before goes on serving.
pub async fn deployment_cancel(app: &App, reference: &str) -> Result<Deployment> {
    let deployment = deployment_view(app, reference).await?;
    if deployment.status.is_terminal() {
        return Err(Error::conflict(format!(
            "deployment {} is {} already; there is nothing to cancel",
            deployment.seq,
            deployment.status.as_str()
        )));
    }
    let (id, build_id) = (deployment.id.clone(), deployment.build_id.clone());
    let news = transition_event(&deployment, Transition::Aborted, "Somebody wants it to be given up", None);
    // Before its rollout there is nothing to be taken back.
    let news = Some(news).filter(|_| deployment.rollout.rollout_started_at.is_some());
    let write = app.db.write(move |tx| {
        Box::pin(async move {
            if deployments::request_abort(tx, &id).await?
                && let Some(news) = news
            {
                events::append(tx, news).await?;
            }
            Ok(())
        })
    });
    write.await?;
    if super::cicd::deployment::deployment_stop(app, &deployment.id).await? {
        return deployment_view(app, reference).await;
    }
    // A rollout that runs is not stopped, it is told: it first restores what served before.
    let rolling = deployment.rollout.rollout_started_at.is_some();
    for subject in [(!rolling).then_some(&deployment.id), build_id.as_ref()].into_iter().flatten() {
        app.cancel_task(subject).await?;
    }
    // A task that was still queued ends without having run, so nobody else would end what it was for.
    super::build::settle_cancelled(app, &deployment.id).await?;
    deployment_view(app, reference).await
}

pub async fn deployment_view(app: &App, reference: &str) -> Result<Deployment> {
    let mut conn = app.db.read().await?;
    deployments::find(&mut conn, reference).await
}

/// All that the reach has, or one stack's, which the caller has seen to.
pub async fn deployment_list(
    app: &App,
    stack: Option<&Id>,
    page: PageRequest,
    reach: &Reach,
) -> Result<Page<Deployment>> {
    let mut conn = app.db.read().await?;
    match stack {
        Some(id) => deployments::list_by_stack(&mut conn, id, page).await,
        None => deployments::list(&mut conn, page, reach).await,
    }
}

pub async fn deployment_steps(app: &App, id: &Id) -> Result<Vec<JournalEntry>> {
    let mut conn = app.db.read().await?;
    rollout_steps::list(&mut conn, id).await
}

async fn deployment_store(app: &App, prepared: Prepared) -> Result<Deployment> {
    let id = prepared.deployment.id.clone();
    if let Some(reason) = &prepared.deployment.reason {
        super::audit::because(reason);
    }
    app.db.write(move |tx| Box::pin(async move { rows::insert(tx, &prepared).await })).await?;
    deployment_view(app, id.as_str()).await
}
