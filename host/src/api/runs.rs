//! `/api/v1/deployments` and `/api/v1/builds`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, PageQuery, Params, Success, ok};
use super::logs::{self, FoundLines, LogQuery, Part, SearchQuery};
use super::view::{BuildView, DeploymentView, LogView, PageView, StepView};
use crate::app::logs::{LogKind, deployment_logs_kept, log_kept};
use crate::app::{App, build, cicd, deployment};
use crate::domain::deployment::Deployment;
use crate::error::Result;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(deployment_list))
        .routes(routes!(deployment_view))
        .routes(routes!(deployment_steps))
        .routes(routes!(deployment_logs))
        .routes(routes!(deployment_logs_search))
        .routes(routes!(deployment_cancel))
        .routes(routes!(deployment_retry))
        .routes(routes!(build_view))
        .routes(routes!(build_logs))
        .routes(routes!(build_logs_search))
        .routes(routes!(build_cancel))
}

/// Lists all deployments, newest first.
#[utoipa::path(get, path = "/api/v1/deployments", tag = "deployments", params(PageQuery),
    responses((status = 200, body = Success<PageView<DeploymentView>>)),
    security(("token" = ["viewer:any"])))]
async fn deployment_list(
    State(app): State<App>,
    auth: Auth,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Success<PageView<DeploymentView>>>> {
    let page = deployment::deployment_list(&app, None, page.request(), &auth.reach()).await?;
    Ok(ok(PageView::of(page, DeploymentView::from)))
}

/// Shows a deployment by id or number.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}", tag = "deployments",
    responses((status = 200, body = Success<DeploymentView>)),
    security(("token" = ["viewer:deployment"])))]
async fn deployment_view(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
) -> ApiResult<Json<Success<DeploymentView>>> {
    let row = deployment::deployment_view(&app, &id).await?;
    let logs = deployment_logs_kept(&app, &row.id).await?;
    Ok(ok(DeploymentView::from(row).with_logs(logs)))
}

/// The journal of the rollout: what was ordered, and how it went.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/steps", tag = "deployments",
    responses((status = 200, body = Success<Vec<StepView>>)),
    security(("token" = ["viewer:deployment"])))]
async fn deployment_steps(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
) -> ApiResult<Json<Success<Vec<StepView>>>> {
    let row = deployment::deployment_view(&app, &id).await?;
    let steps = deployment::deployment_steps(&app, &row.id).await?;
    Ok(ok(steps.into_iter().map(StepView::from).collect()))
}

/// The log of build and rollout: as text, or live as server-sent events when `Accept` is `text/event-stream`.
///
/// Each SSE event has one line of the log as data and `<part>:<line>` as id, which `Last-Event-ID` resumes after; the build
/// is part 0, lines count from 1. The event `end` carries the deployment's final status.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/logs", tag = "deployments", params(LogQuery),
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

/// What every address of a deployment's log answers.
pub(super) async fn log_of_deployment(
    app: App,
    key: &str,
    query: &LogQuery,
    headers: &HeaderMap,
) -> ApiResult<Response> {
    let row = deployment::deployment_view(&app, key).await?;
    let name = format!("deployment-{}", row.seq);
    let parts = parts_of(&app, row).await?;
    Ok(logs::logs(app, parts, &name, query, headers))
}

/// The lines of a deployment's log that have a text.
#[utoipa::path(get, path = "/api/v1/deployments/{deployment}/logs/search", tag = "deployments", params(SearchQuery),
    responses((status = 200, body = Success<FoundLines>)),
    security(("token" = ["viewer:deployment"])))]
async fn deployment_logs_search(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
    Params(query): Params<SearchQuery>,
) -> ApiResult<Json<Success<FoundLines>>> {
    let row = deployment::deployment_view(&app, &id).await?;
    logs::search(&app, &parts_of(&app, row).await?, &query).await
}

/// First the build, here or at a provider, then the rollout.
pub async fn parts_of(app: &App, row: Deployment) -> Result<Vec<Part>> {
    let own = row.build_id.map(|id| Part { kind: LogKind::Build, id });
    let builds = cicd::build::build_list_of(app, &row.id).await?;
    let elsewhere = builds.into_iter().map(|build| Part { kind: LogKind::Ci, id: build.id });
    Ok(own.into_iter().chain(elsewhere).chain([Part { kind: LogKind::Deployment, id: row.id }]).collect())
}

/// Stops a running deployment; what served before goes on serving.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/cancel", tag = "deployments",
    responses((status = 202, body = Success<DeploymentView>)),
    security(("token" = ["deployer:deployment"])))]
async fn deployment_cancel(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
) -> ApiResult<(StatusCode, Json<Success<DeploymentView>>)> {
    Ok((StatusCode::ACCEPTED, ok(deployment::deployment_cancel(&app, &id).await?.into())))
}

/// Starts a deployment that failed, was rolled back or was cancelled again: a new one of the same commit or image.
#[utoipa::path(post, path = "/api/v1/deployments/{deployment}/retry", tag = "deployments",
    responses((status = 202, body = Success<DeploymentView>), (status = 409)),
    security(("token" = ["deployer:deployment"])))]
async fn deployment_retry(
    State(app): State<App>,
    auth: Auth,
    Path(id): Path<String>,
) -> ApiResult<(StatusCode, Json<Success<DeploymentView>>)> {
    let row = deployment::deployment_retry(&app, &id, auth.caller()).await?;
    Ok((StatusCode::ACCEPTED, ok(row.into())))
}

/// Shows a build by id or number.
#[utoipa::path(get, path = "/api/v1/builds/{build}", tag = "builds", responses((status = 200, body = Success<BuildView>)),
    security(("token" = ["viewer:build"])))]
async fn build_view(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
) -> ApiResult<Json<Success<BuildView>>> {
    let row = build::build_view(&app, &id).await?;
    let log = log_kept(&app, LogKind::Build, &row.id).await?.map(LogView::from);
    Ok(ok(BuildView { log, ..row.into() }))
}

/// A build's log: as text, or live as server-sent events.
#[utoipa::path(get, path = "/api/v1/builds/{build}/logs", tag = "builds", params(LogQuery),
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

/// What every address of a build's log answers.
pub(super) async fn log_of_build(
    app: App,
    key: &str,
    query: &LogQuery,
    headers: &HeaderMap,
) -> ApiResult<Response> {
    let row = build::build_view(&app, key).await?;
    let name = format!("build-{}", row.seq);
    Ok(logs::logs(app, vec![Part { kind: LogKind::Build, id: row.id }], &name, query, headers))
}

/// The lines of a build's log that have a text.
#[utoipa::path(get, path = "/api/v1/builds/{build}/logs/search", tag = "builds", params(SearchQuery),
    responses((status = 200, body = Success<FoundLines>)),
    security(("token" = ["viewer:build"])))]
async fn build_logs_search(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
    Params(query): Params<SearchQuery>,
) -> ApiResult<Json<Success<FoundLines>>> {
    let row = build::build_view(&app, &id).await?;
    logs::search(&app, &[Part { kind: LogKind::Build, id: row.id }], &query).await
}

/// Stops a build, and with it the deployment that waits for it.
#[utoipa::path(post, path = "/api/v1/builds/{build}/cancel", tag = "builds",
    responses((status = 202, body = Success<BuildView>)),
    security(("token" = ["developer:build"])))]
async fn build_cancel(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
) -> ApiResult<(StatusCode, Json<Success<BuildView>>)> {
    Ok((StatusCode::ACCEPTED, ok(build::build_cancel(&app, &id).await?.into())))
}
