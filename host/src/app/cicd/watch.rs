//! Builds that others start at the provider: heard of by a report, or found by asking now and then about the jobs that are
//! watched. Those are the jobs of stacks, and whichever say so.
//!
//! A provider tells only which build is the newest. Of several that were started between two looks, the last one is found.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::job::{active, job_and_provider, job_stack, job_view};
use super::{apply, build, target};
use crate::app::App;
use crate::domain::ci::{CiBuild, CiJob};
use crate::domain::cicd::{CicdBuild, CicdJob, CicdProvider, LOOK_MS, Origin, ProviderState, look_after_ms};
use crate::domain::task::{NewTask, Task};
use crate::domain::{Id, UnixMs};
use crate::error::{Error, Result};
use crate::plugins::unrecorded;
use crate::queue::{self, Done, TaskContext};
use crate::store::{self, Tx, ci_builds, cicd_jobs, events};

const ROUND: Duration = Duration::from_secs(1);
/// Jobs that are asked about in one round at most, so that however many are watched, it costs no more.
const AT_ONCE: u8 = 5;
/// Of them those of one provider, so that one that does not answer leaves room for others.
const OF_ONE: u8 = 2;
/// After which a provider has not told in time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Seconds that a build of others is followed, a week: how long it may take is not ours to say.
const TIMEOUT_SECS: u32 = 604_800;

/// Asks about the jobs that are watched until `stop`.
pub async fn job_watch(app: App, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ROUND) => {}
        }
        if let Err(error) = round(&app).await {
            tracing::warn!("[@service:cicd:watch] jobs cannot be watched: {}", error.for_log());
        }
    }
}

async fn round(app: &App) -> Result<()> {
    let mut conn = app.db.read().await?;
    let due = cicd_jobs::list_due(&mut conn, store::now(), AT_ONCE.into(), OF_ONE.into()).await?;
    drop(conn);
    // Nobody wants to replay looks at which there was nothing new.
    let look = |job: CicdJob| async move {
        let looked = unrecorded(look_if_due(app, &job)).await;
        (job, looked)
    };
    let mut looks = futures_util::stream::iter(due.into_iter().map(look)).buffer_unordered(AT_ONCE.into());
    while let Some((job, looked)) = looks.next().await {
        if let Err(error) = looked {
            let name = &job.name;
            tracing::debug!("[@service:cicd:watch] job {name} cannot be looked at: {}", error.for_log());
        }
    }
    Ok(())
}

/// Asks about a job if no other node does, and if it is still to be watched.
async fn look_if_due(app: &App, job: &CicdJob) -> Result<()> {
    let (provider, is_watched) = match whereabouts(app, job).await {
        Ok(known) => known,
        Err(error) => {
            // What cannot be read does not keep its place before others.
            claim(app, job, Some(store::now() + LOOK_MS.1)).await?;
            return Err(error);
        }
    };
    let now = store::now();
    let can_tell = matches!(provider.health.state(now), ProviderState::Healthy | ProviderState::Unknown);
    let can_be_asked = provider.is_active && job.made_at.is_some() && can_tell;
    let pause = if can_be_asked { look_after_ms(now - job.updated_at) } else { LOOK_MS.1 };
    let next = is_watched.then(|| now + app.ci_budgets.stretched(&provider.id, pause));
    if !claim(app, job, next).await? || !is_watched || !can_be_asked {
        return Ok(());
    }
    let target = target(app, &provider)?;
    let asked = app.plugins.provider_job_status(&provider.kind, &target, &job.external_id);
    let Ok(said) = tokio::time::timeout(PATIENCE, asked).await else {
        let claimed = CicdJob { look_at: next, ..job.clone() };
        claim(app, &claimed, Some(store::now() + LOOK_MS.1)).await?;
        return Err(Error::timeout("the answer of the provider", PATIENCE.as_secs()));
    };
    synced(app, job.clone(), said?, &provider).await
}

/// Where a job is, and whether it is still watched.
async fn whereabouts(app: &App, job: &CicdJob) -> Result<(CicdProvider, bool)> {
    let provider = job_and_provider(app, &job.id).await?.1;
    let is_watched = job.spec.watch || job_stack(app, &job.id).await?.is_some();
    Ok((provider, is_watched))
}

/// Takes the look that is due, and says when the next one is: true if nobody else did.
async fn claim(app: &App, due: &CicdJob, next: Option<UnixMs>) -> Result<bool> {
    let due = due.clone();
    app.db.write(move |tx| Box::pin(async move { cicd_jobs::claim_look(tx, &due, next).await })).await
}

/// What ended before the job was known here is nobody's news, whoever has it asked about.
fn is_history(job: &CicdJob, newest: &CiBuild) -> bool {
    newest.status.is_final() && newest.finished_at.or(newest.started_at).is_some_and(|at| at < job.created_at)
}

/// Asks about a job, and takes over its newest build if nobody here has started it.
pub async fn ci_job_run(app: &App, context: &TaskContext, id: &Id) -> Result<Done> {
    let _aside = context.step_aside();
    let (job, provider) = job_and_provider(app, id).await?;
    if !provider.is_active || job.made_at.is_none() {
        return Ok(Done::Finished);
    }
    let target = target(app, &provider)?;
    let said = app.plugins.provider_job_status(&provider.kind, &target, &job.external_id).await?;
    synced(app, job, said, &provider).await?;
    Ok(Done::Finished)
}

async fn synced(app: &App, job: CicdJob, said: CiJob, provider: &CicdProvider) -> Result<()> {
    let sync = app.db.write(move |tx| {
        Box::pin(async move {
            cicd_jobs::synced(tx, &job.id, &said, store::now()).await?;
            match said.last_build.filter(|newest| !is_history(&job, newest)) {
                Some(newest) => adopt(tx, &job, &newest).await,
                None => Ok(None),
            }
        })
    });
    if let Some(build) = sync.await? {
        tracing::info!(
            "[@service:cicd:build] build {} at provider {} was started by somebody else and is followed now",
            build.number,
            provider.name
        );
    }
    Ok(())
}

/// None if it is known, or may be one of ours that has no number yet.
async fn adopt(tx: &mut Tx, job: &CicdJob, newest: &CiBuild) -> Result<Option<CicdBuild>> {
    if ci_builds::find_external(tx, &job.id, &newest.id).await?.is_some()
        || ci_builds::may_be_ours(tx, job).await?
    {
        return Ok(None);
    }
    if let Some(url) = &newest.url
        && ci_builds::is_elsewhere(tx, job, &newest.id, url).await?
    {
        return Ok(None);
    }
    // It is followed, and neither started again nor moved: that is for those who have started it.
    let wanted =
        build::Wanted { timeout_secs: Some(TIMEOUT_SECS), retries: Some(0), ..build::Wanted::default() };
    let mut build = build::new(job, Origin::Outside, wanted);
    // What it was started with is not known.
    build.parameters = serde_json::Map::new();
    build.learn(newest);
    let build = ci_builds::insert(tx, build).await?;
    let now = store::now();
    cicd_jobs::set_status(tx, &job.id, build.status, &build.number, now).await?;
    // Where somebody builds, there will be more.
    cicd_jobs::look_by(tx, &job.id, now + LOOK_MS.0).await?;
    events::append(tx, apply::status(&build)).await?;
    build::enqueue(tx, &build.id).await?;
    Ok(Some(build))
}

/// Has the provider asked about a job now.
pub async fn job_sync(app: &App, key: &str) -> Result<CicdJob> {
    let job = job_view(app, key).await?;
    let (job, provider) = job_and_provider(app, &job.id).await?;
    active(&provider)?;
    if job.made_at.is_none() {
        let name = &job.name;
        let message = format!("job `{name}` is not made at the provider yet; its next build makes it");
        return Err(Error::conflict(message));
    }
    let id = job.id.clone();
    app.db.write(move |tx| Box::pin(async move { look(tx, &id).await })).await?;
    Ok(job)
}

/// The same in the caller's transaction: somebody else may have started a build.
pub(super) async fn look(tx: &mut Tx, job: &Id) -> Result<()> {
    let task = NewTask {
        id: store::new_id(),
        task: Task::CiJob { job_id: job.clone() },
        priority: 0,
        unique_key: Some(format!("ci_job:{job}")),
        concurrency_key: None,
        run_at: None,
        trace: None,
    };
    queue::enqueue(tx, &task).await.map(|_| ())
}
