//! `/v1/cicd`: seed 4's endpoints, word for word. A service is a stack, a job is a task, ids are the integer `seq`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Body, PageQuery, Params};
use super::logs::LogQuery;
use super::runs::{log_of_build, log_of_deployment};
use super::view::time;
use crate::app::build::BuildOverrides;
use crate::app::stack::StackView;
use crate::app::{App, build, deployment, stack, task};
use crate::domain::Id;
use crate::domain::build::Build;
use crate::domain::deployment::Deployment;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(service_build))
        .routes(routes!(service_builds))
        .routes(routes!(build_view))
        .routes(routes!(build_logs))
        .routes(routes!(service_deploy))
        .routes(routes!(service_rollback))
        .routes(routes!(service_deployments))
        .routes(routes!(deployment_view))
        .routes(routes!(deployment_logs))
        .routes(routes!(job_view))
}

#[derive(Debug, Default, Deserialize, ToSchema)]
struct BuildRequest {
    git_url: Option<String>,
    git_ref: Option<String>,
    context_path: Option<String>,
    dockerfile: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct BuildQueued {
    build_id: i64,
    job_id: String,
    /// Always `queued`.
    status: &'static str,
}

#[derive(Debug, Deserialize, ToSchema)]
struct DeployRequest {
    image_tag: String,
    #[serde(default)]
    reason: Option<String>,
}

/// Seed 4, `Build`.
#[derive(Debug, Serialize, ToSchema)]
struct BuildRow {
    id: i64,
    project_id: i64,
    service_id: i64,
    git_url: String,
    git_ref: String,
    context_path: String,
    dockerfile: String,
    image_tag: String,
    /// queued, building, success or failed.
    status: &'static str,
    log_path: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
    created_at: String,
}

/// Seed 4, `Deployment`.
#[derive(Debug, Serialize, ToSchema)]
struct DeploymentRow {
    id: i64,
    project_id: i64,
    service_id: i64,
    image_tag: String,
    /// deploying, success, failed or rolled_back.
    status: &'static str,
    reason: Option<String>,
    created_at: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct JobRow {
    id: String,
    /// build, deploy or webhook.
    #[serde(rename = "type")]
    kind: &'static str,
    /// queued, running, success or failed; cancelled jobs count as failed in seed 4.
    status: &'static str,
    progress: i64,
    created_at: String,
    started_at: Option<String>,
}

/// The integers that seed 4 shows for project and service.
struct Numbers {
    project: i64,
    service: i64,
}

async fn numbers(app: &App, stack_id: &Id) -> ApiResult<Numbers> {
    let (project, service) = stack::stack_numbers(app, stack_id).await?;
    Ok(Numbers { project, service })
}

fn build_row(build: Build, numbers: &Numbers) -> BuildRow {
    BuildRow {
        id: build.seq,
        project_id: numbers.project,
        service_id: numbers.service,
        git_url: crate::domain::repository::redact_url(&build.git_url),
        git_ref: build.git_ref,
        context_path: build.context_path,
        dockerfile: build.dockerfile,
        image_tag: build.image_tag,
        status: build.status.seed4(),
        log_path: build.log_path,
        started_at: build.started_at.map(time),
        finished_at: build.finished_at.map(time),
        created_at: time(build.created_at),
    }
}

fn deployment_row(row: Deployment, numbers: &Numbers) -> DeploymentRow {
    DeploymentRow {
        id: row.seq,
        project_id: numbers.project,
        service_id: numbers.service,
        image_tag: row.image_tag,
        status: row.status.seed4(),
        reason: row.error.or(row.reason),
        created_at: time(row.started_at),
    }
}

/// Triggers a manual build.
#[utoipa::path(post, path = "/v1/cicd/services/{service}/build", tag = "cicd", request_body = BuildRequest,
    responses((status = 202, body = BuildQueued)),
    security(("token" = ["developer:stack"])))]
async fn service_build(
    State(app): State<App>,
    auth: Auth,
    Path(service): Path<String>,
    Body(request): Body<BuildRequest>,
) -> ApiResult<(StatusCode, Json<BuildQueued>)> {
    let BuildRequest { git_url, git_ref, context_path, dockerfile } = request;
    let overrides = BuildOverrides { git_url, git_ref, context_path, dockerfile };
    let (build, task_id) = build::build_create(&app, &service, overrides, auth.caller()).await?;
    let queued = BuildQueued { build_id: build.seq, job_id: task_id.to_string(), status: "queued" };
    Ok((StatusCode::ACCEPTED, Json(queued)))
}

/// Lists a service's builds, newest first.
#[utoipa::path(get, path = "/v1/cicd/services/{service}/builds", tag = "cicd", params(PageQuery),
    responses((status = 200, body = Vec<BuildRow>)),
    security(("token" = ["viewer:stack"])))]
async fn service_builds(
    State(app): State<App>,
    _: Auth,
    Path(service): Path<String>,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Vec<BuildRow>>> {
    let view: StackView = stack::stack_view(&app, &service).await?;
    let numbers = numbers(&app, &view.stack.id).await?;
    let page = build::build_list(&app, &view.stack.id, page.request()).await?;
    Ok(Json(page.items.into_iter().map(|row| build_row(row, &numbers)).collect()))
}

/// Shows a build.
#[utoipa::path(get, path = "/v1/cicd/builds/{build}", tag = "cicd", responses((status = 200, body = BuildRow)),
    security(("token" = ["viewer:build"])))]
async fn build_view(State(app): State<App>, _: Auth, Path(id): Path<String>) -> ApiResult<Json<BuildRow>> {
    let row = build::build_view(&app, &id).await?;
    let numbers = numbers(&app, &row.stack_id).await?;
    Ok(Json(build_row(row, &numbers)))
}

/// A build's log: as text, or live as server-sent events.
#[utoipa::path(get, path = "/v1/cicd/builds/{build}/logs", tag = "cicd", params(LogQuery),
    responses((status = 200, content_type = "text/plain", body = String)),
    security(("token" = ["viewer:build"])))]
async fn build_logs(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
    Params(query): Params<LogQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    log_of_build(app, &id, &query, &headers).await
}

/// Deploys an image that is there already.
#[utoipa::path(post, path = "/v1/cicd/services/{service}/deploy", tag = "cicd", request_body = DeployRequest,
    responses((status = 202, body = DeploymentRow)),
    security(("token" = ["deployer:stack"])))]
async fn service_deploy(
    State(app): State<App>,
    auth: Auth,
    Path(service): Path<String>,
    Body(request): Body<DeployRequest>,
) -> ApiResult<(StatusCode, Json<DeploymentRow>)> {
    let DeployRequest { image_tag, reason } = request;
    let caller = auth.caller();
    let row = deployment::deployment_create_from_image(&app, &service, &image_tag, reason, caller).await?;
    let numbers = numbers(&app, &row.stack_id).await?;
    Ok((StatusCode::ACCEPTED, Json(deployment_row(row, &numbers))))
}

/// Rolls back to the previous deployment. Takes no body.
#[utoipa::path(post, path = "/v1/cicd/services/{service}/rollback", tag = "cicd",
    responses((status = 202, body = DeploymentRow)),
    security(("token" = ["deployer:stack"])))]
async fn service_rollback(
    State(app): State<App>,
    auth: Auth,
    Path(service): Path<String>,
) -> ApiResult<(StatusCode, Json<DeploymentRow>)> {
    let row = deployment::deployment_rollback(&app, &service, None, auth.caller()).await?;
    let numbers = numbers(&app, &row.stack_id).await?;
    Ok((StatusCode::ACCEPTED, Json(deployment_row(row, &numbers))))
}

/// Lists a service's deployments, newest first.
#[utoipa::path(get, path = "/v1/cicd/services/{service}/deployments", tag = "cicd", params(PageQuery),
    responses((status = 200, body = Vec<DeploymentRow>)),
    security(("token" = ["viewer:stack"])))]
async fn service_deployments(
    State(app): State<App>,
    auth: Auth,
    Path(service): Path<String>,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Vec<DeploymentRow>>> {
    let view: StackView = stack::stack_view(&app, &service).await?;
    let numbers = numbers(&app, &view.stack.id).await?;
    let page = deployment::deployment_list(&app, Some(&view.stack.id), page.request(), &auth.reach()).await?;
    Ok(Json(page.items.into_iter().map(|row| deployment_row(row, &numbers)).collect()))
}

/// Shows a deployment.
#[utoipa::path(get, path = "/v1/cicd/deployments/{deployment}", tag = "cicd",
    responses((status = 200, body = DeploymentRow)),
    security(("token" = ["viewer:deployment"])))]
async fn deployment_view(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
) -> ApiResult<Json<DeploymentRow>> {
    let row = deployment::deployment_view(&app, &id).await?;
    let numbers = numbers(&app, &row.stack_id).await?;
    Ok(Json(deployment_row(row, &numbers)))
}

/// A deployment's log, that of its build first: as text, or live as server-sent events.
#[utoipa::path(get, path = "/v1/cicd/deployments/{deployment}/logs", tag = "cicd", params(LogQuery),
    responses((status = 200, content_type = "text/plain", body = String)),
    security(("token" = ["viewer:deployment"])))]
async fn deployment_logs(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
    Params(query): Params<LogQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    log_of_deployment(app, &id, &query, &headers).await
}

/// Shows a job's status and progress.
#[utoipa::path(get, path = "/v1/cicd/jobs/{job}", tag = "cicd", responses((status = 200, body = JobRow)),
    security(("token" = ["viewer:task"])))]
async fn job_view(State(app): State<App>, _: Auth, Path(id): Path<String>) -> ApiResult<Json<JobRow>> {
    let row = task::task_view(&app, &Id::from_text(id)).await?;
    Ok(Json(JobRow {
        id: row.id.to_string(),
        kind: row.task.kind(),
        status: row.status.seed4(),
        progress: row.progress,
        created_at: time(row.created_at),
        started_at: row.started_at.map(time),
    }))
}
