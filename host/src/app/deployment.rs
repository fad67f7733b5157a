//! Deployments: asked for, cancelled, rolled back, shown.

use serde_json::json;

use super::App;
use super::stack::{StackView, stack_view, strategy_name};
use crate::domain::build::{Build, BuildStatus};
use crate::domain::build_config::BuildSettings;
use crate::domain::deployment::{Deployment, DeploymentStatus, RolloutState, TriggerType};
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::health::HealthCheck;
use crate::domain::page::{Page, PageRequest};
use crate::domain::release::{Release, ReleaseSpec, ReleaseState};
use crate::domain::repository::GitRepository;
use crate::domain::rollout::JournalEntry;
use crate::domain::stack::Stack;
use crate::domain::task::{NewTask, Task};
use crate::domain::{Id, reference};
use crate::error::{Error, Result};
use crate::plugins::planner_name;
use crate::queue;
use crate::store::{self, Tx, builds, deployments, events, releases, rollout_steps};

/// A deployment that starts with a build.
#[derive(Debug, Clone)]
pub struct NewDeployment {
    pub repository: Option<GitRepository>,
    pub settings: BuildSettings,
    /// What to fetch: branch, tag or commit.
    pub git_ref: String,
    pub branch: String,
    /// The exact commit, if known already.
    pub commit_sha: String,
    pub commit_message: Option<String>,
    pub commit_author: Option<String>,
    pub triggered_by: TriggerType,
    pub triggered_by_user: Option<String>,
    pub reason: Option<String>,
}

/// Rows ready to be inserted together.
#[derive(Debug, Clone)]
pub struct Prepared {
    deployment: Deployment,
    build: Option<Build>,
    release: Option<Release>,
}

impl Prepared {
    pub fn deployment_id(&self) -> &Id {
        &self.deployment.id
    }
}

/// Who asks, for the record.
#[derive(Debug, Clone)]
pub struct Caller {
    pub trigger: TriggerType,
    pub user: Option<String>,
}

/// Deploys a branch, tag or commit of the stack's repository; without one, its default branch.
pub async fn deployment_create(
    app: &App,
    stack: &str,
    git_ref: Option<&str>,
    reason: Option<String>,
    caller: Caller,
) -> Result<Deployment> {
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
        repository: Some(repository),
        settings: view.build.settings.clone(),
        branch: git_ref.clone(),
        git_ref,
        commit_sha,
        commit_message: None,
        commit_author: None,
        triggered_by: caller.trigger,
        triggered_by_user: caller.user,
        reason,
    };
    store_prepared(app, prepare(app, &view.stack, new)?).await
}

/// Deploys an image that the engine has, by its tag (seed 4).
pub async fn deployment_create_from_image(
    app: &App,
    stack: &str,
    image_tag: &str,
    reason: Option<String>,
    caller: Caller,
) -> Result<Deployment> {
    let view = stack_view(app, stack).await?;
    if image_tag.is_empty()
        || image_tag.len() > 255
        || image_tag.chars().any(|c| c.is_whitespace() || c.is_control())
    {
        return Err(Error::invalid("image_tag", "image_tag has to name an image, like `myapp:main-abc1234`"));
    }
    let image = app.docker.image_inspect(image_tag).await?;
    let mut prepared = without_build(&view, caller, reason);
    prepared.deployment.image_tag = image_tag.to_string();
    let release = new_release(app, &view, &prepared.deployment, image_tag, &image.digest, json!({}))?;
    prepared.deployment.release_id = Some(release.id.clone());
    prepared.release = Some(release);
    store_prepared(app, prepared).await
}

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
    if !app.docker.image_exists(&release.image_digest).await? {
        return Err(Error::conflict(format!(
            "the image of deployment {} ({}) is gone from the engine; deploy its commit again instead",
            target.seq, release.image_tag
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
    store_prepared(app, prepared).await
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
        if !app.docker.image_exists(&release.image_digest).await? {
            return Err(Error::conflict(format!("the image {} is gone from the engine", release.image_tag)));
        }
        Ok(target)
    };
    Ok(found.await.map_err(|error: Error| error.to_string()))
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
    app.db.write(move |tx| Box::pin(async move { deployments::request_abort(tx, &id).await })).await?;
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

pub async fn deployment_list(app: &App, stack: Option<&Id>, page: PageRequest) -> Result<Page<Deployment>> {
    let mut conn = app.db.read().await?;
    match stack {
        Some(id) => deployments::list_by_stack(&mut conn, id, page).await,
        None => deployments::list(&mut conn, page).await,
    }
}

pub async fn deployment_steps(app: &App, id: &Id) -> Result<Vec<JournalEntry>> {
    let mut conn = app.db.read().await?;
    rollout_steps::list(&mut conn, id).await
}

/// The rows of a deployment that starts with a build.
pub fn prepare(app: &App, stack: &Stack, new: NewDeployment) -> Result<Prepared> {
    let repository =
        new.repository.as_ref().ok_or_else(|| Error::internal("a build without a repository"))?;
    let now = store::now();
    let deployment_id = store::new_id();
    let planner = planner_name(&new.settings.build_type);
    let build = Build {
        id: store::new_id(),
        seq: 0,
        project_id: stack.project_id.clone(),
        stack_id: stack.id.clone(),
        deployment_id: Some(deployment_id.clone()),
        git_url: repository.url.clone(),
        git_ref: new.git_ref.clone(),
        commit_sha: new.commit_sha.clone(),
        context_path: new.settings.context_path.clone().unwrap_or_else(|| ".".into()),
        dockerfile: new
            .settings
            .dockerfile_path
            .clone()
            .unwrap_or_else(|| super::build::DEFAULT_DOCKERFILE.into()),
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
        created_at: now,
    };
    let deployment = Deployment {
        id: deployment_id,
        seq: 0,
        project_id: stack.project_id.clone(),
        stack_id: stack.id.clone(),
        build_config_id: None,
        repository_id: Some(repository.id.clone()),
        build_id: Some(build.id.clone()),
        release_id: None,
        stable_release_id: stack.active_release_id.clone(),
        commit_sha: new.commit_sha,
        commit_message: new.commit_message,
        commit_author: new.commit_author,
        branch: new.branch,
        tag: None,
        image_tag: String::new(),
        reason: new.reason,
        status: DeploymentStatus::Pending,
        error: None,
        triggered_by: new.triggered_by,
        triggered_by_user: new.triggered_by_user,
        previous_deployment_id: None,
        rollout: RolloutState {
            strategy: strategy_name(app, stack).to_string(),
            strategy_params: stack.strategy_params.clone(),
            label: "Waiting for the build".into(),
            ..RolloutState::default()
        },
        started_at: now,
        completed_at: None,
    };
    Ok(Prepared { deployment, build: Some(build), release: None })
}

/// Inserts the rows and enqueues what comes first, all in the caller's transaction.
pub async fn insert(tx: &mut Tx, prepared: &Prepared) -> Result<()> {
    if let Some(release) = &prepared.release {
        releases::insert(tx, release.clone()).await?;
    }
    let build = match &prepared.build {
        Some(build) => Some(builds::insert(tx, build.clone()).await?),
        None => None,
    };
    let deployment = deployments::insert(tx, prepared.deployment.clone()).await?;
    events::append(tx, status_event(&deployment, deployment.status)).await?;
    match &build {
        Some(build) => enqueue_build(tx, build).await?,
        None => enqueue_rollout(tx, &deployment).await?,
    };
    Ok(())
}

pub async fn enqueue_build(tx: &mut Tx, build: &Build) -> Result<Id> {
    let task = NewTask {
        id: store::new_id(),
        task: Task::Build { build_id: build.id.clone() },
        priority: 0,
        unique_key: Some(format!("build:{}", build.id)),
        concurrency_key: Some(format!("build-of:{}", build.stack_id)),
        run_at: None,
    };
    let id = task.id.clone();
    queue::enqueue(tx, &task).await?;
    Ok(id)
}

pub async fn enqueue_rollout(tx: &mut Tx, deployment: &Deployment) -> Result<Id> {
    let task = NewTask {
        id: store::new_id(),
        task: Task::Deploy { deployment_id: deployment.id.clone() },
        priority: 10,
        unique_key: Some(format!("deploy:{}", deployment.id)),
        concurrency_key: Some(format!("rollout-of:{}", deployment.stack_id)),
        run_at: None,
    };
    let id = task.id.clone();
    queue::enqueue(tx, &task).await?;
    Ok(id)
}

/// A new release of the stack as it is configured now.
pub fn new_release(
    app: &App,
    view: &StackView,
    deployment: &Deployment,
    image_tag: &str,
    image_digest: &str,
    plugin_digests: serde_json::Value,
) -> Result<Release> {
    let id = store::new_id();
    let settings = &view.build.settings;
    let environment = &settings.environment_variables;
    let sealed_environment = if environment.is_empty() {
        None
    } else {
        let plain = serde_json::to_vec(environment).map_err(Error::internal)?;
        Some(app.vault.seal(&release_context(&id), &plain)?)
    };
    let spec = ReleaseSpec {
        run: view.stack.run.clone(),
        health: HealthCheck {
            path: settings.health_check_path.clone(),
            timeout_secs: settings.health_timeout_secs(),
        },
        sealed_environment,
    };
    Ok(Release {
        seq: 0,
        stack_id: view.stack.id.clone(),
        deployment_id: Some(deployment.id.clone()),
        build_id: deployment.build_id.clone(),
        image_tag: image_tag.to_string(),
        image_digest: image_digest.to_string(),
        commit_sha: deployment.commit_sha.clone(),
        config_hash: config_hash(image_digest, &spec.run, &spec.health, environment)?,
        spec,
        plugin_digests,
        state: ReleaseState::Candidate,
        created_at: store::now(),
        id,
    })
}

pub fn release_context(release_id: &Id) -> String {
    format!("releases/{release_id}/environment")
}

pub fn status_event(deployment: &Deployment, status: DeploymentStatus) -> NewEvent {
    NewEvent {
        kind: EventKind::DeploymentStatus,
        stack_id: Some(deployment.stack_id.clone()),
        subject_id: Some(deployment.id.clone()),
        data: json!({
            "deployment": deployment.seq,
            "status": status.as_str(),
            "branch": deployment.branch,
            "commit": deployment.commit_sha,
        }),
    }
}

/// Equal for two releases whose containers would look the same.
fn config_hash(
    image_digest: &str,
    run: &crate::domain::stack::RunSpec,
    health: &HealthCheck,
    environment: &[crate::domain::build_config::EnvVar],
) -> Result<String> {
    use sha2::{Digest, Sha256};
    let text = serde_json::to_vec(&(image_digest, run, health, environment)).map_err(Error::internal)?;
    Ok(hex::encode(Sha256::digest(text)))
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

fn without_build(view: &StackView, caller: Caller, reason: Option<String>) -> Prepared {
    let deployment = Deployment {
        id: store::new_id(),
        seq: 0,
        project_id: view.stack.project_id.clone(),
        stack_id: view.stack.id.clone(),
        build_config_id: Some(view.build.id.clone()),
        repository_id: view.repository.as_ref().map(|row| row.id.clone()),
        build_id: None,
        release_id: None,
        stable_release_id: view.stack.active_release_id.clone(),
        commit_sha: String::new(),
        commit_message: None,
        commit_author: None,
        branch: String::new(),
        tag: None,
        image_tag: String::new(),
        reason,
        status: DeploymentStatus::Pending,
        error: None,
        triggered_by: caller.trigger,
        triggered_by_user: caller.user,
        previous_deployment_id: None,
        rollout: RolloutState {
            strategy: view.stack.strategy.clone(),
            strategy_params: view.stack.strategy_params.clone(),
            label: "Waiting for its turn".into(),
            ..RolloutState::default()
        },
        started_at: store::now(),
        completed_at: None,
    };
    Prepared { deployment, build: None, release: None }
}

async fn store_prepared(app: &App, prepared: Prepared) -> Result<Deployment> {
    let id = prepared.deployment.id.clone();
    app.db.write(move |tx| Box::pin(async move { insert(tx, &prepared).await })).await?;
    deployment_view(app, id.as_str()).await
}
