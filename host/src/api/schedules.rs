//! `/api/v1/schedules`, and those of a stack or a job.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Body, Success, ok};
use super::view::{time, times};
use crate::app::App;
use crate::app::schedule;
use crate::domain::Id;
use crate::domain::schedule::{Schedule, SchedulePlan};
use crate::error::Result;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(schedule_list))
        .routes(routes!(schedule_view, schedule_update, schedule_delete))
        .routes(routes!(stack_schedules, schedule_create))
        .routes(routes!(job_schedules, job_schedule_create))
}

/// Due times that an answer shows.
const UPCOMING: usize = 5;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ScheduleView {
    id: String,
    seq: i64,
    /// Of the stack that it deploys.
    stack_id: Option<String>,
    /// Of the job at a provider of which it starts builds.
    job_id: Option<String>,
    #[serde(flatten)]
    plan: SchedulePlan,
    /// Absent while it is off.
    next_at: Option<String>,
    /// The next due times, in the schedule's own time zone.
    upcoming: Vec<String>,
    last_due_at: Option<String>,
    /// What came of the last due time.
    last_result: Option<String>,
    last_deployment_id: Option<String>,
    last_build_id: Option<String>,
    created_at: String,
    updated_at: String,
}

impl ScheduleView {
    fn of(row: Schedule) -> Result<Self> {
        let upcoming = match row.next_at {
            // One millisecond before, since it is among them.
            Some(next) => row.plan.upcoming(next - 1, UPCOMING)?,
            None => Vec::new(),
        };
        Ok(Self {
            id: row.id.to_string(),
            seq: row.seq,
            stack_id: row.of.stack().map(Id::to_string),
            job_id: row.of.job().map(Id::to_string),
            plan: row.plan,
            next_at: times(row.next_at),
            upcoming,
            last_due_at: times(row.last_due_at),
            last_result: row.last_result,
            last_deployment_id: row.last_deployment_id.map(|id| id.to_string()),
            last_build_id: row.last_build_id.map(|id| id.to_string()),
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        })
    }
}

#[derive(Serialize, ToSchema)]
struct Schedules {
    items: Vec<ScheduleView>,
}

fn all(rows: Vec<Schedule>) -> ApiResult<Json<Success<Schedules>>> {
    Ok(ok(Schedules { items: rows.into_iter().map(ScheduleView::of).collect::<Result<_>>()? }))
}

/// Lists the schedules of all stacks and jobs.
#[utoipa::path(get, path = "/api/v1/schedules", tag = "schedules", responses((status = 200, body = Success<Schedules>)),
    security(("token" = ["admin:server"])))]
async fn schedule_list(State(app): State<App>, _: Auth) -> ApiResult<Json<Success<Schedules>>> {
    all(schedule::schedule_list(&app, None).await?)
}

/// Lists a stack's schedules.
#[utoipa::path(get, path = "/api/v1/stacks/{stack}/schedules", tag = "schedules",
    responses((status = 200, body = Success<Schedules>)),
    security(("token" = ["viewer:stack"])))]
async fn stack_schedules(
    State(app): State<App>,
    _: Auth,
    Path(stack): Path<String>,
) -> ApiResult<Json<Success<Schedules>>> {
    all(schedule::schedule_list(&app, Some(&stack)).await?)
}

/// Deploys a stack at set times.
#[utoipa::path(post, path = "/api/v1/stacks/{stack}/schedules", tag = "schedules", request_body = SchedulePlan,
    responses((status = 201, body = Success<ScheduleView>), (status = 409), (status = 422)),
    security(("token" = ["developer:stack"])))]
async fn schedule_create(
    State(app): State<App>,
    _: Auth,
    Path(stack): Path<String>,
    Body(plan): Body<SchedulePlan>,
) -> ApiResult<(StatusCode, Json<Success<ScheduleView>>)> {
    let row = schedule::schedule_create(&app, &stack, plan).await?;
    Ok((StatusCode::CREATED, ok(ScheduleView::of(row)?)))
}

/// Lists the schedules of a job at a provider.
#[utoipa::path(get, path = "/api/v1/ci/jobs/{ci_job}/schedules", tag = "schedules",
    responses((status = 200, body = Success<Schedules>), (status = 404)),
    security(("token" = ["viewer:ci_job"])))]
async fn job_schedules(
    State(app): State<App>,
    _: Auth,
    Path(job): Path<String>,
) -> ApiResult<Json<Success<Schedules>>> {
    all(schedule::schedule_list_of_job(&app, &job).await?)
}

/// Starts builds of a job at set times, with the job's own values.
#[utoipa::path(post, path = "/api/v1/ci/jobs/{ci_job}/schedules", tag = "schedules", request_body = SchedulePlan,
    responses((status = 201, body = Success<ScheduleView>), (status = 404), (status = 409), (status = 422)),
    security(("token" = ["deployer:ci_job"])))]
async fn job_schedule_create(
    State(app): State<App>,
    _: Auth,
    Path(job): Path<String>,
    Body(plan): Body<SchedulePlan>,
) -> ApiResult<(StatusCode, Json<Success<ScheduleView>>)> {
    let row = schedule::schedule_create_of_job(&app, &job, plan).await?;
    Ok((StatusCode::CREATED, ok(ScheduleView::of(row)?)))
}

/// Shows a schedule by id or number.
#[utoipa::path(get, path = "/api/v1/schedules/{schedule}", tag = "schedules",
    responses((status = 200, body = Success<ScheduleView>)),
    security(("token" = ["viewer:schedule"])))]
async fn schedule_view(
    State(app): State<App>,
    _: Auth,
    Path(reference): Path<String>,
) -> ApiResult<Json<Success<ScheduleView>>> {
    Ok(ok(ScheduleView::of(schedule::schedule_view(&app, &reference).await?)?))
}

/// Changes a schedule. The next due time is the first one after now.
#[utoipa::path(put, path = "/api/v1/schedules/{schedule}", tag = "schedules", request_body = SchedulePlan,
    responses((status = 200, body = Success<ScheduleView>), (status = 422)),
    security(("token" = ["developer:schedule"])))]
async fn schedule_update(
    State(app): State<App>,
    _: Auth,
    Path(reference): Path<String>,
    Body(plan): Body<SchedulePlan>,
) -> ApiResult<Json<Success<ScheduleView>>> {
    Ok(ok(ScheduleView::of(schedule::schedule_update(&app, &reference, plan).await?)?))
}

/// Removes a schedule. What it has deployed stays.
#[utoipa::path(delete, path = "/api/v1/schedules/{schedule}", tag = "schedules", responses((status = 204)),
    security(("token" = ["developer:schedule"])))]
async fn schedule_delete(
    State(app): State<App>,
    _: Auth,
    Path(reference): Path<String>,
) -> ApiResult<StatusCode> {
    schedule::schedule_delete(&app, &reference).await?;
    Ok(StatusCode::NO_CONTENT)
}
