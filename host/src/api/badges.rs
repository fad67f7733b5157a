//! A stack's state for everybody who knows the badge's key, and who gives it one.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Params, Success, ok};
use crate::app::App;
use crate::app::badge::{self, badge_cctray, badge_create, badge_delete, badge_svg};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(badge_view, badge_put, badge_remove))
        .routes(routes!(status_svg))
        .routes(routes!(cc_xml))
}

#[derive(Debug, Serialize, ToSchema)]
struct BadgeView {
    /// Whether anybody who has the addresses may read them.
    public: bool,
    /// Address of the picture; `?branch=` narrows it to a branch.
    svg: Option<String>,
    /// Address of the document for cctray.
    cctray: Option<String>,
}

impl From<Option<badge::BadgeView>> for BadgeView {
    fn from(view: Option<badge::BadgeView>) -> Self {
        let public = view.is_some();
        let (svg, cctray) = view.map(|view| (view.svg, view.cctray)).unzip();
        Self { public, svg, cctray }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct BadgeQuery {
    /// Only deployments of this branch.
    branch: Option<String>,
}

/// Where the stack shows its state without a log-in, if it does.
#[utoipa::path(get, path = "/api/v1/stacks/{stack}/badge", tag = "stacks",
    responses((status = 200, body = Success<BadgeView>)), security(("token" = ["viewer:stack"])))]
async fn badge_view(
    State(app): State<App>,
    _: Auth,
    Path(stack): Path<String>,
) -> ApiResult<Json<Success<BadgeView>>> {
    Ok(ok(badge::badge_view(&app, &stack).await?.into()))
}

/// Shows the stack's state to everybody who knows an address that cannot be guessed. It stays the same until it is deleted.
#[utoipa::path(put, path = "/api/v1/stacks/{stack}/badge", tag = "stacks",
    responses((status = 200, body = Success<BadgeView>)), security(("token" = ["developer:stack"])))]
async fn badge_put(
    State(app): State<App>,
    _: Auth,
    Path(stack): Path<String>,
) -> ApiResult<Json<Success<BadgeView>>> {
    Ok(ok(Some(badge_create(&app, &stack).await?).into()))
}

/// Shows nothing any more. The addresses answer 404 from now on, and do not come back.
#[utoipa::path(delete, path = "/api/v1/stacks/{stack}/badge", tag = "stacks", responses((status = 204)),
    security(("token" = ["developer:stack"])))]
async fn badge_remove(State(app): State<App>, _: Auth, Path(stack): Path<String>) -> ApiResult<StatusCode> {
    badge_delete(&app, &stack).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Badges are asked for again with each look at the page that shows them.
const FRESH: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-cache, max-age=0");

/// The state of a stack's newest deployment as a picture.
#[utoipa::path(get, path = "/api/badges/{key}/status.svg", tag = "badges", params(BadgeQuery),
    responses((status = 200, content_type = "image/svg+xml", body = String), (status = 404)), security(()))]
async fn status_svg(
    State(app): State<App>,
    Path(key): Path<String>,
    Params(query): Params<BadgeQuery>,
) -> ApiResult<impl IntoResponse> {
    let branch = query.branch.as_deref().filter(|branch| !branch.is_empty());
    let svg = badge_svg(&app, &key, branch).await?;
    Ok(([(header::CONTENT_TYPE, "image/svg+xml"), FRESH], svg))
}

/// The same for cctray, and for what else shows builds by `cc.xml`.
#[utoipa::path(get, path = "/api/badges/{key}/cc.xml", tag = "badges",
    responses((status = 200, content_type = "text/xml", body = String), (status = 404)), security(()))]
async fn cc_xml(State(app): State<App>, Path(key): Path<String>) -> ApiResult<impl IntoResponse> {
    let document = badge_cctray(&app, &key).await?;
    Ok(([(header::CONTENT_TYPE, "text/xml; charset=utf-8"), FRESH], document))
}
