//! `/api/v1/stacks/{stack}/protection`: what has to be the case before something new may come into service.

use axum::Json;
use axum::extract::{Path, State};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiResult;
use super::extract::{Auth, Body, Success, ok};
use crate::app::App;
use crate::app::protection::{protection_put, protection_view};
use crate::domain::protection::Protection;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(view, put))
}

/// Shows what deployments of the stack have to wait for.
#[utoipa::path(get, path = "/api/v1/stacks/{stack}/protection", tag = "stacks",
    responses((status = 200, body = Success<Protection>)), security(("token" = ["viewer:stack"])))]
async fn view(
    State(app): State<App>,
    _: Auth,
    Path(stack): Path<String>,
) -> ApiResult<Json<Success<Protection>>> {
    Ok(ok(protection_view(&app, &stack).await?))
}

/// Replaces it; an empty object ends it. Deployments that wait hear of it.
#[utoipa::path(put, path = "/api/v1/stacks/{stack}/protection", tag = "stacks", request_body = Protection,
    responses((status = 200, body = Success<Protection>)), security(("token" = ["admin:stack"])))]
async fn put(
    State(app): State<App>,
    auth: Auth,
    Path(stack): Path<String>,
    Body(input): Body<Protection>,
) -> ApiResult<Json<Success<Protection>>> {
    Ok(ok(protection_put(&app, &stack, input, &auth.who).await?))
}
