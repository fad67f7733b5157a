//! `/api/v1/plugins/calls`: the flight recorder.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Params, Success, ok};
use super::view::{CallView, PageView, RecordingView, ReplayView};
use crate::app::App;
use crate::app::recorder::{self, Narrowed};
use crate::domain::page::{DEFAULT_LIMIT, MAX_LIMIT, PageRequest};
use crate::error::Error;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(call_list))
        .routes(routes!(call_cassette))
        .routes(routes!(call_view))
        .routes(routes!(call_replay))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CallQuery {
    plugin: Option<String>,
    function: Option<String>,
    /// ok, failure, trap, timeout, memory, nonsense or refused.
    outcome: Option<String>,
    /// Calls made for this deployment, by id or number.
    deployment: Option<String>,
    /// Calls made for this build, by id or number.
    build: Option<String>,
    /// Calls made for this webhook delivery, by id or number.
    event: Option<String>,
    before: Option<i64>,
    limit: Option<i64>,
    /// For a cassette: these calls, by id or number, separated by commas.
    calls: Option<String>,
}

impl From<&CallQuery> for Narrowed {
    fn from(query: &CallQuery) -> Self {
        Self {
            plugin: query.plugin.clone(),
            function: query.function.clone(),
            outcome: query.outcome.clone(),
            deployment: query.deployment.clone(),
            build: query.build.clone(),
            event: query.event.clone(),
        }
    }
}

/// Lists recorded calls into plugins, newest first, without their recordings.
#[utoipa::path(get, path = "/api/v1/plugins/calls", tag = "plugins", params(CallQuery),
    responses((status = 200, body = Success<PageView<CallView>>)),
    security(("token" = ["admin:server"])))]
async fn call_list(
    State(app): State<App>,
    _: Auth,
    Params(query): Params<CallQuery>,
) -> ApiResult<Json<Success<PageView<CallView>>>> {
    let filter = recorder::call_filter(&app, Narrowed::from(&query)).await?;
    let page = recorder::call_list(&app, &filter, PageRequest::new(query.before, query.limit)).await?;
    Ok(ok(PageView::of(page, CallView::from)))
}

/// Recorded calls as a cassette: those named by `calls`, or else the newest `limit` that were recorded whole.
#[utoipa::path(get, path = "/api/v1/plugins/calls/cassette", tag = "plugins", params(CallQuery),
    responses((status = 200, body = Success<Value>)),
    security(("token" = ["admin:server"])))]
async fn call_cassette(
    State(app): State<App>,
    _: Auth,
    Params(query): Params<CallQuery>,
) -> ApiResult<Json<Success<Value>>> {
    let filter = recorder::call_filter(&app, Narrowed::from(&query)).await?;
    let named: Vec<String> =
        query.calls.iter().flat_map(|calls| calls.split(',')).map(|call| call.trim().to_owned()).collect();
    if named.len() > usize::try_from(MAX_LIMIT).unwrap_or(0) {
        return Err(Error::invalid("calls", format!("a cassette holds at most {MAX_LIMIT} calls")).into());
    }
    let last = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let cassette = recorder::call_cassette(&app, &named, &filter, last).await?;
    Ok(ok(serde_json::to_value(&cassette).map_err(Error::internal)?))
}

/// Shows a recorded call by id or number, with input, exchange and output.
#[utoipa::path(get, path = "/api/v1/plugins/calls/{call}", tag = "plugins",
    responses((status = 200, body = Success<RecordingView>)),
    security(("token" = ["admin:server"])))]
async fn call_view(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
) -> ApiResult<Json<Success<RecordingView>>> {
    Ok(ok(recorder::call_view(&app, &id).await?.into()))
}

/// Executes a recorded call again and compares. Nothing outside hears of it: the recorded answers are given again.
#[utoipa::path(post, path = "/api/v1/plugins/calls/{call}/replay", tag = "plugins",
    responses((status = 200, body = Success<ReplayView>), (status = 409)),
    security(("token" = ["admin:server"])))]
async fn call_replay(
    State(app): State<App>,
    _: Auth,
    Path(id): Path<String>,
) -> ApiResult<Json<Success<ReplayView>>> {
    Ok(ok(recorder::call_replay(&app, &id).await?.into()))
}
