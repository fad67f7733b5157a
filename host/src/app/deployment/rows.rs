//! The rows that a deployment consists of, and what is enqueued with them.

use serde_json::json;

use super::Caller;
use crate::app::App;
use crate::app::build::{BuildSource, queued_build};
use crate::app::cicd::deployment as cicd;
use crate::app::compose::{self, Composed};
use crate::app::forge::announce;
use crate::app::stack::{StackView, strategy_name};
use crate::domain::Id;
use crate::domain::build::Build;
use crate::domain::build_config::{BuildConfig, EnvVar};
use crate::domain::deployment::{Deployment, DeploymentStatus, RolloutState};
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::health::HealthCheck;
use crate::domain::release::{Release, ReleaseSpec, ReleaseState};
use crate::domain::repository::GitRepository;
use crate::domain::stack::Stack;
use crate::domain::task::{NewTask, Task};
use crate::error::{Error, Result};
use crate::queue;
use crate::store::{self, Tx, builds, deployments, releases, stack_ci, stacks};

/// A deployment that starts with a build.
#[derive(Debug, Clone)]
pub struct NewDeployment {
    pub repository: GitRepository,
    /// How it is built.
    pub config: BuildConfig,
    /// What to fetch: branch, tag or commit.
    pub git_ref: String,
    pub branch: String,
    /// The tag that was pushed.
    pub tag: Option<String>,
    /// The exact commit, if known already.
    pub commit_sha: String,
    pub commit_message: Option<String>,
    pub commit_author: Option<String>,
    pub caller: Caller,
    pub reason: Option<String>,
}

/// Rows ready to be inserted together.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(super) deployment: Deployment,
    pub(super) build: Option<Build>,
    pub(super) release: Option<Release>,
    /// The person who asked for it.
    pub(super) requested_by: Option<Id>,
}

impl Prepared {
    pub fn deployment_id(&self) -> &Id {
        &self.deployment.id
    }
}

/// The rows of a deployment that starts with a build.
pub fn prepare(app: &App, stack: &Stack, new: NewDeployment) -> Prepared {
    let settings = &new.config.settings;
    let source = BuildSource {
        git_url: new.repository.url,
        git_ref: new.git_ref,
        commit_sha: new.commit_sha,
        context_path: settings.context_path.clone(),
        dockerfile: settings.dockerfile_path.clone(),
    };
    let mut build = queued_build(app, stack, &settings.build_type, source);
    let requested_by = new.caller.user_id.clone();
    let mut deployment = pending(stack, new.caller, new.reason);
    build.deployment_id = Some(deployment.id.clone());
    deployment.build_id = Some(build.id.clone());
    deployment.build_config_id = Some(new.config.id);
    deployment.repository_id = Some(new.repository.id);
    deployment.commit_sha = build.commit_sha.clone();
    deployment.commit_message = new.commit_message;
    deployment.commit_author = new.commit_author;
    deployment.branch = new.branch;
    deployment.tag = new.tag;
    deployment.rollout.strategy = strategy_name(app, stack).to_string();
    deployment.rollout.label = "Waiting for the build".into();
    Prepared { deployment, build: Some(build), release: None, requested_by }
}

/// The row of a deployment of something that is there already.
pub(super) fn without_build(view: &StackView, caller: Caller, reason: Option<String>) -> Prepared {
    let requested_by = caller.user_id.clone();
    let mut deployment = pending(&view.stack, caller, reason);
    deployment.build_config_id = Some(view.build.id.clone());
    deployment.repository_id = view.repository.as_ref().map(|row| row.id.clone());
    deployment.rollout.label = "Waiting for its turn".into();
    Prepared { deployment, build: None, release: None, requested_by }
}

fn pending(stack: &Stack, caller: Caller, reason: Option<String>) -> Deployment {
    Deployment {
        id: store::new_id(),
        seq: 0,
        project_id: stack.project_id.clone(),
        stack_id: stack.id.clone(),
        build_config_id: None,
        repository_id: None,
        build_id: None,
        release_id: None,
        stable_release_id: stack.active_release_id.clone(),
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
            strategy: stack.strategy.clone(),
            strategy_params: stack.strategy_params.clone(),
            ..RolloutState::default()
        },
        started_at: store::now(),
        completed_at: None,
    }
}

/// Inserts the rows and enqueues what comes first, all in the caller's transaction.
pub async fn insert(tx: &mut Tx, prepared: &Prepared) -> Result<Deployment> {
    if let Some(ci) = stack_ci::find_opt(tx, &prepared.deployment.stack_id).await? {
        let Some(source) = &prepared.build else {
            return Err(cicd::refuse(&stacks::find(tx, ci.stack_id.as_str()).await?.name));
        };
        let deployment = cicd::enter(tx, ci, &prepared.deployment, source).await?;
        deployments::set_requester(tx, &deployment.id, prepared.requested_by.as_ref()).await?;
        return Ok(deployment);
    }
    if let Some(release) = &prepared.release {
        releases::insert(tx, release.clone()).await?;
    }
    let build = match &prepared.build {
        Some(build) => Some(builds::insert(tx, build.clone()).await?),
        None => None,
    };
    let deployment = deployments::insert(tx, prepared.deployment.clone()).await?;
    deployments::set_requester(tx, &deployment.id, prepared.requested_by.as_ref()).await?;
    announce(tx, &deployment, deployment.status).await?;
    match &build {
        Some(build) => enqueue_build(tx, build).await?,
        None => enqueue_rollout(tx, &deployment).await?,
    };
    Ok(deployment)
}

pub async fn enqueue_build(tx: &mut Tx, build: &Build) -> Result<Id> {
    let task = NewTask {
        id: store::new_id(),
        task: Task::Build { build_id: build.id.clone() },
        priority: 0,
        unique_key: Some(format!("build:{}", build.id)),
        concurrency_key: Some(format!("build-of:{}", build.stack_id)),
        run_at: None,
        trace: None,
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
        trace: None,
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
    (image_tag, image_digest): (&str, &str),
    composed: Option<&Composed>,
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
        run: composed.map_or_else(|| view.stack.run.clone(), |composed| composed.run.clone()),
        health: HealthCheck {
            path: settings.health_check_path.clone(),
            timeout_secs: settings.health_timeout_secs(),
        },
        sealed_environment,
        compose: composed.map(|composed| compose::kept(app, &id, composed)).transpose()?,
    };
    let file = composed.map(|composed| &composed.file);
    Ok(Release {
        seq: 0,
        stack_id: view.stack.id.clone(),
        deployment_id: Some(deployment.id.clone()),
        build_id: deployment.build_id.clone(),
        image_tag: image_tag.to_string(),
        image_digest: image_digest.to_string(),
        commit_sha: deployment.commit_sha.clone(),
        config_hash: config_hash(image_digest, &spec, environment, file)?,
        spec,
        plugin_digests,
        state: ReleaseState::Candidate,
        created_at: store::now(),
        id,
    })
}

/// The environment that the release's containers get.
pub fn environment_of(app: &App, release: &Release) -> Result<Vec<EnvVar>> {
    let Some(sealed) = &release.spec.sealed_environment else { return Ok(Vec::new()) };
    let plain = app.vault.open_sealed(&release_context(&release.id), sealed)?;
    serde_json::from_slice(&plain).map_err(Error::internal)
}

fn release_context(release_id: &Id) -> String {
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
    spec: &ReleaseSpec,
    environment: &[EnvVar],
    file: Option<&serde_json::Value>,
) -> Result<String> {
    use sha2::{Digest, Sha256};
    let container = (image_digest, &spec.run, &spec.health, environment);
    let text = match file {
        None => serde_json::to_vec(&container),
        Some(file) => serde_json::to_vec(&(container, file)),
    };
    let text = text.map_err(Error::internal)?;
    Ok(hex::encode(Sha256::digest(text)))
}
