//! Builds that take the place of others: after a failure, and at the job's second provider.
//!
//! A build that is moved is stopped first. The one at the second provider is only started once the first has come to its end, in
//! the same transaction, so that never both deploy. If the first one runs to an end of its own in spite of it, that one counts.

use serde_json::json;

use super::build::{self, Wanted};
use super::job::{self, active};
use super::provider::provider_view;
use super::{apply, log};
use crate::app::App;
use crate::domain::Id;
use crate::domain::ci::CiStatus;
use crate::domain::cicd::{CicdBuild, CicdJob, CicdProvider, JobParams, LEAVE_MS, Origin, ProviderState};
use crate::domain::deployment::Deployment;
use crate::domain::event::{EventKind, NewEvent};
use crate::error::{Error, Result};
use crate::store::{
    self, Tx, ci_builds, cicd_jobs, cicd_providers, deployment_cicd_mappings as mappings, deployments,
    events, new_id,
};

/// Checks the second provider of a job, and has it named by its id.
pub(super) async fn check(
    app: &App,
    first: &CicdProvider,
    job: &mut JobParams,
) -> Result<Option<CicdProvider>> {
    const FIELD: &str = "failover.provider";
    let Some(other) = &mut job.failover else { return Ok(None) };
    let missing = Error::not_found("provider", &other.provider).to_string();
    let second = match provider_view(app, &other.provider).await {
        Err(Error::NotFound { .. }) => return Err(Error::invalid(FIELD, missing)),
        found => found?,
    };
    // Whoever may use the first one need not even know of those of others.
    if second.team_id != first.team_id {
        let message = format!("{missing}, or it is not of the same team as provider `{}`", first.name);
        return Err(Error::invalid(FIELD, message));
    }
    if second.id == first.id {
        return Err(Error::invalid(FIELD, "the second provider has to be another one than the first"));
    }
    active(&second)?;
    other.provider = second.id.to_string();
    Ok(Some(second))
}

/// Has the second provider's pipeline written once, so that one that cannot be shows now, and not when it is needed.
pub(super) async fn try_out(app: &App, second: Option<&CicdProvider>, job: &JobParams) -> Result<()> {
    match (second, job.elsewhere()) {
        (Some(second), Some(there)) => job::files(app, second, &there).await.map(|_| ()),
        _ => Ok(()),
    }
}

/// What is to be done about a build that has not begun.
pub(super) enum Patience {
    /// Nothing, or not before so many milliseconds have passed.
    Wait(Option<i64>),
    /// It is being moved: the next step stops it.
    Over,
}

/// Moves a build to its job's second provider if its time has come and that one can be expected to take it.
pub(super) async fn consider(
    app: &App,
    build: &CicdBuild,
    job: &CicdJob,
    first: &CicdProvider,
) -> Result<Patience> {
    let Some(other) = &job.spec.failover else { return Ok(Patience::Wait(None)) };
    let now = store::now();
    let Some((left, why)) = build.moves_in(other.after_secs, now) else { return Ok(Patience::Wait(None)) };
    if left > 0 {
        return Ok(Patience::Wait(Some(left)));
    }
    let mut conn = app.db.read().await?;
    let second = cicd_providers::find_opt(&mut conn, &other.provider).await?;
    drop(conn);
    // One of them may have changed hands since the job was made.
    let can_take = |second: &CicdProvider| second.team_id == first.team_id && can_take(second, now);
    let Some(second) = second.filter(can_take) else {
        return Ok(Patience::Wait(None));
    };
    let reason = format!("moved from {} to {}: {why}", first.name, second.name);
    let event = NewEvent {
        kind: EventKind::CiBuildMoved,
        stack_id: None,
        subject_id: Some(build.id.clone()),
        data: json!({
            "build": build.seq, "job_id": build.job_id, "deployment_id": build.deployment_id, "from": first.name,
            "to": second.name, "reason": why,
        }),
    };
    let (id, deployment, text) = (build.id.clone(), build.deployment_id.clone(), reason.clone());
    let asked = app.db.write(move |tx| {
        Box::pin(async move {
            if !ci_builds::request_failover(tx, &id, &text, now, now + LEAVE_MS).await? {
                return Ok(false);
            }
            if let Some(deployment) = &deployment {
                deployments::set_label(tx, deployment, &format!("The build is {text}")).await?;
            }
            events::append(tx, event).await?;
            Ok(true)
        })
    });
    if !asked.await? {
        return Ok(Patience::Wait(None));
    }
    tracing::info!("[@service:cicd:build] build {} of job {} is {reason}", build.seq, job.name);
    log::say(app, build, &format!("the build is {reason}"));
    Ok(Patience::Over)
}

fn can_take(provider: &CicdProvider, now: i64) -> bool {
    let state = provider.health.state(now);
    provider.is_active && matches!(state, ProviderState::Healthy | ProviderState::Unknown)
}

/// The build that takes the place of one that has just ended, stored with the task that starts it; none if that end counts.
pub(super) async fn follow_on(
    tx: &mut Tx,
    build: &CicdBuild,
    deployment: Option<&Deployment>,
) -> Result<Option<CicdBuild>> {
    let is_wanted = deployment
        .is_none_or(|deployment| !deployment.status.is_terminal() && !deployment.rollout.abort_requested);
    if !is_wanted || build.successor_id.is_some() {
        return Ok(None);
    }
    match build.status {
        CiStatus::Cancelled if build.failover.is_some() => move_on(tx, build).await,
        CiStatus::Failure => retry(tx, build).await,
        _ => Ok(None),
    }
}

async fn move_on(tx: &mut Tx, build: &CicdBuild) -> Result<Option<CicdBuild>> {
    let job = cicd_jobs::find(tx, build.job_id.as_str()).await?;
    let (Some(spec), Some(other)) = (job.spec.elsewhere(), &job.spec.failover) else { return Ok(None) };
    let Some(second) = cicd_providers::find_opt(tx, &other.provider).await? else { return Ok(None) };
    let there = place(tx, &second, spec, job.creator_id.clone()).await?;
    let next = CicdBuild { attempt: build.attempt, ..again(build, &there, Origin::Failover) };
    let next = ci_builds::insert(tx, next).await?;
    build::enqueue(tx, &next.id).await?;
    if let Some(deployment) = &build.deployment_id {
        mappings::set_job(tx, deployment, &there.id, store::now()).await?;
        let why = build.failover.as_deref().unwrap_or_default();
        deployments::set_label(tx, deployment, &format!("The build was {why}")).await?;
    }
    events::append(tx, apply::status(&next)).await?;
    Ok(Some(next))
}

/// The job at its second provider, made anew before the build starts if it has changed.
async fn place(
    tx: &mut Tx,
    provider: &CicdProvider,
    spec: JobParams,
    creator: Option<String>,
) -> Result<CicdJob> {
    let known = cicd_jobs::list_by_name(tx, &provider.id, &spec.name).await?.into_iter().next();
    match known {
        None => cicd_jobs::insert(tx, job::new(provider, spec, creator)).await,
        Some(known) if known.spec == spec => Ok(known),
        Some(known) => respecify(tx, provider, known, spec).await,
    }
}

/// The row of a job that is to be another one: it is made anew before the next build.
pub(super) async fn respecify(
    tx: &mut Tx,
    provider: &CicdProvider,
    known: CicdJob,
    spec: JobParams,
) -> Result<CicdJob> {
    let fresh = job::new(provider, spec, None);
    let job = CicdJob {
        description: fresh.description,
        parameters: fresh.parameters,
        spec: fresh.spec,
        made_at: None,
        ..known
    };
    cicd_jobs::respecify(tx, &job, store::now()).await?;
    Ok(job)
}

/// Starts a build again that failed, if that is wanted and nobody has stopped it.
async fn retry(tx: &mut Tx, build: &CicdBuild) -> Result<Option<CicdBuild>> {
    // What the host has ended, such as one whose start is uncertain, may still run.
    let is_own_failure = build.error.is_none() && !build.cancel_requested;
    if !is_own_failure || build.attempt > build.retries {
        return Ok(None);
    }
    let job = cicd_jobs::find(tx, build.job_id.as_str()).await?;
    let next = again(build, &job, Origin::Retry);
    let pause = job.spec.retry_delay_ms(next.attempt);
    let next = CicdBuild { deadline_at: next.deadline_at + pause, ..next };
    let next = ci_builds::insert(tx, next).await?;
    build::enqueue_at(tx, &next.id, (pause > 0).then(|| store::now() + pause)).await?;
    if let Some(deployment) = &build.deployment_id {
        let when = if pause > 0 { format!(" in {} s", pause / 1000) } else { String::new() };
        let label = format!("Build {} failed; attempt {} begins{when}", build.number, next.attempt);
        deployments::set_label(tx, deployment, &label).await?;
    }
    events::append(tx, apply::status(&next)).await?;
    Ok(Some(next))
}

/// A build with the values of another one, which it stands for.
fn again(build: &CicdBuild, job: &CicdJob, origin: Origin) -> CicdBuild {
    let wanted = Wanted {
        parameters: build.parameters.clone(),
        ref_name: build.ref_name.clone(),
        timeout_secs: u32::try_from(build.timeout_secs).ok(),
        retries: u32::try_from(build.retries).ok(),
    };
    CicdBuild {
        id: new_id(),
        deployment_id: build.deployment_id.clone(),
        attempt: build.attempt + 1,
        ..build::new(job, origin, wanted)
    }
}

/// The number of the build that took this one's place.
pub async fn successor(app: &App, build: &CicdBuild) -> Result<Option<i64>> {
    let Some(id): Option<&Id> = build.successor_id.as_ref() else { return Ok(None) };
    Ok(Some(build::build_view(app, id.as_str()).await?.seq))
}
