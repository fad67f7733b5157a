//! `/api/v1/stacks/{stack}/previews`: the pull requests of a stack's repository, shown as stacks of their own.

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
use crate::app::preview::{self, Previews, Shown};
use crate::domain::preview::{PreviewSettings, PreviewState};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(preview_list, preview_enable, preview_disable))
        .routes(routes!(preview_look))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PreviewsView {
    enabled: bool,
    /// Absent while previews are off.
    settings: Option<PreviewSettings>,
    /// When the forge last told its pull requests.
    asked_at: Option<String>,
    /// Why it did not the last time.
    error: Option<String>,
    items: Vec<PreviewView>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PreviewView {
    /// Of the pull request.
    number: i64,
    title: String,
    /// Page of the pull request.
    url: String,
    branch: String,
    /// The pull request's newest commit.
    commit_sha: String,
    /// The commit of the preview's newest deployment; another one until a new commit is deployed.
    deployed_sha: Option<String>,
    state: PreviewState,
    /// Why there is no preview, where there is none.
    reason: Option<String>,
    /// Name of the stack that shows it.
    stack: Option<String>,
    /// Where it can be looked at.
    address: Option<String>,
    /// Number of its newest deployment.
    deployment: Option<i64>,
    deployment_status: Option<&'static str>,
    expires_at: String,
    /// Why the newest commit could not be deployed.
    error: Option<String>,
}

impl From<Shown> for PreviewView {
    fn from(shown: Shown) -> Self {
        let row = shown.preview;
        Self {
            number: row.number,
            title: row.title,
            url: row.url,
            branch: row.branch,
            commit_sha: row.commit,
            deployed_sha: row.deployed,
            state: row.state,
            reason: Some(row.state.words().to_owned()).filter(|words| !words.is_empty()),
            stack: shown.stack,
            address: shown.address,
            deployment: shown.deployment.as_ref().map(|row| row.seq),
            deployment_status: shown.deployment.map(|row| row.status.as_str()),
            expires_at: time(row.expires_at),
            error: row.error,
        }
    }
}

impl From<Previews> for PreviewsView {
    fn from(previews: Previews) -> Self {
        let (settings, asked_at, error) = match previews.watch {
            Some(watch) => (Some(watch.settings), watch.asked_at, watch.error),
            None => (None, None, None),
        };
        Self {
            enabled: settings.is_some(),
            settings,
            asked_at: times(asked_at),
            error,
            items: previews.items.into_iter().map(PreviewView::from).collect(),
        }
    }
}

/// Lists the pull requests of a stack's repository with their previews.
#[utoipa::path(get, path = "/api/v1/stacks/{stack}/previews", tag = "previews",
    responses((status = 200, body = Success<PreviewsView>)),
    security(("token" = ["viewer:stack"])))]
async fn preview_list(
    State(app): State<App>,
    _: Auth,
    Path(stack): Path<String>,
) -> ApiResult<Json<Success<PreviewsView>>> {
    Ok(ok(preview::preview_list(&app, &stack).await?.into()))
}

/// Switches previews on, or changes how they are. The forge is asked at once, and an answer that fails is refused here.
#[utoipa::path(put, path = "/api/v1/stacks/{stack}/previews", tag = "previews", request_body = PreviewSettings,
    responses((status = 200, body = Success<PreviewsView>), (status = 409), (status = 422)),
    security(("token" = ["deployer:stack"])))]
async fn preview_enable(
    State(app): State<App>,
    _: Auth,
    Path(stack): Path<String>,
    Body(settings): Body<PreviewSettings>,
) -> ApiResult<Json<Success<PreviewsView>>> {
    Ok(ok(preview::preview_enable(&app, &stack, settings).await?.into()))
}

/// Switches previews off. All there are end: their containers, routes and images go within seconds.
#[utoipa::path(delete, path = "/api/v1/stacks/{stack}/previews", tag = "previews", responses((status = 204)),
    security(("token" = ["deployer:stack"])))]
async fn preview_disable(
    State(app): State<App>,
    _: Auth,
    Path(stack): Path<String>,
) -> ApiResult<StatusCode> {
    preview::preview_disable(&app, &stack).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks the forge for its pull requests as soon as possible.
#[utoipa::path(post, path = "/api/v1/stacks/{stack}/previews/look", tag = "previews",
    responses((status = 202, body = Success<PreviewsView>), (status = 409)),
    security(("token" = ["deployer:stack"])))]
async fn preview_look(
    State(app): State<App>,
    _: Auth,
    Path(stack): Path<String>,
) -> ApiResult<(StatusCode, Json<Success<PreviewsView>>)> {
    Ok((StatusCode::ACCEPTED, ok(preview::preview_look(&app, &stack).await?.into())))
}
