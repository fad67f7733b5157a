//! Builds: started, followed, stopped, started again; and the files they made.

use serde_json::{Map, Value};

use super::job::{active, job_and_provider, job_view, with_defaults};
use super::target;
use crate::app::App;
use crate::domain::ci::{CiArtifact, CiArtifactChunk, CiStatus};
use crate::domain::cicd::{CicdBuild, CicdJob, CicdProvider, Origin, Start, check_retries, values};
use crate::domain::page::{Page, PageRequest};
use crate::domain::task::{NewTask, Task};
use crate::domain::{Id, UnixMs};
use crate::error::{Error, Result};
use crate::queue;
use crate::store::{self, Tx, ci_builds};

/// Seconds that a build gets if nothing else is said.
const TIMEOUT_SECS: u32 = 3600;
/// How long a provider gets to stop a build.
const STOP_MS: UnixMs = 120_000;

/// What is wanted of a new build.
#[derive(Debug, Default)]
pub struct Wanted {
    pub parameters: Map<String, Value>,
    /// Branch or tag; the job's own if absent.
    pub ref_name: Option<String>,
    pub timeout_secs: Option<u32>,
    /// How often it is started again if it fails; as the job has it if absent.
    pub retries: Option<u32>,
}

/// The row of a build that nothing was sent for yet.
pub(super) fn new(job: &CicdJob, origin: Origin, wanted: Wanted) -> CicdBuild {
    let now = store::now();
    let timeout_secs = i64::from(wanted.timeout_secs.unwrap_or(TIMEOUT_SECS));
    CicdBuild {
        id: store::new_id(),
        seq: 0,
        job_id: job.id.clone(),
        deployment_id: None,
        external_id: None,
        number: String::new(),
        status: CiStatus::Pending,
        status_word: None,
        url: None,
        ref_name: wanted.ref_name,
        parameters: with_defaults(job, wanted.parameters),
        origin,
        attempt: 1,
        start: Start::None,
        cancel_requested: false,
        hinted_at: None,
        deadline_at: now + timeout_secs * 1000,
        log_cursor: None,
        log_complete: false,
        trouble: None,
        trouble_since: None,
        error: None,
        started_at: None,
        finished_at: None,
        settled_at: None,
        timeout_secs,
        retries: wanted.retries.unwrap_or(job.spec.retries).into(),
        failover: None,
        successor_id: None,
        created_at: now,
        updated_at: now,
    }
}

fn key(id: &Id) -> String {
    format!("ci_build:{id}")
}

/// Has it followed from now on.
pub async fn enqueue(tx: &mut Tx, id: &Id) -> Result<()> {
    enqueue_at(tx, id, None).await
}

/// The same from a later time on.
pub(super) async fn enqueue_at(tx: &mut Tx, id: &Id, run_at: Option<UnixMs>) -> Result<()> {
    let task = NewTask {
        id: store::new_id(),
        task: Task::CiBuild { build_id: id.clone() },
        priority: 5,
        unique_key: Some(key(id)),
        concurrency_key: None,
        run_at,
        trace: None,
    };
    queue::enqueue(tx, &task).await.map(|_| ())
}

/// Has the provider asked about it now.
pub(super) async fn hint(tx: &mut Tx, id: &Id) -> Result<()> {
    ci_builds::hint(tx, id, store::now()).await?;
    queue::hasten(tx, &key(id)).await.map(|_| ())
}

/// Seed 0, `triggerJob`: stores the build, which a task then starts.
pub async fn build_trigger(app: &App, job: &str, wanted: Wanted) -> Result<CicdBuild> {
    let job = job_view(app, job).await?;
    start(app, &job.id, Origin::Api, wanted).await
}

/// Starts a build with the values of another one.
pub async fn build_rerun(app: &App, build: &str) -> Result<CicdBuild> {
    let build = build_view(app, build).await?;
    if build.deployment_id.is_some() {
        return Err(Error::conflict(format!(
            "build {} belongs to a deployment; deploy the stack again instead, so that the new build has one as well",
            build.seq
        )));
    }
    let wanted = Wanted {
        parameters: build.parameters,
        ref_name: build.ref_name,
        timeout_secs: u32::try_from(build.timeout_secs).ok(),
        retries: None,
    };
    start(app, &build.job_id, Origin::Rerun, wanted).await
}

async fn start(app: &App, job: &Id, origin: Origin, wanted: Wanted) -> Result<CicdBuild> {
    let build = build_prepare(app, job, origin, wanted).await?;
    app.db.write(move |tx| Box::pin(async move { insert(tx, build).await })).await
}

/// The row of a build that can be started, checked as far as it can be without asking the provider.
pub async fn build_prepare(app: &App, job: &Id, origin: Origin, wanted: Wanted) -> Result<CicdBuild> {
    let (job, provider) = job_and_provider(app, job).await?;
    active(&provider)?;
    values("parameters", &wanted.parameters)?;
    if let Some(name) = &wanted.ref_name {
        crate::domain::reference::check_name(name)?;
    }
    if wanted.timeout_secs.is_some_and(|secs| !(10..=604_800).contains(&secs)) {
        return Err(Error::invalid("timeout_secs", "timeout_secs has to be from 10 to 604800, a week"));
    }
    check_retries("retries", wanted.retries.unwrap_or(0))?;
    Ok(new(&job, origin, wanted))
}

/// Stores a build with the task that starts it.
pub(in crate::app) async fn insert(tx: &mut Tx, build: CicdBuild) -> Result<CicdBuild> {
    let build = ci_builds::insert(tx, build).await?;
    enqueue(tx, &build.id).await?;
    Ok(build)
}

/// Has a build stopped at the provider; its status tells when it has.
pub async fn build_cancel(app: &App, build: &str) -> Result<CicdBuild> {
    let build = build_view(app, build).await?;
    if build.status.is_final() {
        let (seq, status) = (build.seq, build.status.as_str());
        return Err(Error::conflict(format!("build {seq} has ended ({status}); there is nothing to cancel")));
    }
    let id = build.id.clone();
    app.db.write(move |tx| Box::pin(async move { cancel(tx, &id).await })).await?;
    build_view(app, build.id.as_str()).await
}

pub(super) async fn cancel(tx: &mut Tx, id: &Id) -> Result<()> {
    let now = store::now();
    if ci_builds::request_cancel(tx, id, now, now + STOP_MS).await? {
        queue::hasten(tx, &key(id)).await?;
    }
    Ok(())
}

/// `key` is an id or a number.
pub async fn build_view(app: &App, key: &str) -> Result<CicdBuild> {
    let mut conn = app.db.read().await?;
    ci_builds::find(&mut conn, key).await
}

pub async fn build_list(app: &App, job: &str, page: PageRequest) -> Result<Page<CicdBuild>> {
    let job = job_view(app, job).await?;
    let mut conn = app.db.read().await?;
    ci_builds::list_by_job(&mut conn, &job.id, page).await
}

/// Those of a deployment, oldest first.
pub async fn build_list_of(app: &App, deployment: &Id) -> Result<Vec<CicdBuild>> {
    let mut conn = app.db.read().await?;
    ci_builds::list_by_deployment(&mut conn, deployment).await
}

/// What the build made, as the provider lists it.
pub async fn artifact_list(app: &App, build: &str) -> Result<Vec<CiArtifact>> {
    let (job, provider, external) = known(app, build).await?;
    let target = target(app, &provider)?;
    app.plugins.provider_artifacts(&provider.kind, &target, &job.external_id, &external).await
}

/// A piece of an artifact, and where the next one begins.
pub async fn artifact_read(
    app: &App,
    build: &str,
    artifact: &str,
    after: Option<&str>,
) -> Result<CiArtifactChunk> {
    let (job, provider, external) = known(app, build).await?;
    let (target, at) = (target(app, &provider)?, (job.external_id.as_str(), external.as_str(), artifact));
    app.plugins.provider_artifact(&provider.kind, &target, at, after).await
}

/// A build that the provider knows by a name.
async fn known(app: &App, build: &str) -> Result<(CicdJob, CicdProvider, String)> {
    let build = build_view(app, build).await?;
    let (job, provider) = job_and_provider(app, &build.job_id).await?;
    let Some(external) = build.external_id else {
        return Err(Error::conflict(format!("build {} has not begun at the provider", build.seq)));
    };
    Ok((job, provider, external))
}
