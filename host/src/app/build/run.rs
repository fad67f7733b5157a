//! One build: fetch, plan, check out, build, and hand the release over to the rollout.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tracing::Instrument as _;

use super::source::{access, secrets_of};
use super::steps::{Made, Work};
use super::{DEFAULT_DOCKERFILE, build_event, build_view, end, own_file};
use crate::app::crash;
use crate::app::deployment::{deployment_view, enqueue_rollout, new_release};
use crate::app::forge::{announce, owe};
use crate::app::logs::{LogKind, LogWriter, log_keep_after_task};
use crate::app::look;
use crate::app::stack::{StackView, stack_view};
use crate::app::target::engine;
use crate::app::{App, Ended};
use crate::domain::build::{Build, BuildStatus};
use crate::domain::build_config::BuildSettings;
use crate::domain::deployment::DeploymentStatus;
use crate::domain::plan::{BuildStep, PlanContext};
use crate::domain::{Id, recording::Subject};
use crate::error::{Error, Result};
use crate::git::{Commit, Log};
use crate::plugins::with_subject;
use crate::queue::{CancelReason, TaskContext};
use crate::store::{self, builds, deployments, events, releases, repositories};
use crate::telemetry::step_span;

/// What a step may take beyond the build's limit to stop what it has begun.
const MARGIN: Duration = Duration::from_secs(15);
/// What a planner may read of a commit.
const READ_FILES: usize = 64;
const READ_BYTES: usize = 64 << 10;
/// A commit with more files is planned with the first so many.
const MAX_FILES: usize = 10_000;

/// Runs one build. Done twice, it builds twice and records once.
pub async fn build_run(app: &App, task: &TaskContext, build_id: &Id) -> Result<Ended> {
    let ended = attempt(app, task, build_id).await;
    log_keep_after_task(app, LogKind::Build, build_id).await;
    ended
}

async fn attempt(app: &App, task: &TaskContext, build_id: &Id) -> Result<Ended> {
    let build = build_view(app, build_id.as_str()).await?;
    if build.status.is_terminal() {
        return Ok(Ended::Finished);
    }
    let view = stack_view(app, build.stack_id.as_str()).await?;
    let secrets = secrets_of(app, &view).await?;
    let log = Arc::new(app.logs.writer(LogKind::Build, &build.id, secrets)?);
    crash::point("build: before it is marked as running");
    begin(app, &build, &log).await?;
    crash::point("build: after it is marked as running");
    let started = Instant::now();
    let limit = Duration::from_secs(u64::from(view.build.settings.timeout));
    let work = run(app, task, &view, &build, &log, started + limit);
    // The steps end by themselves in time, and then know that the engine has stopped; this is for what does not.
    let result = match tokio::time::timeout(limit + MARGIN, work).await {
        Ok(result) => result,
        Err(_) => Err(Error::timeout("the build", limit.as_secs())),
    };
    match result {
        Ok(()) => {
            app.metrics.build_finished("success", started.elapsed());
            Ok(Ended::Finished)
        }
        Err(error) => give_up(app, task, &build, &log, error, started.elapsed()).await,
    }
}

/// A transient failure is tried again as long as there are attempts; everything else ends build and deployment.
async fn give_up(
    app: &App,
    task: &TaskContext,
    build: &Build,
    log: &LogWriter,
    error: Error,
    took: Duration,
) -> Result<Ended> {
    let wanted = task.cancel_reason() == Some(CancelReason::Requested);
    if task.cancel.is_cancelled() && !wanted {
        log.line("The server stops; the build starts again when it is back.");
        return Ok(Ended::Interrupted);
    }
    if error.is_transient() && task.row.attempt < task.row.max_attempts && !wanted {
        log.line(&format!(
            "{error}; it will be tried again (attempt {} of {})",
            task.row.attempt, task.row.max_attempts
        ));
        return Err(error);
    }
    let (status, word) =
        if wanted { (BuildStatus::Cancelled, "cancelled") } else { (BuildStatus::Failed, "failed") };
    let text = if wanted { "cancelled on request".to_string() } else { error.to_string() };
    log.line(&format!("Build {word}: {text}"));
    tracing::info!(build = build.seq, error = %error.for_log(), "build {word}");
    crash::point("build: before its failure is recorded");
    end(app, build, status, &text).await?;
    crash::point("build: after its failure is recorded");
    app.metrics.build_finished(word, took);
    if wanted { Err(Error::cancelled("the build")) } else { Err(error_of_record(error)) }
}

/// The queue must not try again what was recorded as failed for good.
fn error_of_record(error: Error) -> Error {
    if error.is_transient() { Error::failed(error.to_string()) } else { error }
}

async fn begin(app: &App, build: &Build, log: &LogWriter) -> Result<()> {
    let path = log.path().display().to_string();
    let (mut running, again) = (build.clone(), build.status == BuildStatus::Building);
    if again {
        log.line("The server was interrupted; building again.");
    }
    running.log_path = Some(path);
    app.db
        .write(move |tx| {
            Box::pin(async move {
                builds::update(tx, &running).await?;
                if !again {
                    let (from, to) = (running.status, BuildStatus::Building);
                    builds::set_status(tx, &running.id, from, to, None, store::now()).await?;
                    events::append(tx, build_event(&running, BuildStatus::Building)).await?;
                }
                if let Some(id) = &running.deployment_id {
                    let deployment = deployments::find(tx, id.as_str()).await?;
                    if deployment.status == DeploymentStatus::Pending {
                        let next = DeploymentStatus::Building;
                        deployments::transition(tx, id, deployment.status, next, None, store::now()).await?;
                        announce(tx, &deployment, next).await?;
                    }
                }
                Ok(())
            })
        })
        .await
}

async fn run(
    app: &App,
    task: &TaskContext,
    view: &StackView,
    build: &Build,
    log: &Arc<LogWriter>,
    deadline: Instant,
) -> Result<()> {
    let sink: Log = {
        let log = log.clone();
        Arc::new(move |line: &str| log.line(line))
    };
    let access = access(app, view, build).await?;
    app.git.fetch(&access, &task.cancel, sink.clone()).instrument(step_span("fetch", "")).await?;
    task.progress(15).await?;
    let wanted = if build.commit_sha.is_empty() { &build.git_ref } else { &build.commit_sha };
    let commit = app.git.resolve(&access.id, wanted).await?;
    log.line(&format!("Commit {} {}", commit.sha, commit.subject()));
    look::branch_seen(app, view, build, &commit.sha).await?;
    commit_found(app, build, &commit).await?;
    crash::point("build: after the fetch");
    let (view, build) = own_file::laid_over(app, (view, build), &access.id, &commit.sha, log).await?;
    let (view, build) = (view.as_ref(), build.as_ref());
    let docker = engine(app, &view.stack).await?;
    let planned = plan(app, view, build, (&access.id, &commit));
    let steps = planned.instrument(step_span("plan build", &build.planner)).await?;
    let checkout = match view.build.settings.options.submodules {
        true => app.git.checkout_whole(&access, &commit.sha, &build.id, &task.cancel, sink).await?,
        false => app.git.checkout(&access.id, &commit.sha, &build.id, sink).await?,
    };
    task.progress(25).await?;
    let mut work = Work {
        app,
        docker,
        task,
        view,
        build,
        log,
        checkout: checkout.path(),
        commit: &commit,
        deadline,
        image: None,
        platforms: Vec::new(),
        composition: None,
    };
    let made = work.make(&steps).await;
    work.forget_platforms().await;
    let made = made?;
    checkout.close().await;
    task.progress(90).await?;
    let (tag, digest) = made.image();
    log.line(&format!("Built {tag} as {digest}"));
    crash::point("build: before its success is recorded");
    succeed(app, view, build, &commit, &made, log.size()).await?;
    crash::point("build: after its success is recorded");
    Ok(())
}

/// Writes down which commit the build is of, so that people and the forge need not wait for its end to know.
async fn commit_found(app: &App, build: &Build, commit: &Commit) -> Result<()> {
    if build.commit_sha == commit.sha {
        return Ok(());
    }
    let (id, deployment, commit) = (build.id.clone(), build.deployment_id.clone(), commit.clone());
    let work = app.db.write(move |tx| {
        Box::pin(async move {
            builds::set_commit(tx, &id, &commit.sha).await?;
            let Some(id) = &deployment else { return Ok(()) };
            deployments::set_commit(tx, id, &commit.sha, commit.tag.as_deref()).await?;
            let deployment = deployments::find(tx, id.as_str()).await?;
            owe(tx, &deployment).await
        })
    });
    work.await
}

pub(super) async fn plan(
    app: &App,
    view: &StackView,
    build: &Build,
    (mirror, commit): (&Id, &Commit),
) -> Result<Vec<BuildStep>> {
    // What is stored may be older than the rule.
    view.build.settings.options.check_platforms()?;
    let files = app.git.list_files(mirror, &commit.sha, MAX_FILES).await?;
    let reads = app.plugins.planner_reads(&build.planner)?;
    let contents = contents(app, mirror, &commit.sha, &reads, &files).await?;
    // What nobody configured is left open: then the planner looks in the context first.
    let is_default = build.dockerfile == DEFAULT_DOCKERFILE && view.build.settings.dockerfile_path.is_none();
    let dockerfile = (!is_default).then(|| build.dockerfile.clone());
    let settings = BuildSettings {
        context_path: Some(build.context_path.clone()),
        dockerfile_path: dockerfile,
        ..view.build.settings.clone()
    };
    let context = PlanContext {
        stack: view.stack.name.clone(),
        ref_name: build.git_ref.clone(),
        commit: commit.sha.clone(),
        files,
        settings,
        contents,
    };
    with_subject(Subject::build(&build.id), app.plugins.planner_plan(&build.planner, context)).await
}

/// The files that the planner wants to read, those nearest to the root first; long ones and those that are no text are left out.
async fn contents(
    app: &App,
    mirror: &Id,
    sha: &str,
    reads: &[String],
    files: &[String],
) -> Result<Vec<(String, String)>> {
    let is_wanted = |path: &&String| reads.iter().any(|name| path.rsplit('/').next() == Some(name));
    let mut wanted: Vec<&String> = files.iter().filter(is_wanted).collect();
    wanted.sort_by_key(|path| (path.matches('/').count(), path.as_str()));
    let mut contents = Vec::new();
    for path in wanted.into_iter().take(READ_FILES) {
        match app.git.file(mirror, sha, path).await {
            Ok(bytes) if bytes.len() <= READ_BYTES => {
                contents.extend(String::from_utf8(bytes).ok().map(|text| (path.clone(), text)));
            }
            // Too long, a link, or a name that is not taken: for the planner it has no content.
            Ok(_) | Err(Error::TooLarge { .. } | Error::Invalid { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(contents)
}

/// Records the image; a deployment that waits goes on to its rollout, in the same transaction.
async fn succeed(
    app: &App,
    view: &StackView,
    build: &Build,
    commit: &Commit,
    made: &Made,
    log_size: i64,
) -> Result<()> {
    let (now, (tag, digest)) = (store::now(), made.image());
    let mut done = build.clone();
    done.commit_sha = commit.sha.clone();
    done.image_tag = tag.to_string();
    done.image_digest = digest.to_string();
    done.pushed = made.pushed().to_vec();
    done.log_path = Some(app.logs.path(LogKind::Build, &build.id).display().to_string());
    let waiting = match &build.deployment_id {
        Some(id) => {
            let mut deployment = deployment_view(app, id.as_str()).await?;
            deployment.commit_sha = commit.sha.clone();
            deployment.commit_message = Some(commit.message.clone());
            deployment.commit_author = Some(commit.author.clone());
            let digests = json!({ &build.planner: build.planner_digest });
            let image = (tag, digest);
            let release = new_release(app, view, &deployment, image, made.composed(), digests)?;
            deployment.release_id = Some(release.id.clone());
            deployment.image_tag = tag.to_string();
            Some((deployment, release))
        }
        None => None,
    };
    let repository_id = view.repository.as_ref().map(|row| row.id.clone());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                builds::update(tx, &done).await?;
                builds::set_log_size(tx, &done.id, log_size).await?;
                let (from, to) = (BuildStatus::Building, BuildStatus::Success);
                builds::set_status(tx, &done.id, from, to, None, now).await?;
                events::append(tx, build_event(&done, to)).await?;
                if let Some(id) = &repository_id {
                    repositories::set_synced(tx, id, &done.commit_sha, now).await?;
                }
                let Some((deployment, release)) = waiting else { return Ok(()) };
                if deployment.status.is_terminal() {
                    return Ok(());
                }
                releases::insert(tx, release).await?;
                deployments::update(tx, &deployment).await?;
                let next = DeploymentStatus::Deploying;
                deployments::transition(tx, &deployment.id, deployment.status, next, None, now).await?;
                announce(tx, &deployment, next).await?;
                enqueue_rollout(tx, &deployment).await.map(|_| ())
            })
        })
        .await
}
