//! `/api/v1/targets`: engines besides the local one, on which stacks run.

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
use crate::app::target::{self, TargetInput};
use crate::domain::target::{Target, TargetKind};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(target_list, target_create))
        .routes(routes!(target_view, target_update, target_delete))
        .routes(routes!(target_test))
}

/// Credentials are never shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TargetView {
    id: String,
    seq: i64,
    name: String,
    kind: TargetKind,
    address: String,
    /// Where the router reaches what runs there; absent for a swarm.
    route_address: Option<String>,
    health: TargetHealthView,
    /// Names of the stacks that run there.
    stacks: Vec<String>,
    created_at: String,
    updated_at: String,
}

/// How its engine answered lately.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TargetHealthView {
    /// unknown, reachable or unreachable.
    state: &'static str,
    checked_at: Option<String>,
    response_ms: Option<i64>,
    error: Option<String>,
    failing_since: Option<String>,
    /// Of the engine.
    version: String,
    /// Such as `linux/amd64`.
    platform: String,
    /// Machines that take work.
    nodes: u32,
}

async fn view(app: &App, row: Target) -> ApiResult<TargetView> {
    let stacks = target::target_stacks(app, &row).await?;
    let health = row.health;
    Ok(TargetView {
        id: row.id.to_string(),
        seq: row.seq,
        name: row.name,
        kind: row.kind,
        address: row.address,
        route_address: row.routes.map(|ip| ip.to_string()),
        health: TargetHealthView {
            state: health.state().as_str(),
            checked_at: times(health.checked_at),
            response_ms: health.response_ms,
            error: health.error,
            failing_since: times(health.failing_since),
            version: health.version,
            platform: health.platform,
            nodes: health.nodes,
        },
        stacks,
        created_at: time(row.created_at),
        updated_at: time(row.updated_at),
    })
}

#[derive(Debug, Serialize, ToSchema)]
struct Targets {
    items: Vec<TargetView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TargetTested {
    /// Whether the engine answered.
    connected: bool,
    target: TargetView,
}

/// Lists targets by name. The local engine is not among them.
#[utoipa::path(get, path = "/api/v1/targets", tag = "targets", responses((status = 200, body = Success<Targets>)),
    security(("token" = ["admin:server"])))]
async fn target_list(State(app): State<App>, _: Auth) -> ApiResult<Json<Success<Targets>>> {
    let mut items = Vec::new();
    for row in target::target_list(&app).await? {
        items.push(view(&app, row).await?);
    }
    Ok(ok(Targets { items }))
}

/// Connects an engine. Its credentials are stored sealed; whether it answers is what its test says.
#[utoipa::path(post, path = "/api/v1/targets", tag = "targets", request_body = TargetInput,
    responses((status = 201, body = Success<TargetView>), (status = 409), (status = 422)),
    security(("token" = ["admin:server"])))]
async fn target_create(
    State(app): State<App>,
    _: Auth,
    Body(input): Body<TargetInput>,
) -> ApiResult<(StatusCode, Json<Success<TargetView>>)> {
    let row = target::target_create(&app, input).await?;
    Ok((StatusCode::CREATED, ok(view(&app, row).await?)))
}

/// Shows a target and its health, by name, number or id.
#[utoipa::path(get, path = "/api/v1/targets/{target}", tag = "targets",
    responses((status = 200, body = Success<TargetView>), (status = 404)),
    security(("token" = ["admin:server"])))]
async fn target_view(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
) -> ApiResult<Json<Success<TargetView>>> {
    let row = target::target_view(&app, &key).await?;
    Ok(ok(view(&app, row).await?))
}

/// Changes where a target is and how it is reached. Credentials that are left out stay as they are.
#[utoipa::path(put, path = "/api/v1/targets/{target}", tag = "targets", request_body = TargetInput,
    responses((status = 200, body = Success<TargetView>), (status = 404), (status = 422)),
    security(("token" = ["admin:server"])))]
async fn target_update(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
    Body(input): Body<TargetInput>,
) -> ApiResult<Json<Success<TargetView>>> {
    let row = target::target_update(&app, &key, input).await?;
    Ok(ok(view(&app, row).await?))
}

/// Forgets a target. Refused while a stack runs there.
#[utoipa::path(delete, path = "/api/v1/targets/{target}", tag = "targets",
    responses((status = 204), (status = 404), (status = 409)),
    security(("token" = ["admin:server"])))]
async fn target_delete(State(app): State<App>, _: Auth, Path(key): Path<String>) -> ApiResult<StatusCode> {
    target::target_delete(&app, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks the target's engine whether it answers.
#[utoipa::path(post, path = "/api/v1/targets/{target}/test", tag = "targets",
    responses((status = 200, body = Success<TargetTested>), (status = 404)),
    security(("token" = ["admin:server"])))]
async fn target_test(
    State(app): State<App>,
    _: Auth,
    Path(key): Path<String>,
) -> ApiResult<Json<Success<TargetTested>>> {
    let row = target::target_test(&app, &key).await?;
    let connected = row.health.error.is_none();
    Ok(ok(TargetTested { connected, target: view(&app, row).await? }))
}
