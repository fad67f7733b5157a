//! Schedules: kept, and carried out at their due times by exactly one node each time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::App;
use super::cicd::{self, build::Wanted, job::job_view};
use super::deployment::{self, Caller};
use super::stack::stack_view;
use crate::domain::Id;
use crate::domain::cicd::{CicdBuild, Origin};
use crate::domain::deployment::TriggerType;
use crate::domain::schedule::{LATE_MS, Missed, Schedule, ScheduleOf, SchedulePlan};
use crate::error::{Error, Result};
use crate::store::{self, deployments, schedules};

const ROUND: Duration = Duration::from_secs(1);

pub async fn schedule_create(app: &App, stack: &str, plan: SchedulePlan) -> Result<Schedule> {
    let view = stack_view(app, stack).await?;
    if view.repository.is_none() {
        return Err(Error::conflict(format!(
            "stack `{}` has no repository, so there is nothing to deploy by a schedule; add one first",
            view.stack.name
        )));
    }
    insert(app, ScheduleOf::Stack(view.stack.id), plan).await
}

/// A schedule by which builds of a job are started at its provider.
pub async fn schedule_create_of_job(app: &App, job: &str, plan: SchedulePlan) -> Result<Schedule> {
    let job = job_view(app, job).await?;
    insert(app, ScheduleOf::Job(job.id), plan).await
}

async fn insert(app: &App, of: ScheduleOf, plan: SchedulePlan) -> Result<Schedule> {
    plan.check()?;
    let now = store::now();
    let schedule = Schedule {
        id: store::new_id(),
        seq: 0,
        of,
        next_at: first_due(&plan, now)?,
        plan,
        last_due_at: None,
        last_result: None,
        last_deployment_id: None,
        last_build_id: None,
        created_at: now,
        updated_at: now,
    };
    app.db.write(move |tx| Box::pin(async move { schedules::insert(tx, schedule).await })).await
}

/// Replaces what a person can change. The next due time is the first one after now.
pub async fn schedule_update(app: &App, reference: &str, plan: SchedulePlan) -> Result<Schedule> {
    plan.check()?;
    let old = schedule_view(app, reference).await?;
    let now = store::now();
    let schedule = Schedule { next_at: first_due(&plan, now)?, plan, updated_at: now, ..old };
    let changed = schedule.clone();
    app.db.write(move |tx| Box::pin(async move { schedules::update(tx, &changed).await })).await?;
    Ok(schedule)
}

fn first_due(plan: &SchedulePlan, now: i64) -> Result<Option<i64>> {
    if plan.enabled { plan.next_after(now) } else { Ok(None) }
}

pub async fn schedule_view(app: &App, reference: &str) -> Result<Schedule> {
    let mut conn = app.db.read().await?;
    schedules::find(&mut conn, reference).await
}

/// All, or those of a stack.
pub async fn schedule_list(app: &App, stack: Option<&str>) -> Result<Vec<Schedule>> {
    let Some(stack) = stack else {
        let mut conn = app.db.read().await?;
        return schedules::list(&mut conn).await;
    };
    let id = stack_view(app, stack).await?.stack.id;
    let mut conn = app.db.read().await?;
    schedules::list_by_stack(&mut conn, &id).await
}

/// Those of a job.
pub async fn schedule_list_of_job(app: &App, job: &str) -> Result<Vec<Schedule>> {
    let id = job_view(app, job).await?.id;
    let mut conn = app.db.read().await?;
    schedules::list_by_job(&mut conn, &id).await
}

pub async fn schedule_delete(app: &App, reference: &str) -> Result<()> {
    let id = schedule_view(app, reference).await?.id;
    app.db.write(move |tx| Box::pin(async move { schedules::delete(tx, &id).await })).await
}

/// Carries out what is due until the server stops.
pub async fn schedule_keep(app: App, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = round(&app).await {
            tracing::warn!(error = %error.for_log(), "[@deploy:schedule] schedules could not be carried out");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ROUND) => {}
        }
    }
}

async fn round(app: &App) -> Result<()> {
    let mut conn = app.db.read().await?;
    let due = schedules::list_due(&mut conn, store::now()).await?;
    drop(conn);
    for schedule in due {
        let (id, name) = (schedule.id.clone(), schedule.plan.name.clone());
        if let Err(error) = carry_out(app, schedule).await {
            tracing::warn!(schedule = %id, name, error = %error.for_log(), "[@deploy:schedule] a run failed to start");
        }
    }
    Ok(())
}

/// What a due time leads to.
#[derive(Clone)]
enum Doing {
    Deploy(Box<deployment::Prepared>),
    Start(Box<CicdBuild>),
    Nothing(String),
}

/// One due time. However many were missed, the next one is in the future.
async fn carry_out(app: &App, schedule: Schedule) -> Result<()> {
    let (now, Some(due)) = (store::now(), schedule.next_at) else { return Ok(()) };
    let next = schedule.plan.next_after(now)?;
    let doing = match decide(app, &schedule, due, now).await {
        Ok(doing) => doing,
        Err(error) if error.is_transient() => return Err(error),
        Err(error) => Doing::Nothing(format!("not started: {error}")),
    };
    app.db
        .write(move |tx| {
            Box::pin(async move {
                if !schedules::claim(tx, &schedule.id, due, next).await? {
                    return Ok(());
                }
                match doing {
                    Doing::Deploy(prepared) => {
                        let row = deployment::insert(tx, &prepared).await?;
                        let result = format!("started deployment {}", row.seq);
                        schedules::set_result(tx, &schedule.id, &result, Some(&row.id), None).await
                    }
                    Doing::Start(build) => {
                        let build = cicd::build::insert(tx, *build).await?;
                        let result = format!("started build {}", build.seq);
                        schedules::set_result(tx, &schedule.id, &result, None, Some(&build.id)).await
                    }
                    Doing::Nothing(why) => {
                        let (deployment, build) =
                            (schedule.last_deployment_id.as_ref(), schedule.last_build_id.as_ref());
                        schedules::set_result(tx, &schedule.id, &why, deployment, build).await
                    }
                }
            })
        })
        .await
}

async fn decide(app: &App, schedule: &Schedule, due: i64, now: i64) -> Result<Doing> {
    let plan = &schedule.plan;
    if plan.missed == Missed::Skip && now - due > LATE_MS {
        return Ok(Doing::Nothing(format!("skipped: no server ran at {}", shown(due))));
    }
    let stack = match &schedule.of {
        ScheduleOf::Stack(stack) => stack.as_str(),
        ScheduleOf::Job(job) => return start(app, schedule, job).await,
    };
    if let Some(running) = still_running(app, schedule.last_deployment_id.as_ref()).await? {
        return Ok(Doing::Nothing(format!("skipped: deployment {running} of the time before still runs")));
    }
    let reason = format!("schedule `{}`, due at {}", plan.name, shown(due));
    let caller = Caller { trigger: TriggerType::Scheduled, user: None, user_id: None };
    let git_ref = plan.git_ref.as_deref();
    let prepared = deployment::deployment_prepare(app, stack, git_ref, Some(reason), caller).await?;
    Ok(Doing::Deploy(Box::new(prepared)))
}

/// A build with the job's own values.
async fn start(app: &App, schedule: &Schedule, job: &Id) -> Result<Doing> {
    if let Some(last) = &schedule.last_build_id
        && let Ok(last) = cicd::build::build_view(app, last.as_str()).await
        && !last.status.is_final()
    {
        return Ok(Doing::Nothing(format!("skipped: build {} of the time before still runs", last.seq)));
    }
    let wanted = Wanted { ref_name: schedule.plan.git_ref.clone(), ..Wanted::default() };
    let build = cicd::build::build_prepare(app, job, Origin::Schedule, wanted).await?;
    Ok(Doing::Start(Box::new(build)))
}

async fn still_running(app: &App, id: Option<&Id>) -> Result<Option<i64>> {
    let Some(id) = id else { return Ok(None) };
    let mut conn = app.db.read().await?;
    let last = deployments::find_opt(&mut conn, id.as_str()).await?;
    Ok(last.filter(|row| !row.status.is_terminal()).map(|row| row.seq))
}

fn shown(at: i64) -> String {
    DateTime::<Utc>::from_timestamp_millis(at).unwrap_or_default().format("%Y-%m-%d %H:%M UTC").to_string()
}
