//! Builds: fetch, plan, check out, build, and hand the release over to the rollout.

mod index;
mod own_file;
mod platforms;
mod preview;
mod publish;
mod run;
mod source;
mod steps;

use serde_json::json;

pub use preview::{BuildPlan, build_plan};
pub use run::build_run;
pub use source::{auth, auth_of, credentials, secrets_of};

use super::App;
use super::deployment::{self, Caller, enqueue_build};
use super::forge::announce;
use super::stack::stack_view;
use crate::domain::build::{Build, BuildStatus};
use crate::domain::deployment::{Deployment, DeploymentStatus};
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::page::{Page, PageRequest};
use crate::domain::stack::Stack;
use crate::domain::{Id, path, reference};
use crate::error::{Error, Result};
use crate::plugins::planner_name;
use crate::store::{self, builds, deployments, events};

/// What a build row says when nothing is configured (seed 4's migration).
const DEFAULT_DOCKERFILE: &str = "Dockerfile";

/// What seed 4's build request may say; everything else comes from the stack.
#[derive(Debug, Clone, Default)]
pub struct BuildOverrides {
    pub git_url: Option<String>,
    pub git_ref: Option<String>,
    pub context_path: Option<String>,
    pub dockerfile: Option<String>,
}

/// What a build is made from.
pub struct BuildSource {
    pub git_url: String,
    pub git_ref: String,
    /// The exact commit, if known already.
    pub commit_sha: String,
    pub context_path: Option<String>,
    pub dockerfile: Option<String>,
}

/// The row of a build that waits for its turn.
pub fn queued_build(app: &App, stack: &Stack, build_type: &str, source: BuildSource) -> Build {
    let planner = planner_name(build_type);
    Build {
        id: store::new_id(),
        seq: 0,
        project_id: stack.project_id.clone(),
        stack_id: stack.id.clone(),
        deployment_id: None,
        git_url: source.git_url,
        git_ref: source.git_ref,
        commit_sha: source.commit_sha,
        context_path: source.context_path.unwrap_or_else(|| ".".into()),
        dockerfile: source.dockerfile.unwrap_or_else(|| DEFAULT_DOCKERFILE.into()),
        image_tag: String::new(),
        image_digest: String::new(),
        status: BuildStatus::Queued,
        error: None,
        log_path: None,
        log_size: 0,
        planner_digest: app.plugins.digest(&planner).unwrap_or_default(),
        planner,
        started_at: None,
        finished_at: None,
        created_at: store::now(),
        pushed: Vec::new(),
    }
}

/// Starts a build that no deployment waits for (seed 4). Returns it with the id of its task.
pub async fn build_create(
    app: &App,
    stack: &str,
    overrides: BuildOverrides,
    caller: Caller,
) -> Result<(Build, Id)> {
    let view = stack_view(app, stack).await?;
    let repository = view.repository.clone();
    let git_url =
        overrides.git_url.or_else(|| repository.as_ref().map(|row| row.url.clone())).ok_or_else(|| {
            Error::invalid("git_url", "the stack has no repository, so the request has to name a git_url")
        })?;
    crate::domain::repository::check_url(&git_url)?;
    let git_ref = overrides
        .git_ref
        .or_else(|| repository.as_ref().map(|row| row.branch.clone()))
        .unwrap_or_else(|| "main".into());
    reference::check_name(&git_ref)?;
    let settings = &view.build.settings;
    let source = BuildSource {
        git_url,
        git_ref,
        commit_sha: String::new(),
        context_path: overrides.context_path.or_else(|| settings.context_path.clone()),
        dockerfile: overrides.dockerfile.or_else(|| settings.dockerfile_path.clone()),
    };
    let build = queued_build(app, &view.stack, &settings.build_type, source);
    path::check_relative("context_path", &build.context_path)?;
    path::check_relative("dockerfile", &build.dockerfile)?;
    tracing::info!(stack = %view.stack.name, user = caller.user.as_deref().unwrap_or("-"), "a build was asked for");
    let id = build.id.clone();
    let task_id = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                let build = builds::insert(tx, build).await?;
                events::append(tx, build_event(&build, BuildStatus::Queued)).await?;
                enqueue_build(tx, &build).await
            })
        })
        .await?;
    Ok((build_view(app, id.as_str()).await?, task_id))
}

pub async fn build_view(app: &App, reference: &str) -> Result<Build> {
    let mut conn = app.db.read().await?;
    builds::find(&mut conn, reference).await
}

pub async fn build_list(app: &App, stack: &Id, page: PageRequest) -> Result<Page<Build>> {
    let mut conn = app.db.read().await?;
    builds::list_by_stack(&mut conn, stack, page).await
}

/// Stops a build, and with it the deployment that waits for it.
pub async fn build_cancel(app: &App, reference: &str) -> Result<Build> {
    let build = build_view(app, reference).await?;
    if build.status.is_terminal() {
        return Err(Error::conflict(format!("build {} is {} already", build.seq, build.status.as_str())));
    }
    if let Some(deployment_id) = &build.deployment_id {
        deployment::deployment_cancel(app, deployment_id.as_str()).await?;
    } else if app.cancel_task(&build.id).await? {
        end(app, &build, BuildStatus::Cancelled, "cancelled on request").await?;
    }
    build_view(app, reference).await
}

async fn end(app: &App, build: &Build, status: BuildStatus, text: &str) -> Result<()> {
    let (now, text, id) = (store::now(), text.to_string(), build.id.clone());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let ended = builds::find(tx, id.as_str()).await?;
                if !ended.status.is_terminal() {
                    builds::set_status(tx, &id, ended.status, status, Some(&text), now).await?;
                    events::append(tx, build_event(&ended, status)).await?;
                }
                let Some(id) = &ended.deployment_id else { return Ok(()) };
                let deployment = deployments::find(tx, id.as_str()).await?;
                if deployment.status.is_terminal() {
                    return Ok(());
                }
                let next = match status {
                    BuildStatus::Cancelled => DeploymentStatus::Cancelled,
                    _ => DeploymentStatus::Failed,
                };
                deployments::transition(tx, id, deployment.status, next, Some(&text), now).await?;
                announce(tx, &deployment, next).await?;
                Ok(())
            })
        })
        .await
}

/// After a cancel: what was only queued will never run, so its rows are ended here.
pub async fn settle_cancelled(app: &App, deployment_id: &Id) -> Result<()> {
    let deployment: Deployment = deployment::deployment_view(app, deployment_id.as_str()).await?;
    if deployment.status != DeploymentStatus::Pending {
        return Ok(());
    }
    match &deployment.build_id {
        Some(id) => {
            let build = build_view(app, id.as_str()).await?;
            if build.status == BuildStatus::Queued {
                end(app, &build, BuildStatus::Cancelled, "cancelled on request").await?;
            }
            Ok(())
        }
        None => super::rollout::end_before_start(app, &deployment).await,
    }
}

pub(in crate::app) fn build_event(build: &Build, status: BuildStatus) -> NewEvent {
    NewEvent {
        kind: EventKind::BuildStatus,
        stack_id: Some(build.stack_id.clone()),
        subject_id: Some(build.id.clone()),
        data: json!({ "build": build.seq, "status": status.as_str(), "deployment_id": build.deployment_id }),
    }
}
